"""Stages of a relabelling: folds, suspects, second training, report."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.cluster import Executor
from tasks.stages.models.train import train
from tasks.training import relabel as stages
from tasks.training.relabel import RelabelRound, RelabelSteps, RelabelTask


@task(name="folds", description="Score the training part out of fold", cache_policy=NO_CACHE)
def score_folds(relabel: RelabelTask, labels: str | None, executor: Executor) -> pa.Table:
    """Return out-of-fold scores of the training part: id, fold, label and the networks' outputs."""
    return stages.score_folds(relabel, labels, executor)


@task(name="select", description="Find suspect labels and publish the relabelling", cache_policy=NO_CACHE)
def select_suspects(
    relabel: RelabelTask, scores: pa.Table, source: str | None, number: int
) -> tuple[str, NDArray[np.bool_]]:
    """Publish a round's relabelling; return its name and which of the n scored samples are suspect, (n,)."""
    return stages.select_suspects(relabel, scores, source, number)


@task(name="report", description="Rank the labels and compare both trainings", cache_policy=NO_CACHE)
def report_round(relabel: RelabelTask, last: RelabelRound, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Publish what the problem shows of the last round; return its entries of the summary."""
    return relabel.report(last, summary)


def relabel_candidates(relabel: RelabelTask, executor: Executor) -> dict[str, Any]:
    """Run the stages up to the requested one, each as a task, and return the summary."""
    return stages.relabel_and_retrain(relabel, executor, RelabelSteps(score_folds, select_suspects, train))


def relabel_galaxies(relabel: RelabelTask, executor: Executor) -> dict[str, Any]:
    """Run the stages up to the requested one and the report, each as a task, and return the summary."""
    steps = RelabelSteps(score_folds, select_suspects, train, report_round)
    return stages.relabel_and_retrain(relabel, executor, steps)
