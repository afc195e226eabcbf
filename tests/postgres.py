"""A PostgreSQL server of Debian's package, and the servers of a group on it, which a test starts and ends."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tasks.runtime.addresses import web_fault

PASSWORD = "pass-not-to-be-shown"
_PATIENCE_S = 300


@dataclass(frozen=True)
class Postgres:
    """A server on loopback, whose one user ``group`` has the password `PASSWORD`."""

    port: int

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """Return the address of a database, with the password."""
        return f"{scheme}://group:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, extensions: Sequence[str] = ()) -> None:
        """Create a database as the guide has it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for extension in extensions:
                connection.execute(f"CREATE EXTENSION {extension}")


@contextlib.contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Run a server on a temporary folder; the test is skipped where the package is absent."""
    programs = _programs()
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # as which PostgreSQL refuses to run
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="starloom-postgres-"))  # pytest's own folders are closed to other users
    try:
        if user:
            os.chown(folder, user["user"], user["group"])
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        words = ["-U", "group", "-A", "scram-sha-256", "--pwfile", str(folder / "password"), "--no-sync"]
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", *words], check=True, capture_output=True, cwd=folder, **user
        )
        port = free_port()
        settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
        command = [programs / "postgres", "-D", folder / "data", *(word for each in settings for word in ("-c", each))]
        with running(command, folder / "log", cwd=folder, **user):
            server = Postgres(port)
            _await(lambda: psycopg.connect(server.url("postgres")).close(), folder / "log")
            yield server
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Return the folder of the server's programs, which Debian keeps out of the search path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).parent] if found else []
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("PostgreSQL is absent: apt-get install postgresql")


@contextlib.contextmanager
def running(command: Sequence[Any], log: Path, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in the block; SIGTERM ends it."""
    with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream, **settings) as process:
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


@dataclass(frozen=True)
class GroupServers:
    """The addresses of a group's servers: Prefect's API and MLflow."""

    prefect: str
    mlflow: str


@contextlib.contextmanager
def group_servers(postgres: Postgres, folder: Path) -> Iterator[GroupServers]:
    """Run a group's Prefect and MLflow servers as the guide has them."""
    postgres.create("prefect", ["pg_trgm"])
    postgres.create("mlflow")
    ports = [str(free_port()) for _ in range(2)]
    commands = {
        "prefect": ["server", "start", "--host", "127.0.0.1", "--port", ports[0]],
        "mlflow": [
            "server",
            "--artifacts-destination",
            str(folder / "artifacts"),
            "--workers",
            "1",
            "--port",
            ports[1],
        ],
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "STARLOOM_"))}
    environment = kept | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url("prefect", "postgresql+asyncpg"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_BACKEND_STORE_URI": postgres.url("mlflow", "postgresql+psycopg"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with contextlib.ExitStack() as stack:
        for name, words in commands.items():
            command = [sys.executable, "-m", name, *words]
            stack.enter_context(running(command, folder / f"{name}.log", env=environment, cwd=folder))
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url, path, name in zip(urls, ["/api/health", "/health"], commands, strict=True):
            _await(partial(_require_answer, url, path), folder / f"{name}.log")
        yield GroupServers(f"{urls[0]}/api", urls[1])


def _require_answer(url: str, path: str) -> None:
    if (fault := web_fault(url, path)) is not None:
        raise ConnectionError(fault)


def _await(attempt: Any, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return attempt()
        except (psycopg.OperationalError, ConnectionError):
            if time.monotonic() > deadline:
                raise TimeoutError(log.read_text(errors="replace")[-2000:]) from None
        time.sleep(0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
