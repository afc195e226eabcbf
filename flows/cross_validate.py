"""Cross-validate training settings over a whole dataset."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.models.cross_validate import cross_validate_folds, is_absent
from tasks.stages.models.training_registry import open_training


@flow(
    name="cross-validate",
    description="Score every labelled sample out of fold, with whole groups in one fold",
    **run_page("dataset", "scheme", "network"),
)
@by_subject
def cross_validate(
    dataset: parameter_types.Dataset = "sky",
    scheme: parameter_types.Scheme = None,
    grey: Annotated[bool | None, parameter_types.param("For galaxies: convert images to luminance")] = None,
    network: Annotated[
        str | None, parameter_types.param("Network architecture; null: cnn for galaxies, simple for candidates")
    ] = None,
    preset: Annotated[str | None, parameter_types.param("For galaxies: deck or tuned; null: tuned")] = None,
    weights: Annotated[
        str | None, parameter_types.param("For galaxies: initial weights, as of train-galaxy; null: none")
    ] = None,
    methods: Annotated[
        dict[str, Any] | None,
        parameter_types.param("Changes of the preset by name, as of train-galaxy or train-realbogus; null: none"),
    ] = None,
    size: Annotated[str | None, parameter_types.param("For candidates: small or full; null: small")] = None,
    profile: Annotated[
        str | None, parameter_types.param("For candidates: published, as-written or fixed; null: fixed")
    ] = None,
    normalisation: parameter_types.Normalisation = None,
    optimizer: Annotated[
        str | None, parameter_types.param("Optimiser: adam, sgd or, for candidates, adadelta; null: the preset's")
    ] = None,
    folds: Annotated[int, parameter_types.param("Number of folds", ge=2)] = 5,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    device: parameter_types.Device = "auto",
    seed: parameter_types.Seed = 0,
    skip_absent: Annotated[
        bool, parameter_types.param("Without the dataset end with a message, as a schedule does, and no error")
    ] = False,
) -> dict[str, Any]:
    """Cross-validate and return the pooled metrics; finished folds are not repeated."""
    workspace = Workspace.current()
    if skip_absent and is_absent(workspace, dataset):
        return {"skipped": f"there is no dataset {dataset!r}"}
    parameters = {
        "dataset": dataset,
        "scheme": scheme,
        "network": network,
        "preset": preset,
        "weights": weights,
        "methods": methods,
        "size": size,
        "profile": profile,
        "optimizer": optimizer,
        "normalisation": normalisation,
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
        "grey": grey,
    }
    return cross_validate_folds(open_training(workspace, parameters), folds)
