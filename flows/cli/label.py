"""The parameters of `starloom label`, which opens a queue and serves the labelling page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from flows.cli import parameter_types
from tasks.labelling.queue_sources import QueueRequest, QueueSource, open_queue
from tasks.labelling.queues import GOLD_SHARE, OVERLAP
from tasks.labelling.serve import serve
from tasks.pages.exposure import Exposure
from tasks.pages.serving import Served
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import LABELLING, ProcessEntry


@dataclass(frozen=True)
class LabelPage:
    """The page to serve: its path, the port, and what was found of its queue."""

    path: str
    port: int
    found: dict[str, Any] = field(default_factory=dict)

    def serve(self, exposure: Exposure, announce: Callable[[dict[str, Any], str | None], None]) -> None:
        """Serve until interrupted; ``announce`` gets the address with what was found, and the token if there is one."""
        workspace = Workspace.current()
        entry = ProcessEntry.announce(processes_folder(workspace), kind=LABELLING)
        try:

            def tell(served: Served) -> None:
                entry.add(url=served.address)
                announce({"url": f"{served.address}{self.path}", **self.found}, served.token)

            serve(workspace, exposure, self.port, tell)
        finally:
            entry.withdraw()


def open_page(
    dataset: Annotated[str | None, parameter_types.param("Dataset; null: serve the queues that there are")] = None,
    queue: Annotated[str, parameter_types.param("Name of the queue; one that exists is continued as it is")] = "random",
    source: Annotated[
        QueueSource | None,
        parameter_types.param("What a queue that does not exist yet is made of; null: random"),
    ] = None,
    table: Annotated[
        str | None,
        parameter_types.param(
            "Scores (entropy, disagreement), suspects, or the survey's table, also relative to the workspace; for "
            "source=night the night, YYYY-MM-DD"
        ),
    ] = None,
    against: Annotated[str | None, parameter_types.param("For source=disagreement: scores of the other model")] = None,
    labels: Annotated[
        str | None,
        parameter_types.param(
            "Relabelling whose labels are shown; with source=suspects: whose changes are asked about"
        ),
    ] = None,
    scheme: parameter_types.Scheme = None,
    count: Annotated[int | None, parameter_types.param("Items at most, but for gold; null: all")] = 1000,
    gold_share: Annotated[float, parameter_types.param("Share of items whose right answer is known")] = GOLD_SHARE,
    overlap: Annotated[
        float, parameter_types.param("Share of the other items that two people are asked about")
    ] = OVERLAP,
    blind: Annotated[
        bool | None,
        parameter_types.param("Hide labels and scores; null: for random, survey and night, from which rates follow"),
    ] = None,
    seed: parameter_types.Seed = 0,
    port: Annotated[int, parameter_types.param("Port; 0: a free one")] = 0,
) -> LabelPage:
    """Open the queue, made if it does not exist, and return its page."""
    if dataset is None:
        return LabelPage("/", port)
    request = QueueRequest(
        dataset=dataset,
        queue=queue,
        source=source,
        table=table,
        against=against,
        labels=labels,
        scheme=scheme,
        count=count,
        gold_share=gold_share,
        overlap=overlap,
        blind=blind,
        seed=seed,
    )
    opened, absent = open_queue(Workspace.current(), request)
    facts = opened.facts
    found = {"queue": facts.name, "source": facts.source, "blind": facts.blind, "items": len(opened), "absent": absent}
    return LabelPage(f"/label/{quote(facts.dataset)}/{quote(facts.name)}", port, found)
