"""Stage of `predict-galaxies`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.predictions import predict
from tasks.predictions.predict import PredictionRequest
from tasks.runtime.workspace import Workspace


@task(name="predict-galaxies", description="Classify images block by block", cache_policy=NO_CACHE)
def predict_galaxies(workspace: Workspace, request: PredictionRequest) -> dict[str, Any]:
    """Classify images and return the summary."""
    return predict.predict_galaxies(workspace, request)
