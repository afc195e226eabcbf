"""Training a classifier as a stage of a flow."""

import time
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.training import CandidateTrainRequest, detectors_of, open_candidate_training
from tasks.runtime.workspace import Workspace
from tasks.training.train import train_model
from tasks.training.training_task import TrainingTask


@task(
    name="train",
    description="Fit the network, calibrate on validation, evaluate on test, register",
    cache_policy=NO_CACHE,
)
def train(training: TrainingTask) -> dict[str, Any]:
    """Train, register and return the summary."""
    return train_model(training)


def train_candidates(workspace: Workspace, request: CandidateTrainRequest) -> dict[str, Any]:
    """Train one model; with treatment=each and no detector, one for every detector, as ``rows``."""
    if request.treatment != "each" or request.detector is not None:
        return train(open_candidate_training(workspace, request, every_part=True))
    started = time.monotonic()
    rows = []
    for detector in detectors_of(open_candidate_training(workspace, request, every_part=True)):
        of_detector = request.model_copy(update={"detector": detector})
        rows.append({"detector": detector, **train(open_candidate_training(workspace, of_detector))})
    return {"rows": rows, "seconds": round(time.monotonic() - started, 1)}
