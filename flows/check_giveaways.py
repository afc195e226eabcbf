"""Check that injected transients are indistinguishable from the simulated scene's own."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.build_candidates import ITEMS_A_VISIT
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.check_giveaways import audit_survey
from tasks.studies.choices import InjectionFlaw
from tasks.studies.giveaways import GiveawayRequest


@flow(
    name="check-giveaways",
    description="Compare injected with scene transients, property by property",
    **run_page("dataset", "chips", "visits"),
)
@by_subject
def check_giveaways(
    dataset: Annotated[
        str | None, parameter_types.param("Real/bogus dataset whose difficulty is measured as well: NAME or NAME@3")
    ] = None,
    height_px: Annotated[
        int, parameter_types.param("Height of a detector in pixels; below 640 there are too few stars")
    ] = 1128,
    width_px: Annotated[int, parameter_types.param("Width of a detector in pixels")] = 2000,
    chips: parameter_types.Chips = 8,
    visits: parameter_types.Visits = 10,
    scene_transients: parameter_types.SceneTransients = 110,
    injections_per_visit: parameter_types.InjectionsPerVisit = 110,
    variable_fraction: parameter_types.VariableFraction = 0.0,
    spoil: Annotated[
        InjectionFlaw,
        parameter_types.param("Flaw given to all injections to verify that its check fails; none: regular injections"),
    ] = "none",
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Compare injected transients with the scene's own; return value, limit and result of each check."""
    request = GiveawayRequest(
        chips=chips,
        visits=visits,
        scene_transients=scene_transients,
        injections_per_visit=injections_per_visit,
        variable_fraction=variable_fraction,
        height_px=height_px,
        width_px=width_px,
        spoil=spoil,
        dataset=dataset,
        seed=seed,
    )
    with cluster(ITEMS_A_VISIT * request.count) as executor:
        summary = audit_survey(Workspace.current(), request, executor)
    show_summary(summary)
    return summary
