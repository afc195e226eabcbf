"""Export a registered model as ONNX."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from tasks.runtime.workspace import Workspace
from tasks.stages.export_model import export_model as write_onnx
from tasks.stages.show import show_summary


@flow(name="export-model", description="Export a registered model as ONNX and compare its outputs with Keras")
def export_model(
    model: parameter_types.Model = "champion",
    dataset: parameter_types.Dataset = "transients",
    path: Annotated[
        str | None, parameter_types.param("Output file; null: exports/NAME-VERSION in the workspace")
    ] = None,
) -> dict[str, Any]:
    """Export a model and return its largest deviation from Keras on samples of the validation part."""
    summary = write_onnx(Workspace.current(), model, dataset, path)
    show_summary(summary)
    return summary
