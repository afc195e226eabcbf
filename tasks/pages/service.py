"""An HTTP service of pages: everything that a page loads comes from it, and only its own pages may post."""

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.pages.exposure import OWN_NAMES
from tasks.pages.guard import HEALTH, Guard, Send

STYLE = Path(__file__).parent / "style"
ON_LOOPBACK = Guard(OWN_NAMES)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def new_service(pages: Path, guard: Guard = ON_LOOPBACK) -> FastAPI:
    """Return a service without pages: it answers `HEALTH`, and has the files of `pages` under ``/static``.

    The style that all pages share is under ``/style``. A response may set a header of its own, which then stands. What
    the guard refuses reaches no page.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=pages), name="static")
    app.mount("/style", StaticFiles(directory=STYLE), name="style")
    app.middleware("http")(guard)
    app.middleware("http")(_add_headers)  # what is added last is asked first

    @app.get(HEALTH)
    def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def page_templates(pages: Path) -> Environment:
    """Return the templates of a folder: all text is escaped, and an unknown name is an error."""
    return Environment(
        loader=FileSystemLoader(pages), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


async def _add_headers(request: Request, send: Send) -> Response:
    """Let pages load nothing from other hosts, refusals included."""
    response = await send(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
