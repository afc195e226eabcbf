"""Score a night of candidates."""

from typing import Annotated, Any, Literal

from prefect import flow

from flows import described
from tasks.stages.score_night import NightRequest, score_candidates
from tasks.stages.show import show_summary
from tasks.workspace import Workspace


@flow(name="score-night", description="Stream candidates through the champion, one row each, the best on a page")
def score_night(
    path: Annotated[
        str, described.told("Dataset (NAME or NAME@3), .npz or .npy of triplets, alert packets, or a Zarr array")
    ] = "transients",
    model: Annotated[str, described.told("Run id, models:/NAME/VERSION, NAME@alias, or an alias alone")] = "champion",
    first: Annotated[
        str | None, described.told("Cheap model that goes before (network=first), where one is registered; null: none")
    ] = "champion",
    threshold: Annotated[float | None, described.told("Logit from which on a candidate is one")] = None,
    tpr: Annotated[float | None, described.told("Operating point of the model: 0.9, 0.95 or 0.99; empty: 0.9")] = None,
    max_candidates: Annotated[int | None, described.told("Take the best so many of the night")] = None,
    night_prior: Annotated[
        float, described.told("Share of reals in a night, for the probability at that prior")
    ] = 1e-3,
    night: Annotated[str | None, described.told("Name of the scores file; empty: the source's")] = None,
    against: Annotated[
        str | None, described.told("Model in use before, which scores the night too: counts at equal recovery")
    ] = None,
    engine: Annotated[
        Literal["auto", "onnx", "tensorflow"],
        described.told("ONNX Runtime where its answers are Keras's; tensorflow for a graphics processor"),
    ] = "auto",
) -> dict[str, Any]:
    """Score a night and return the account."""
    request = NightRequest(**locals())
    summary = score_candidates(Workspace.current(), request)
    show_summary(summary)
    return summary
