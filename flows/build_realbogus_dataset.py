"""Build a real/bogus dataset: frames or triplets, injection, subtraction, detection, validation, split, publish."""

from functools import partial
from typing import Any

from prefect import flow

from flows import described
from tasks.cluster import cluster
from tasks.stages.publish import finished_summary, publish_build
from tasks.stages.realbogus_collect import ITEMS_A_VISIT, collect_candidates
from tasks.stages.realbogus_harvest import gather_candidates
from tasks.stages.realbogus_plan import CandidateRequest, plan_candidates
from tasks.stages.realbogus_show import show_candidates
from tasks.store.locks import one_builder
from tasks.workspace import Workspace


@flow(name="build-realbogus-dataset", description="From survey frames to a validated, split triplet dataset in Zarr")
def build_realbogus_dataset(
    dataset: described.NewDataset = "transients",
    source: described.CandidateSource = "simulated",
    path: described.CandidatePath = None,
    night: described.Night = 0,
    stamp_px: described.StampPx = 29,
    label_column: described.LabelColumn = None,
    group_column: described.GroupColumn = None,
    galaxy_catalog: described.GalaxyCatalog = None,
    known_objects: described.KnownObjects = None,
    galaxy_fraction: described.GalaxyFraction = 0.5,
    balance: described.Balance = "asked",
    injections_per_visit: described.InjectionsPerVisit = 20,
    chips: described.Chips = 8,
    visits: described.Visits = 3,
    revisits: described.Revisits = 1,
    scene_transients: described.SceneTransients = 0.1,
    diversity: described.Diversity = 1.0,
    seeing_arcsec: described.Seeing = 3.4,
    engine: described.Engine = "alard-lupton",
    threshold_sigma: described.ThresholdSigma = 5.0,
    limit: described.CandidateLimit = None,
    seed: described.Seed = 0,
) -> dict[str, Any]:
    """Build or grow a real/bogus dataset and return its account."""
    request = CandidateRequest(**locals())
    workspace = Workspace.current()
    with one_builder(workspace.datasets / dataset):
        plan = plan_candidates(workspace, request)
        if plan.is_finished():
            return finished_summary(workspace, plan)
        with cluster(ITEMS_A_VISIT * len(plan.batches)) as executor:
            collect_candidates(plan, executor)
            summary = publish_build(workspace, partial(gather_candidates, plan), executor, 0)
    show_candidates(workspace, summary)
    return summary
