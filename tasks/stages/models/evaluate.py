"""Evaluation of a registered model as a stage of a flow."""

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.evaluation import evaluate_candidates
from tasks.galaxies.evaluation import evaluate_galaxies
from tasks.runtime.workspace import Workspace
from tasks.store.schema import GALAXY, REALBOGUS
from tasks.training.holdout import HoldoutRequest, evaluate_registered

EVALUATORS: dict[str, Callable[..., dict[str, Any]]] = {GALAXY: evaluate_galaxies, REALBOGUS: evaluate_candidates}


@task(
    name="evaluate",
    description="Evaluate a registered model on a part of a dataset, write the report",
    cache_policy=NO_CACHE,
)
def evaluate(workspace: Workspace, request: HoldoutRequest) -> dict[str, Any]:
    """Evaluate the model and return the summary."""
    return evaluate_registered(workspace, request, EVALUATORS)
