"""Cross-validate a way of training over a whole dataset."""

from typing import Annotated, Any

from prefect import flow

from flows import described
from tasks.stages.cross_validate import cross_validate_folds
from tasks.stages.trainings import open_training
from tasks.workspace import Workspace


@flow(name="cross-validate", description="Judge every labelled sample out of fold, by whole groups")
def cross_validate(
    dataset: described.Dataset = "sky",
    scheme: described.Scheme = None,
    network: Annotated[
        str | None, described.told("Architecture; empty: cnn for galaxies, complex for candidates")
    ] = None,
    preset: Annotated[str | None, described.told("For galaxies: deck or tuned; empty: tuned")] = None,
    size: Annotated[str | None, described.told("For candidates: small or full; empty: small")] = None,
    profile: Annotated[
        str | None, described.told("For candidates: published, as-written or fixed; empty: fixed")
    ] = None,
    optimizer: Annotated[str | None, described.told("adam, sgd or, for candidates, adadelta")] = None,
    normalisation: described.Normalisation = None,
    folds: Annotated[int, described.told("Parts that are judged in turn", ge=2)] = 5,
    epochs: described.Epochs = None,
    batch_size: described.BatchSize = None,
    seed: described.Seed = 0,
    device: described.Device = "auto",
    grey: Annotated[bool | None, described.told("For galaxies: images without colour")] = None,
) -> dict[str, Any]:
    """Cross-validate and return the pooled figures; finished folds are not run again."""
    asked = {name: value for name, value in locals().items() if name != "folds"}
    return cross_validate_folds(open_training(Workspace.current(), asked), folds)
