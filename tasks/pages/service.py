"""An HTTP service of pages: everything that a page loads comes from it, and only its own pages may post."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.middleware.trustedhost import TrustedHostMiddleware

HOSTS = ("127.0.0.1", "localhost")
STYLE = Path(__file__).parent / "style"
HEALTH = "/health"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Send = Callable[[Request], Awaitable[Response]]


def new_service(pages: Path) -> FastAPI:
    """Return a service without pages: it answers `HEALTH`, and has the files of `pages` under ``/static``.

    The style that all pages share is under ``/style``. A response may set a header of its own, which then stands.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=pages), name="static")
    app.mount("/style", StaticFiles(directory=STYLE), name="style")
    app.middleware("http")(_guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))

    @app.get(HEALTH)
    def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def page_templates(pages: Path) -> Environment:
    """Return the templates of a folder: all text is escaped, and an unknown name is an error."""
    return Environment(
        loader=FileSystemLoader(pages), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


async def _guard(request: Request, send: Send) -> Response:
    """Refuse what another site's page sends, and let pages load nothing from other hosts."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    own = f"{request.url.scheme}://{request.headers.get('host')}"
    if request.method not in ("GET", "HEAD") and (origin not in (None, own) or site not in ("none", "same-origin")):
        return JSONResponse({"detail": f"origin {origin} may not post here"}, 403)
    response = await send(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
