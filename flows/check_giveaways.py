"""Check that a classifier cannot tell injected transients from the simulated scene's own but by what both are."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.collect_candidates import ITEMS_A_VISIT
from tasks.stages.show import show_summary
from tasks.studies.giveaways import GiveawayRequest, SpoilName, judge_planted


@flow(name="check-giveaways", description="Injected against scene transients: what could tell them apart, one by one")
def check_giveaways(
    chips: parameter_types.Chips = 8,
    visits: parameter_types.Visits = 10,
    scene_transients: parameter_types.SceneTransients = 110,
    injections_per_visit: parameter_types.InjectionsPerVisit = 110,
    height_px: Annotated[int, parameter_types.told("Height of a chip, pixels; 640 or more has stars enough")] = 1128,
    width_px: Annotated[int, parameter_types.told("Width of a chip, pixels")] = 2000,
    spoil: Annotated[
        SpoilName,
        parameter_types.told("Lay injections with one give-away, to see that it is found; none: as they are shipped"),
    ] = "none",
    dataset: Annotated[
        str | None, parameter_types.told("Real/bogus dataset whose difficulty is judged too: NAME or NAME@3")
    ] = None,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Compare injected transients with the scene's own and return each check's figure, limit and verdict."""
    request = GiveawayRequest(**locals())
    with cluster(ITEMS_A_VISIT * request.count) as executor:
        summary = judge_planted(Workspace.current(), request, executor)
    show_summary(summary)
    return summary
