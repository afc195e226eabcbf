"""Real S3-compatible servers, each a process: moto, which keeps conditions, and localbucket, which keeps files."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.server_process import free_port

BUCKET = "starloom-tests"
PATIENCE_S = 120.0
_MOTO = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


def settings(endpoint: str) -> dict[str, str]:
    """The environment in which a process reaches the server at `endpoint`."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
    }


@contextmanager
def moto_server(bucket: str = BUCKET) -> Iterator[str]:
    """Run moto's server with a bucket; it keeps everything in memory."""
    port = free_port()
    with running([sys.executable, "-c", _MOTO, str(port)], port, bucket) as endpoint:
        yield endpoint


@contextmanager
def localbucket_server(folder: Path, port: int) -> Iterator[str]:
    """Run localbucket with the bucket `BUCKET` in `folder`, where it stays; `If-Match` it ignores."""
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    with running(localbucket_command(folder, port), port) as endpoint:
        yield endpoint


def localbucket_command(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "localbucket", "--port", str(port), str(folder)]


@contextmanager
def running(command: list[str], port: int, bucket: str = BUCKET) -> Iterator[str]:
    """Run a server until the block ends, and yield its address once it has the bucket."""
    endpoint = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _make_bucket(f"{endpoint}/{bucket}")
            yield endpoint
        finally:
            process.kill()


def _make_bucket(address: str) -> None:
    request = urllib.request.Request(address, method="PUT")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(request).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 409:  # it is there already
                return
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
