"""Train a real/bogus classifier on a dataset and register it."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.candidates.methods import CandidateMethods
from tasks.candidates.training import CandidateTrainRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.models.train import train_candidates


@flow(
    name="train-realbogus",
    description="Train a network, evaluate it on the test part, register it",
    **run_page("dataset", "network", "size"),
)
@by_subject
def train_realbogus(
    dataset: parameter_types.Dataset = "transients",
    labels: parameter_types.Relabelling = None,
    network: parameter_types.CandidateNetwork = "simple",
    size: parameter_types.CandidateSize = "small",
    profile: parameter_types.Profile = "fixed",
    treatment: parameter_types.Treatment = "all",
    detector: parameter_types.Detector = None,
    normalisation: parameter_types.Normalisation = None,
    weights: parameter_types.CandidateWeights = "none",
    methods: parameter_types.CandidateMethods = None,
    loss_ce: parameter_types.CrossEntropyWeight = None,
    loss_ech: parameter_types.AucWeight = None,
    loss_lds: parameter_types.SmoothnessWeight = None,
    smoothness: parameter_types.Smoothness = "vat",
    optimizer: parameter_types.CandidateOptimizer = None,
    keep: parameter_types.KeptEpoch = None,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    device: parameter_types.Device = "auto",
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Train a real/bogus classifier and return its metrics; treatment=each without a detector returns ``rows``."""
    request = CandidateTrainRequest(
        dataset=dataset,
        network=network,
        size=size,
        profile=profile,
        treatment=treatment,
        detector=detector,
        loss_ce=loss_ce,
        loss_ech=loss_ech,
        loss_lds=loss_lds,
        smoothness=smoothness,
        optimizer=optimizer,
        keep=keep,
        normalisation=normalisation,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        labels=labels,
        weights=weights,
        methods=methods or CandidateMethods(),
        device=device,
    )
    return train_candidates(Workspace.current(), request)
