"""Score a night of candidates."""

from typing import Annotated, Any, Literal

from prefect import flow

from flows.cli import parameter_types
from tasks.night.request import NightRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.score_night import score_night as score_candidates
from tasks.stages.show import show_summary


@flow(name="score-night", description="Stream candidates through the champion, one row each, the best on a page")
def score_night(
    path: Annotated[
        str, parameter_types.told("Dataset (NAME or NAME@3), .npz or .npy of triplets, alert packets, or a Zarr array")
    ] = "transients",
    model: Annotated[
        str, parameter_types.told("Run id, models:/NAME/VERSION, NAME@alias, or an alias alone")
    ] = "champion",
    first: Annotated[
        str | None,
        parameter_types.told("Cheap model that goes before (network=first), where one is registered; null: none"),
    ] = "champion",
    threshold: Annotated[float | None, parameter_types.told("Logit from which on a candidate is one")] = None,
    tpr: Annotated[
        float | None, parameter_types.told("Operating point of the model: 0.9, 0.95 or 0.99; empty: 0.9")
    ] = None,
    max_candidates: Annotated[int | None, parameter_types.told("Take the best so many of the night")] = None,
    night_prior: Annotated[
        float, parameter_types.told("Share of reals in a night, for the probability at that prior")
    ] = 1e-3,
    night: Annotated[str | None, parameter_types.told("Name of the scores file; empty: the source's")] = None,
    against: Annotated[
        str | None, parameter_types.told("Model in use before, which scores the night too: counts at equal recovery")
    ] = None,
    engine: Annotated[
        Literal["auto", "onnx", "tensorflow"],
        parameter_types.told("ONNX Runtime where its answers are Keras's; tensorflow for a graphics processor"),
    ] = "auto",
) -> dict[str, Any]:
    """Score a night and return the account."""
    request = NightRequest(**locals())
    summary = score_candidates(Workspace.current(), request)
    show_summary(summary)
    return summary
