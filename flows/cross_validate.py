"""Cross-validate a way of training over a whole dataset."""

from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from tasks.stages.cross_validate import cross_validate_folds
from tasks.stages.train import TrainRequest
from tasks.workspace import Workspace


@flow(name="cross-validate", description="Judge every labelled sample out of fold, by whole groups")
def cross_validate(
    dataset: Annotated[str, Field(description="Dataset: NAME, or NAME@3 for its third version")] = "sky",
    scheme: Annotated[str | None, Field(description="Class scheme; empty: the dataset's first")] = None,
    network: Annotated[Literal["cnn"], Field(description="Kind of network")] = "cnn",
    preset: Annotated[
        Literal["deck", "tuned"], Field(description="deck: the slides' recipe; tuned: the better one")
    ] = "tuned",
    optimizer: Annotated[Literal["sgd", "adam"], Field(description="Optimiser")] = "adam",
    folds: Annotated[int, Field(description="Parts that are judged in turn", ge=2)] = 5,
    epochs: Annotated[int | None, Field(description="Exactly so many epochs; empty: the preset's rule")] = None,
    batch_size: Annotated[int | None, Field(description="Images a step; empty: the preset's")] = None,
    seed: Annotated[int, Field(description="Seed of folds, weights, order and random views")] = 0,
    device: Annotated[
        Literal["auto", "cpu", "gpu"], Field(description="auto: every GPU there is, else the processor")
    ] = "auto",
    grey: Annotated[bool, Field(description="Replace colour by luminance, inside the model")] = False,
) -> dict[str, Any]:
    """Cross-validate and return the pooled figures; finished folds are not run again."""
    asked = {name: value for name, value in locals().items() if name != "folds"}
    return cross_validate_folds(Workspace.current(), TrainRequest(**asked), folds)
