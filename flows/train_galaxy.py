"""Train a galaxy classifier on a dataset and register it."""

from typing import Any

from prefect import flow

from flows import described
from tasks.stages.galaxy_train import GalaxyTrainRequest, open_galaxy_training
from tasks.stages.train import train
from tasks.workspace import Workspace


@flow(name="train-galaxy", description="Fit a network on a dataset's train part, judge it on test, register it")
def train_galaxy(
    dataset: described.Dataset = "sky",
    scheme: described.Scheme = None,
    network: described.Network = "cnn",
    optimizer: described.Optimizer = "adam",
    preset: described.Preset = "tuned",
    epochs: described.Epochs = None,
    batch_size: described.BatchSize = None,
    seed: described.Seed = 0,
    device: described.Device = "auto",
    grey: described.Grey = False,
) -> dict[str, Any]:
    """Train a galaxy classifier and return its figures."""
    request = GalaxyTrainRequest(**locals())
    return train(open_galaxy_training(Workspace.current(), request))
