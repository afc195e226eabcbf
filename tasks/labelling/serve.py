"""`starloom label` as a process: the service on loopback until it is interrupted."""

import argparse
import socket
from collections.abc import Callable

import uvicorn

from tasks.labelling.app import create_app
from tasks.runtime.workspace import Workspace

HOST = "127.0.0.1"


def serve(workspace: Workspace, port: int, announce: Callable[[str], None]) -> None:
    """Serve the queues of a workspace; ``announce`` is given the address once it takes requests.

    Parameters
    ----------
    workspace : Workspace
    port : int
        0: any free port.
    announce : callable

    Raises
    ------
    OSError
        The port is taken.
    """
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise OSError(f"port {port} of {HOST} cannot be taken: {error.strerror}") from error
    with listener:
        config = uvicorn.Config(create_app(workspace), log_level="warning", access_log=False, lifespan="off")
        announce(f"http://{HOST}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tasks.labelling.serve")
    parser.add_argument("--port", type=int, default=0)
    serve(Workspace.current(), parser.parse_args().port, print)
