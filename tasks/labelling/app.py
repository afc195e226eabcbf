"""The labelling page's HTTP service. Everything that a page loads comes from here; only its own pages may post."""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tasks.labelling.answer_log import AnswerLogError, LogRow, UsedIdError
from tasks.labelling.answers import Name
from tasks.labelling.desk import Desk, Place
from tasks.labelling.queues import LabelQueueError
from tasks.labelling.session import PREFETCH, RefusedAnswerError
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DatasetNameError, DatasetNotFoundError, DiskFullError, StoreError

HOSTS = ("127.0.0.1", "localhost")
PAGES = Path(__file__).parent / "pages"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_STATUS: dict[type[Exception], int] = {
    RefusedAnswerError: 422,
    UsedIdError: 409,
    LabelQueueError: 404,
    DatasetNotFoundError: 404,
    DatasetNameError: 404,
    AnswerLogError: 500,
    StoreError: 500,
    DiskFullError: 507,
}
"""Status by error; from 500 on the page keeps an answer and sends it again."""
_Labeller = Annotated[Name, Query()]
Send = Callable[[Request], Awaitable[Response]]


class NewAnswer(BaseModel):
    """An answer or a skip as the page sends it; `id` is the page's, so that sending it again adds nothing."""

    model_config = ConfigDict(extra="forbid")

    id: Name
    labeller: Name
    sample: str = Field(min_length=1)
    action: Literal["answer", "skip"]
    label: str | None = None
    comment: str = Field(default="", max_length=2000)


class NewUndo(BaseModel):
    """A request to take back a labeller's last answer or skip."""

    model_config = ConfigDict(extra="forbid")

    id: Name
    labeller: Name


def create_app(workspace: Workspace) -> FastAPI:
    """Return the service of all queues of a workspace."""
    app, desk = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), Desk(workspace)
    app.mount("/static", StaticFiles(directory=PAGES), name="static")
    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, _answer_with(status))
    app.middleware("http")(_guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))

    @app.get("/")
    def show_queues() -> HTMLResponse:
        return HTMLResponse(_pages().get_template("queues.html").render(queues=desk.listing()))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/label/{dataset}/{queue}")
    def show_page(dataset: str, queue: str, sample: str | None = None) -> HTMLResponse:
        place = desk.place(dataset, queue)
        setup = {**place.setup(), "absent": sample is not None and sample not in place.queue.positions}
        return HTMLResponse(_pages().get_template("label.html").render(setup=setup))

    @app.get("/api/{dataset}/{queue}/next")
    def next_items(
        dataset: str,
        queue: str,
        labeller: _Labeller,
        after: int = -1,
        count: Annotated[int, Query(ge=1, le=100)] = PREFETCH,
        reason: str | None = None,
    ) -> dict[str, Any]:
        place = desk.place(dataset, queue)
        ranks = place.session.next_ranks(labeller, after, count, reason)
        return {"items": place.items(ranks), "progress": place.session.progress(labeller)}

    @app.get("/api/{dataset}/{queue}/item")
    def show_item(dataset: str, queue: str, labeller: _Labeller, sample: str) -> dict[str, Any]:
        return desk.place(dataset, queue).detail(sample, labeller)

    @app.get("/api/{dataset}/{queue}/pixels")
    def send_pixels(dataset: str, queue: str, sample: str) -> Response:
        place = desk.place(dataset, queue)
        place.session.rank_of(sample)
        pixels = place.samples.pixels(sample)
        headers = {"X-Shape": ",".join(map(str, pixels.shape)), "X-Dtype": pixels.dtype.name}
        little = pixels.astype(pixels.dtype.newbyteorder("<"))
        return Response(little.tobytes(), media_type="application/octet-stream", headers=headers)

    @app.get("/api/{dataset}/{queue}/summary")
    def show_summary(dataset: str, queue: str) -> dict[str, Any]:
        return desk.place(dataset, queue).summary()

    @app.post("/api/{dataset}/{queue}/answers")
    def take_answer(dataset: str, queue: str, given: NewAnswer) -> dict[str, Any]:
        place = desk.place(dataset, queue)
        row, repeated = place.session.answer(**given.model_dump())
        return _kept(place, row, repeated)

    @app.post("/api/{dataset}/{queue}/undo")
    def undo(dataset: str, queue: str, given: NewUndo) -> dict[str, Any]:
        place = desk.place(dataset, queue)
        undone = place.session.undo(given.id, given.labeller)
        if undone is None:
            raise RefusedAnswerError(f"{given.labeller} has no answer in queue {queue!r} to undo")
        row, repeated = undone
        return _kept(place, row, repeated)

    return app


def _kept(place: Place, row: LogRow, repeated: bool) -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "sample": row.answer.sample,
        "repeated": repeated,
        "progress": place.session.progress(row.answer.labeller),
    }


def _answer_with(status: int) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status)

    return answer


async def _guard(request: Request, send: Send) -> Response:
    """Refuse what another site's page sends, and let pages load nothing from other hosts."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    own = f"{request.url.scheme}://{request.headers.get('host')}"
    if request.method not in ("GET", "HEAD") and (origin not in (None, own) or site not in ("none", "same-origin")):
        return JSONResponse({"detail": f"origin {origin} may not post here"}, 403)
    response = await send(request)
    response.headers.update(_HEADERS)
    return response


@cache
def _pages() -> Environment:
    return Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
