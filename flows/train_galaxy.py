"""Train a galaxy classifier on a dataset and register it."""

from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from tasks.stages.train import TrainRequest, train
from tasks.workspace import Workspace


@flow(name="train-galaxy", description="Fit a network on a dataset's train part, judge it on test, register it")
def train_galaxy(
    dataset: Annotated[str, Field(description="Dataset: NAME, or NAME@3 for its third version")] = "sky",
    scheme: Annotated[str | None, Field(description="Class scheme; empty: the dataset's first")] = None,
    network: Annotated[Literal["cnn"], Field(description="Kind of network")] = "cnn",
    optimizer: Annotated[Literal["sgd", "adam"], Field(description="Optimiser")] = "adam",
    preset: Annotated[
        Literal["deck", "tuned"], Field(description="deck: the slides' recipe; tuned: the better one")
    ] = "tuned",
    epochs: Annotated[int | None, Field(description="Exactly so many epochs; empty: the preset's rule")] = None,
    batch_size: Annotated[int | None, Field(description="Images a step; empty: the preset's")] = None,
    seed: Annotated[int, Field(description="Seed of weights, order and random views")] = 0,
    device: Annotated[
        Literal["auto", "cpu", "gpu"], Field(description="auto: every GPU there is, else the processor")
    ] = "auto",
    grey: Annotated[bool, Field(description="Replace colour by luminance, inside the model")] = False,
) -> dict[str, Any]:
    """Train a galaxy classifier and return its figures."""
    request = TrainRequest(**locals())
    return train(Workspace.current(), request)
