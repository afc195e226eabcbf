"""Train a galaxy classifier on a dataset and register it."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.galaxies.methods import TrainingMethods
from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.runtime.workspace import Workspace
from tasks.stages.models.train import train


@flow(
    name="train-galaxy",
    description="Train a network, evaluate it on the test part, register it",
    **run_page("dataset", "scheme", "network"),
)
@by_subject
def train_galaxy(
    dataset: parameter_types.Dataset = "sky",
    scheme: parameter_types.Scheme = None,
    labels: parameter_types.Relabelling = None,
    grey: parameter_types.Grey = False,
    network: parameter_types.Network = "cnn",
    preset: parameter_types.Preset = "tuned",
    weights: parameter_types.Weights = "none",
    methods: parameter_types.Methods = None,
    optimizer: parameter_types.Optimizer = None,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    device: parameter_types.Device = "auto",
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Train a galaxy classifier and return its metrics."""
    request = GalaxyTrainRequest(
        dataset=dataset,
        scheme=scheme,
        network=network,
        optimizer=optimizer,
        preset=preset,
        weights=weights,
        methods=methods or TrainingMethods(),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        labels=labels,
        device=device,
        grey=grey,
    )
    return train(open_galaxy_training(Workspace.current(), request, every_part=True))
