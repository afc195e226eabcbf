"""The home page's HTTP service: the page, its sections for the live update, the state as JSON, and the reports."""

from functools import cache
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment

from tasks.home import words
from tasks.home.metrics import CONTENT_TYPE, VerdictCounter, metrics_text
from tasks.home.status import WorkspaceStatus
from tasks.home.status_reader import StatusReader
from tasks.housekeeping.disk import size_text
from tasks.pages.guard import Guard
from tasks.pages.service import ON_LOOPBACK, new_service, page_templates
from tasks.reports.page import cell_text, script_source
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import VALIDATION, VERSIONS
from tasks.store.schema import NAME

_MEASURE_S = 0.3
"""Time that the first page waits for the sizes on the disk."""
PAGES = Path(__file__).parent / "pages"
SERVED = {"reports": frozenset({".html", ".csv", ".json"}), "scores": frozenset({".parquet", ".csv"})}
"""Folders of the workspace that are served, and which files in them: reports, and the tables that they link to."""
VALIDATION_FILES = frozenset({".html", ".json", ".css", ".otf", ".png", ".svg", ".ico"})
"""Of the validation of a dataset version: its page, and Great Expectations' own pages."""
_REPORT_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {script_source()}; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Reports are single files with their own styles, pictures and the one script of reports; any other stays away."""
_VALIDATION_POLICY = (
    "default-src 'none'; img-src 'self' data:; font-src 'self'; style-src 'self' 'unsafe-inline'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Great Expectations' pages have styles and pictures beside them; those of other hosts, and all scripts, stay away."""


def create_app(workspace: Workspace, guard: Guard = ON_LOOPBACK) -> FastAPI:
    """Return the service of a workspace's home page."""
    app, reader = new_service(PAGES, guard), StatusReader(workspace, _MEASURE_S)
    verdicts = VerdictCounter(workspace)

    @app.get("/")
    def show_page() -> HTMLResponse:
        return HTMLResponse(_render("home.html", reader.read()))

    @app.get("/sections")
    def show_sections() -> HTMLResponse:
        return HTMLResponse(_render("sections.html", reader.read()))

    @app.get("/status.json")
    def show_status() -> Response:
        return Response(reader.read().model_dump_json(), media_type="application/json")

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(metrics_text(reader.read(), verdicts.read()), media_type=CONTENT_TYPE)

    @app.get("/datasets/{dataset}/versions/{version}/validation/{name:path}")
    def send_validation(dataset: str, version: str, name: str) -> FileResponse:
        if not (NAME.fullmatch(dataset) and version.isdecimal()):
            raise HTTPException(404)
        folder = workspace.datasets / dataset / VERSIONS / version / VALIDATION
        return FileResponse(
            file_below(folder, name, VALIDATION_FILES), headers={"Content-Security-Policy": _VALIDATION_POLICY}
        )

    @app.get("/{folder}/{name:path}")
    def send_file(folder: str, name: str) -> FileResponse:
        if folder not in SERVED:
            raise HTTPException(404)
        return FileResponse(
            file_below(workspace.root / folder, name, SERVED[folder]),
            headers={"Content-Security-Policy": _REPORT_POLICY},
        )

    return app


def file_below(folder: Path, name: str, suffixes: frozenset[str]) -> Path:
    """Return the file of that relative name in a folder.

    Raises
    ------
    HTTPException
        404: there is none, it has none of the suffixes, or it lies outside, also by a link.
    """
    try:
        root, path = folder.resolve(), (folder / name).resolve()
        if path.is_relative_to(root) and path.suffix in suffixes and path.is_file():
            return path
    except (OSError, ValueError):  # a name that is too long, or has a null byte
        pass
    raise HTTPException(404, f"no such file in {folder.name}")


def _render(template: str, status: WorkspaceStatus) -> str:
    addresses = {service.name: service.address for service in status.services.rows}
    return _pages().get_template(template).render(status=status, addresses=addresses)


@cache
def _pages() -> Environment:
    environment = page_templates(PAGES)
    environment.filters |= {"cell": cell_text, "size": size_text, "time": words.time_text, "model": words.model_text}
    environment.globals["words"] = words
    return environment
