"""The labelling page's HTTP service."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment
from pydantic import BaseModel, ConfigDict, Field

from tasks.labelling.answer_log import AnswerLogError, LogRow, UsedIdError
from tasks.labelling.answers import Name
from tasks.labelling.desk import Desk, Place
from tasks.labelling.filters import ItemFilter, RefusedFilterError
from tasks.labelling.queues import LabelQueueError
from tasks.labelling.session import PREFETCH, RefusedAnswerError
from tasks.pages.guard import Guard
from tasks.pages.service import ON_LOOPBACK, new_service, page_templates
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DatasetNameError, DatasetNotFoundError, DiskFullError, StoreError

PAGES = Path(__file__).parent / "pages"
_STATUS: dict[type[Exception], int] = {
    RefusedAnswerError: 422,
    RefusedFilterError: 422,
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


class NextItems(ItemFilter):
    """Whom items are for, the rank behind which to look, and how many at most; a name that is unknown is refused."""

    labeller: Name
    after: int = -1
    count: int = Field(default=PREFETCH, ge=1, le=100)


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


def create_app(workspace: Workspace, guard: Guard = ON_LOOPBACK) -> FastAPI:
    """Return the service of all queues of a workspace."""
    app, desk = new_service(PAGES, guard), Desk(workspace)
    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, _answer_with(status))

    @app.get("/")
    def show_queues() -> HTMLResponse:
        return HTMLResponse(_pages().get_template("queues.html").render(queues=desk.listing()))

    @app.get("/label/{dataset}/{queue}")
    def show_page(dataset: str, queue: str, sample: str | None = None) -> HTMLResponse:
        place = desk.place(dataset, queue)
        setup = {**place.setup(), "absent": sample is not None and sample not in place.queue.positions}
        return HTMLResponse(_pages().get_template("label.html").render(setup=setup))

    @app.get("/api/{dataset}/{queue}/next")
    def next_items(dataset: str, queue: str, asked: Annotated[NextItems, Query()]) -> dict[str, Any]:
        return desk.place(dataset, queue).next(asked.labeller, asked.after, asked.count, asked)

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


@cache
def _pages() -> Environment:
    return page_templates(PAGES)
