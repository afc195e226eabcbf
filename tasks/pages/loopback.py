"""A service as a process: on loopback until it is interrupted."""

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

HOST = "127.0.0.1"


def serve_on_loopback(app: FastAPI, port: int, announce: Callable[[str], None]) -> None:
    """Serve an app; ``announce`` is given the address once it takes requests.

    Parameters
    ----------
    app : FastAPI
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
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        announce(f"http://{HOST}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])
