"""A service as a process: on loopback, or where it was told, until it is interrupted."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from tasks.pages.exposure import Exposure, page_token
from tasks.pages.exposure_options import add_exposure
from tasks.pages.guard import Guard
from tasks.runtime.workspace import Workspace

MakeApp = Callable[[Workspace, Guard], FastAPI]


@dataclass(frozen=True)
class Served:
    """A service that takes requests.

    Attributes
    ----------
    address : str
        For people.
    token : str, optional
        What opens it from another machine; None on loopback, where none is asked for.
    """

    address: str
    token: str | None


def serve_pages(
    make_app: MakeApp, workspace: Workspace, exposure: Exposure, port: int, announce: Callable[[Served], None]
) -> None:
    """Serve the pages of a workspace; ``announce`` is called once the address takes requests.

    Parameters
    ----------
    make_app : callable
    workspace : Workspace
    exposure : Exposure
        Off loopback, the token of the workspace is asked for.
    port : int
        0: any free port.
    announce : callable

    Raises
    ------
    ExposureError
        The host is none of this machine's.
    OSError
        The port is taken.
    """
    with exposure.listen(port) as listener:
        token = page_token(workspace) if exposure.is_open else None
        app = make_app(workspace, Guard(exposure.allowed_hosts(), token))
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
        announce(Served(exposure.address(listener.getsockname()[1]), token))
        uvicorn.Server(config).run(sockets=[listener])


def serve_as_program(make_app: MakeApp, program: str) -> None:
    """Serve the current workspace's pages as ``python -m PROGRAM --port N --host ADDRESS --host-name NAME``."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("--port", type=int, default=0)
    add_exposure(parser)
    options = parser.parse_args()
    exposure = Exposure.of_options(options)
    serve_pages(make_app, Workspace.current(), exposure, options.port, lambda served: print(served.address))
