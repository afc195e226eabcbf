"""Label an existing galaxy dataset for another class scheme."""

from functools import partial
from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.building.builder_turn import builder_turn
from tasks.galaxies.building.backfill import BackfillRequest, summarise_plan, truth_of_sky
from tasks.galaxies.building.harvest import gather_harvest
from tasks.galaxies.building.sources import open_source
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.backfill import begin_backfill, plan_backfill, show_backfill
from tasks.stages.datasets.build_galaxies import collect_cutouts
from tasks.stages.datasets.publish import publish_build
from tasks.store.dataset import Dataset


@flow(
    name="backfill-class-scheme",
    description="Label an existing dataset for another scheme",
    **run_page("dataset", "scheme"),
)
@by_subject
def backfill_class_scheme(
    dataset: Annotated[str, parameter_types.param("Name of the dataset; it gets a new version")] = "sky",
    scheme: Annotated[str, parameter_types.param("Class scheme: name of a shipped scheme, or a TOML file")] = "deck-7",
    catalog: Annotated[
        str | None,
        parameter_types.param("Catalogue or table with the classes, by id; null: that of the dataset's build"),
    ] = None,
    plan_only: Annotated[bool, parameter_types.param("Stop after the plan: nothing is fetched or published")] = False,
) -> dict[str, Any]:
    """Backfill a scheme; return the plan, and the counts of fetched, labelled and dropped objects."""
    workspace = Workspace.current()
    with builder_turn(workspace, Dataset.open(workspace, dataset).name):
        planned, outline = plan_backfill(workspace, BackfillRequest(dataset=dataset, scheme=scheme, catalog=catalog))
        if plan_only:
            return summarise_plan(planned, outline)
        if not planned.is_done:
            plan = begin_backfill(workspace, planned)
            with cluster(plan.work_items) as executor:
                with open_source(workspace, plan) as source:
                    counts = collect_cutouts(plan, source, executor, plan.request.max_connections)
                harvest = partial(gather_harvest, workspace, plan, truth_of_sky(workspace, planned))
                publish_build(workspace, harvest, executor, counts["requests"])
    return show_backfill(workspace, planned, outline)
