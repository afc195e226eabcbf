"""Stages of `relabel-and-retrain`: folds, suspects, second training."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.cluster import Executor
from tasks.runtime.workspace import Workspace
from tasks.stages.train import train
from tasks.studies import relabel
from tasks.studies.relabel import RelabelRequest, RelabelSteps


@task(name="folds", description="Score the training part out of fold", cache_policy=NO_CACHE)
def score_folds(workspace: Workspace, request: RelabelRequest, labels: str | None, executor: Executor) -> pa.Table:
    """Return out-of-fold scores of the training part: id, logit, fold, label."""
    return relabel.score_folds(workspace, request, labels, executor)


@task(name="select", description="Find suspect labels and publish the relabelling", cache_policy=NO_CACHE)
def select_suspects(
    workspace: Workspace, request: RelabelRequest, scores: pa.Table, source: str | None, number: int
) -> tuple[str, NDArray[np.bool_]]:
    """Publish a round's relabelling; return its name and which of the n scored samples are suspect, (n,)."""
    return relabel.select_suspects(workspace, request, scores, source, number)


def relabel_and_retrain(workspace: Workspace, request: RelabelRequest, executor: Executor) -> dict[str, Any]:
    """Run the stages up to the requested one, each as a task, and return the summary."""
    steps = RelabelSteps(score_folds, select_suspects, train)
    return relabel.relabel_and_retrain(workspace, request, executor, steps)
