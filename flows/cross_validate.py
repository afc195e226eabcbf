"""Cross-validate a way of training over a whole dataset."""

from typing import Annotated, Any

from prefect import flow

from flows import described
from tasks.stages.cross_validate import cross_validate_folds
from tasks.stages.train import TrainRequest
from tasks.workspace import Workspace


@flow(name="cross-validate", description="Judge every labelled sample out of fold, by whole groups")
def cross_validate(
    dataset: described.Dataset = "sky",
    scheme: described.Scheme = None,
    network: described.Network = "cnn",
    preset: described.Preset = "tuned",
    optimizer: described.Optimizer = "adam",
    folds: Annotated[int, described.told("Parts that are judged in turn", ge=2)] = 5,
    epochs: described.Epochs = None,
    batch_size: described.BatchSize = None,
    seed: described.Seed = 0,
    device: described.Device = "auto",
    grey: described.Grey = False,
) -> dict[str, Any]:
    """Cross-validate and return the pooled figures; finished folds are not run again."""
    asked = {name: value for name, value in locals().items() if name != "folds"}
    return cross_validate_folds(Workspace.current(), TrainRequest(**asked), folds)
