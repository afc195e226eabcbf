"""Build a real/bogus dataset: frames or triplets, injection, subtraction, detection, validation, split, publish."""

from functools import partial
from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.building.builder_turn import builder_turn
from tasks.building.publish import finished_summary
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.harvest import gather_candidates
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.build_candidates import ITEMS_A_VISIT, collect_candidates, plan_candidates, show_candidates
from tasks.stages.datasets.publish import publish_build
from tasks.stages.datasets.verify import verify_published


@flow(
    name="build-realbogus-dataset",
    description="Build a validated, split dataset of triplets from survey frames",
    **run_page("dataset", "source", "night"),
)
@by_subject
def build_realbogus_dataset(
    dataset: parameter_types.NewDataset = "transients",
    source: parameter_types.CandidateSource = "simulated",
    path: parameter_types.CandidatePath = None,
    night: parameter_types.Night = 0,
    label_column: parameter_types.LabelColumn = None,
    group_column: parameter_types.GroupColumn = None,
    galaxy_catalog: parameter_types.GalaxyCatalog = None,
    known_objects: parameter_types.KnownObjects = None,
    known_without_epoch: parameter_types.KnownWithoutEpoch = "refuse",
    columns: parameter_types.CandidateColumns = None,
    limit: parameter_types.CandidateLimit = None,
    stamp_px: parameter_types.StampPx = 29,
    chips: parameter_types.Chips = 8,
    visits: parameter_types.Visits = 3,
    revisits: parameter_types.Revisits = 1,
    scene_transients: parameter_types.SceneTransients = 0.1,
    diversity: parameter_types.Diversity = 1.0,
    seeing_arcsec: parameter_types.Seeing = 3.4,
    randomisation: parameter_types.Randomisation = 0.0,
    conditions: parameter_types.Conditions = None,
    galaxy_fraction: parameter_types.GalaxyFraction = 0.5,
    balance: parameter_types.Balance = "asked",
    variable_fraction: parameter_types.VariableFraction = 0.0,
    injections_per_visit: parameter_types.InjectionsPerVisit = 20,
    injection_rounds: parameter_types.InjectionRounds = 1,
    engine: parameter_types.Engine = "alard-lupton",
    threshold_sigma: parameter_types.ThresholdSigma = 5.0,
    verify_existing: parameter_types.VerifyExisting = False,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Build a real/bogus dataset or add to it; return the counts of requested, rejected and stored samples."""
    request = CandidateBuildRequest(
        dataset=dataset,
        source=source,
        path=path,
        night=night,
        stamp_px=stamp_px,
        label_column=label_column,
        group_column=group_column,
        galaxy_catalog=galaxy_catalog,
        known_objects=known_objects,
        known_without_epoch=known_without_epoch,
        columns=columns,
        galaxy_fraction=galaxy_fraction,
        balance=balance,
        variable_fraction=variable_fraction,
        injections_per_visit=injections_per_visit,
        injection_rounds=injection_rounds,
        chips=chips,
        visits=visits,
        revisits=revisits,
        scene_transients=scene_transients,
        diversity=diversity,
        seeing_arcsec=seeing_arcsec,
        randomisation=randomisation,
        conditions=conditions,
        engine=engine,
        threshold_sigma=threshold_sigma,
        limit=limit,
        verify_existing=verify_existing,
        seed=seed,
    )
    workspace = Workspace.current()
    with builder_turn(workspace, dataset):
        if request.verify_existing:
            verify_published(workspace, dataset)
        plan = plan_candidates(workspace, request)
        if plan.is_finished():
            return finished_summary(workspace, plan)
        with cluster(ITEMS_A_VISIT * len(plan.batches)) as executor:
            collect_candidates(plan, executor)
            summary = publish_build(workspace, partial(gather_candidates, plan), executor, 0)
    show_candidates(workspace, plan, summary)
    return summary
