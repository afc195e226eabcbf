"""Export a registered model as ONNX."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.export_model import export_model as write_onnx


@flow(
    name="export-model",
    description="Export a registered model as ONNX and compare its outputs with Keras",
    **run_page("model", "dataset"),
)
@by_subject
def export_model(
    dataset: parameter_types.Dataset = "transients",
    path: Annotated[
        str | None, parameter_types.param("Output file; null: exports/NAME-VERSION in the workspace")
    ] = None,
    model: parameter_types.Model = "champion",
) -> dict[str, Any]:
    """Export a model and return its largest deviation from Keras on samples of the validation part."""
    summary = write_onnx(Workspace.current(), model, dataset, path)
    show_summary(summary)
    return summary
