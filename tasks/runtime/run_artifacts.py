"""Artifacts on the Prefect page of a run: tables of numbers, a picture, links, progress while it runs."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import ObjectNotFound

from tasks.runtime.progress import StageProgress


def put_summary(summary: Mapping[str, Any]) -> None:
    """Show the summary of a run as a table of names and values."""
    put_values("summary", summary)


def put_values(key: str, values: Mapping[str, Any]) -> None:
    """Show named values as a table under the key of an artifact."""
    create_table_artifact(key=key, table=[{"name": name, "value": str(value)} for name, value in values.items()])


def put_table(key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Show rows under named columns as a table under the key of an artifact."""
    create_table_artifact(key=key, table=[dict(zip(columns, row, strict=True)) for row in rows])


def put_funnel(steps: Sequence[tuple[str, int]]) -> None:
    """Show how many rows each step of a run left or removed."""
    create_table_artifact(key="funnel", table=[{"step": step, "count": count} for step, count in steps])


def put_link(key: str, address: str, text: str) -> None:
    """Show a link under the key of an artifact."""
    create_link_artifact(key=key, link=address, link_text=text)


def put_contact_sheet(caption: str, jpeg: bytes) -> None:
    """Show sample images below their caption."""
    encoded = base64.b64encode(jpeg).decode("ascii")
    create_markdown_artifact(key="contact-sheet", markdown=f"{caption}\n\n![samples](data:image/jpeg;base64,{encoded})")


def put_markdown_of_run(flow_run: UUID, key: str, markdown: str) -> None:
    """Show text on the page of a flow run, also of one that is not the present run."""
    with get_client(sync_client=True) as client:
        client.create_artifact(ArtifactCreate(type="markdown", key=key, flow_run_id=flow_run, data=markdown))


class LiveProgress:
    """A progress artifact of the present run, for stages that take longer than `FIRST_S`; a view of `progress`."""

    FIRST_S = 2.0
    APART_S = 3.0

    def __init__(self, flow_run: UUID, task_run: UUID | None) -> None:
        self._runs: dict[str, Any] = {"flow_run_id": flow_run, "task_run_id": task_run}
        self._artifact: UUID | None = None
        self._next_s = self.FIRST_S
        self._lost = False

    def update(self, stage: StageProgress) -> None:
        """Put the present counts on the page if it is time."""
        if stage.elapsed_s >= self._next_s:
            self._next_s = stage.elapsed_s + self.APART_S
            self._put(stage, stage.text())

    def end(self, stage: StageProgress) -> None:
        """Put the last counts on the page if it has any."""
        if self._artifact is not None:
            self._put(stage, stage.text(ended=True))

    def _put(self, stage: StageProgress, text: str) -> None:
        """Create the artifact, or update it; nothing more once the server is lost: a run goes on without its page."""
        if self._lost:
            return
        shown: dict[str, Any] = {"data": round(100 * stage.fraction, 1), "description": f"{stage.label}: {text}"}
        try:
            with get_client(sync_client=True) as client:
                if self._artifact is None:
                    key = re.sub(r"[^a-z0-9]+", "-", stage.label.lower()).strip("-")
                    made = ArtifactCreate(type="progress", key=key, **self._runs, **shown)
                    self._artifact = client.create_artifact(made).id
                else:
                    client.update_artifact(self._artifact, ArtifactUpdate(**shown))
        except (httpx.HTTPError, ObjectNotFound):
            self._lost = True


def live_progress(stage: StageProgress) -> LiveProgress | None:
    """Return the view of a stage on the page of the present run; None outside of a run."""
    flow_run, task_run = FlowRunContext.get(), TaskRunContext.get()
    if flow_run is None or flow_run.flow_run is None:
        return None
    return LiveProgress(flow_run.flow_run.id, None if task_run is None else task_run.task_run.id)
