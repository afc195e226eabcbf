"""`starloom label` as a process: the service until it is interrupted."""

from collections.abc import Callable

from tasks.labelling.app import create_app
from tasks.pages.exposure import Exposure
from tasks.pages.serving import Served, serve_as_program, serve_pages
from tasks.runtime.workspace import Workspace


def serve(workspace: Workspace, exposure: Exposure, port: int, announce: Callable[[Served], None]) -> None:
    """Serve the queues of a workspace; see `serve_pages`."""
    serve_pages(create_app, workspace, exposure, port, announce)


if __name__ == "__main__":
    serve_as_program(create_app, "tasks.labelling.serve")
