"""The object store on which a trial's workspace is, and which a fault kills."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.runtime.workspace import STATE_ENVIRONMENT_NAME, Workspace
from tasks.store.object_store.conditions import POINTER_ENVIRONMENT_NAME, UNCONDITIONAL
from tests.object_servers import BUCKET, environment, localbucket_command, settings
from tests.server_process import Server, free_port


@dataclass(frozen=True)
class Store:
    """A server that keeps its objects as files.

    Attributes
    ----------
    server : Server
    workspace : Workspace
        On the store.
    objects : Path
        Where the server keeps the workspace's objects, under their own names.
    """

    server: Server
    workspace: Workspace
    objects: Path


@contextmanager
def store_of(folder: Path) -> Iterator[Store]:
    """Run a store; the variables of this process lead to it meanwhile, and the workspace's state is in `folder`."""
    bucket, endpoint = folder / "store" / BUCKET, f"http://127.0.0.1:{(port := free_port())}"
    bucket.mkdir(parents=True)

    def ask() -> None:
        try:
            urllib.request.urlopen(f"{endpoint}/{BUCKET}", timeout=10).close()
        except urllib.error.HTTPError as answer:
            answer.close()

    variables = settings(endpoint) | {
        STATE_ENVIRONMENT_NAME: str(folder / "state"),
        POINTER_ENVIRONMENT_NAME: UNCONDITIONAL,  # the server ignores If-Match
    }
    with (
        Server(localbucket_command(bucket.parent, port), folder / "store.log", ask, {}) as server,
        environment(variables),
    ):
        server.wait()
        yield Store(server, Workspace.named(f"s3://{BUCKET}/workspace"), bucket / "workspace")
