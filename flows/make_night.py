"""Create a night of candidates from a simulated survey."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.night.simulated import NightToMake
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.nights.make_night import make_night as draw_night


@flow(
    name="make-night",
    description="Create a simulated night from a survey's triplets, rotated, shifted and with added noise",
    **run_page("dataset", "count"),
)
@by_subject
def make_night(
    dataset: parameter_types.Dataset = "transients",
    count: Annotated[int, parameter_types.param("Number of candidates")] = 20_000,
    real_share: Annotated[float, parameter_types.param("Fraction of real transients")] = 0.01,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Create the night and return its path, which score-night takes."""
    summary = draw_night(
        Workspace.current(), NightToMake(dataset=dataset, count=count, real_share=real_share, seed=seed)
    )
    show_summary(summary)
    return summary
