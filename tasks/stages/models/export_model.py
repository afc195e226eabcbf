"""Export of a registered model as a stage of a flow."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.workspace import Workspace
from tasks.training.model_export import export_registered


@task(name="export-model", description="Write ONNX, compare its outputs with Keras's", cache_policy=NO_CACHE)
def export_model(workspace: Workspace, model: str, dataset: str, path: str | None) -> dict[str, Any]:
    """Export the model and return its path and how far its outputs differ."""
    return export_registered(workspace, model, dataset, path)
