"""Publish people's answers of the labelling page as a named label version, which a training takes by its name."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.labelling.label_versions import LabelVersionRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.publish_labels import publish_answers
from tasks.stages.datasets.show import show_summary


@flow(
    name="publish-labels",
    description="Publish people's answers as a named label version of a dataset",
    **run_page("dataset", "queue", "name"),
)
@by_subject
def publish_labels(
    dataset: Annotated[str, parameter_types.param("Dataset; its current version gets a successor")] = "sky",
    queue: Annotated[str | None, parameter_types.param("Queue whose answers count; null: all of the scheme")] = None,
    name: Annotated[
        str | None,
        parameter_types.param(
            "Name of the label version, as labels= of a training takes it; null: after the number of answers. A name "
            "keeps the answers that it was first given"
        ),
    ] = None,
    labels: Annotated[
        str | None, parameter_types.param("Relabelling that the answers change; null: the original labels")
    ] = None,
    scheme: parameter_types.Scheme = None,
) -> dict[str, Any]:
    """Publish the label version, fill in the tables of verdicts, and return the agreement of the labellers."""
    request = LabelVersionRequest(dataset=dataset, queue=queue, name=name, labels=labels, scheme=scheme)
    summary = publish_answers(Workspace.current(), request)
    show_summary(summary)
    return summary
