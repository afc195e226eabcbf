"""Train a real/bogus classifier on a dataset and register it."""

from typing import Any

from prefect import flow

from flows import described
from tasks.stages.realbogus_train import CandidateTrainRequest, train_candidates
from tasks.workspace import Workspace


@flow(name="train-realbogus", description="Fit a network on candidates, judge it at the operating point, register it")
def train_realbogus(
    dataset: described.Dataset = "transients",
    network: described.CandidateNetwork = "complex",
    size: described.CandidateSize = "small",
    profile: described.Profile = "fixed",
    treatment: described.Treatment = "all",
    detector: described.Detector = None,
    loss_ce: described.LossWeight = None,
    loss_ech: described.LossWeight = None,
    loss_lds: described.LossWeight = None,
    optimizer: described.CandidateOptimizer = None,
    normalisation: described.Normalisation = None,
    epochs: described.Epochs = None,
    batch_size: described.BatchSize = None,
    seed: described.Seed = 0,
    labels: described.Relabelling = None,
    device: described.Device = "auto",
) -> dict[str, Any]:
    """Train a real/bogus classifier and return its figures; treatment=each without a detector gives ``rows``."""
    request = CandidateTrainRequest(**locals())
    return train_candidates(Workspace.current(), request)
