"""Cross-validate a way of training over a whole dataset."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from tasks.runtime.workspace import Workspace
from tasks.stages.training_registry import open_training
from tasks.training.cross_validate import cross_validate_folds


@flow(name="cross-validate", description="Judge every labelled sample out of fold, by whole groups")
def cross_validate(
    dataset: parameter_types.Dataset = "sky",
    scheme: parameter_types.Scheme = None,
    network: Annotated[
        str | None, parameter_types.told("Architecture; empty: cnn for galaxies, complex for candidates")
    ] = None,
    preset: Annotated[str | None, parameter_types.told("For galaxies: deck or tuned; empty: tuned")] = None,
    size: Annotated[str | None, parameter_types.told("For candidates: small or full; empty: small")] = None,
    profile: Annotated[
        str | None, parameter_types.told("For candidates: published, as-written or fixed; empty: fixed")
    ] = None,
    optimizer: Annotated[str | None, parameter_types.told("adam, sgd or, for candidates, adadelta")] = None,
    normalisation: parameter_types.Normalisation = None,
    folds: Annotated[int, parameter_types.told("Parts that are judged in turn", ge=2)] = 5,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    seed: parameter_types.Seed = 0,
    device: parameter_types.Device = "auto",
    grey: Annotated[bool | None, parameter_types.told("For galaxies: images without colour")] = None,
) -> dict[str, Any]:
    """Cross-validate and return the pooled figures; finished folds are not run again."""
    asked = {name: value for name, value in locals().items() if name != "folds"}
    return cross_validate_folds(open_training(Workspace.current(), asked), folds)
