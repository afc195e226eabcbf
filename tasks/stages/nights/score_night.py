"""Stage of `score-night`. TensorFlow and MLflow take long to import, so they are imported where they are used."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.night import pipeline
from tasks.night.request import NightRequest
from tasks.runtime.workspace import Workspace


@task(name="score-night", description="Score candidates block by block, decide, show the best", cache_policy=NO_CACHE)
def score_night(workspace: Workspace, request: NightRequest) -> dict[str, Any]:
    """Score a night and return the summary."""
    return pipeline.score_night(workspace, request)
