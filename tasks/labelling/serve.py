"""`starloom label` as a process: the service on loopback until it is interrupted."""

import argparse
from collections.abc import Callable

from tasks.labelling.app import create_app
from tasks.pages.loopback import serve_on_loopback
from tasks.runtime.workspace import Workspace


def serve(workspace: Workspace, port: int, announce: Callable[[str], None]) -> None:
    """Serve the queues of a workspace; see `serve_on_loopback`."""
    serve_on_loopback(create_app(workspace), port, announce)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tasks.labelling.serve")
    parser.add_argument("--port", type=int, default=0)
    serve(Workspace.current(), parser.parse_args().port, print)
