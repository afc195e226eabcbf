"""Stage of `diff-models`. TensorFlow and MLflow take long to import, so they are imported where they are used."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.past_nights import difference_summary
from tasks.past_nights.model_difference import DifferenceRequest
from tasks.runtime.workspace import Workspace


@task(name="diff-models", description="Score a past night by two models and compare decisions", cache_policy=NO_CACHE)
def compare_decisions(workspace: Workspace, request: DifferenceRequest) -> dict[str, Any]:
    """Compare two models on a past night and return the summary."""
    return difference_summary.diff_models(workspace, request)
