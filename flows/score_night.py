"""Score a night of candidates."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.night.request import NightRequest
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.nights.score_night import score_night as score_candidates


@flow(
    name="score-night",
    description="Score candidates with the champion model and show the best",
    **run_page("night", "path", "model"),
)
@by_subject
def score_night(
    path: Annotated[
        str | None,
        parameter_types.param(
            "Candidates: dataset (NAME or NAME@3), .npz or .npy of triplets, alert packets, or Zarr array; null: the "
            "newest night that was made or ingested"
        ),
    ] = None,
    night: Annotated[str | None, parameter_types.param("Name of the scores file; null: that of the source")] = None,
    model: parameter_types.Model = "champion",
    first: Annotated[
        str | None,
        parameter_types.param("Fast first model (network=first) that discards bogus, if one is registered; null: none"),
    ] = "champion",
    detector: Annotated[
        str | None,
        parameter_types.param("Detector whose own operating point sets the threshold; null: that of all detectors"),
    ] = None,
    against: Annotated[
        str | None,
        parameter_types.param("Second model that scores the night; candidate counts are compared at equal recovery"),
    ] = None,
    threshold: Annotated[float | None, parameter_types.param("Minimum logit of a selected candidate")] = None,
    tpr: Annotated[
        float | None, parameter_types.param("True-positive rate of the operating point: 0.9, 0.95 or 0.99; null: 0.9")
    ] = None,
    max_candidates: Annotated[
        int | None, parameter_types.param("Number of candidates to select, highest scores first")
    ] = None,
    night_prior: Annotated[
        float, parameter_types.param("Assumed fraction of reals, prior of the column probability_night")
    ] = 1e-3,
    engine: parameter_types.ScoringEngine = "auto",
) -> dict[str, Any]:
    """Score a night and return its counts."""
    request = NightRequest(
        path=path,
        model=model,
        first=first,
        threshold=threshold,
        tpr=tpr,
        detector=detector,
        max_candidates=max_candidates,
        night_prior=night_prior,
        night=night,
        against=against,
        engine=engine,
    )
    summary = score_candidates(Workspace.current(), request)
    show_summary(summary)
    return summary
