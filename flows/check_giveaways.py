"""Check that a classifier cannot tell injected transients from the simulated scene's own but by what both are."""

from typing import Annotated, Any

from prefect import flow

from flows import described
from tasks.cluster import cluster
from tasks.stages.giveaways import GiveawayRequest, SpoilName, judge_planted
from tasks.stages.realbogus_collect import ITEMS_A_VISIT
from tasks.stages.show import show_summary
from tasks.workspace import Workspace


@flow(name="check-giveaways", description="Injected against scene transients: what could tell them apart, one by one")
def check_giveaways(
    chips: described.Chips = 8,
    visits: described.Visits = 10,
    scene_transients: described.SceneTransients = 110,
    injections_per_visit: described.InjectionsPerVisit = 110,
    height_px: Annotated[int, described.told("Height of a chip, pixels; 640 or more has stars enough")] = 1128,
    width_px: Annotated[int, described.told("Width of a chip, pixels")] = 2000,
    spoil: Annotated[
        SpoilName,
        described.told("Lay injections with one give-away, to see that it is found; none: as they are shipped"),
    ] = "none",
    dataset: Annotated[
        str | None, described.told("Real/bogus dataset whose difficulty is judged too: NAME or NAME@3")
    ] = None,
    seed: described.Seed = 0,
) -> dict[str, Any]:
    """Compare injected transients with the scene's own and return each check's figure, limit and verdict."""
    request = GiveawayRequest(**locals())
    with cluster(ITEMS_A_VISIT * request.count) as executor:
        summary = judge_planted(Workspace.current(), request, executor)
    show_summary(summary)
    return summary
