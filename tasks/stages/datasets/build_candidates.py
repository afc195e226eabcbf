"""Stages of `build-realbogus-dataset` before and after the publishing: plan, collect, show."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.building import plan
from tasks.candidates.building.build_page import report_build
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.collect import CollectJob, collect_batch
from tasks.candidates.building.plan import CandidatePlan
from tasks.candidates.building.rejected_stamps import RejectedStamps
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_dataset
from tasks.store.dataset import Dataset

ITEMS_A_VISIT = 50
"""Work items of a chip-visit, for `cluster`: it takes seconds, so a few are worth starting workers."""


@task(name="plan", description="List chip-visits or batches, and find those already published", cache_policy=NO_CACHE)
def plan_candidates(workspace: Workspace, request: CandidateBuildRequest) -> CandidatePlan:
    """Write the plan of a build into the dataset's staging folder."""
    return plan.plan_candidates(workspace, request)


@task(name="collect", description="Inject, subtract, detect and cut, or read, in parallel", cache_policy=NO_CACHE)
def collect_candidates(plan: CandidatePlan, executor: Executor) -> None:
    """Collect the plan's unfinished batches into staging, in parallel."""
    staging, collector, source = plan.staging, plan.collector, plan.source
    finished = staging.finished()
    unfinished = [batch for batch in plan.batches if batch.number not in finished]
    jobs = (CollectJob(batch.number, batch.key, collector, source, staging, batch.published) for batch in unfinished)
    with progress("collecting", len(unfinished)) as advance:
        totals = {"stored": 0, "rejected": 0}
        for counts in executor.map(collect_batch, jobs):
            totals = {name: totals[name] + counts[name] for name in totals}
            advance(1)
            advance.say(f"candidates: {totals['stored']} stored, {totals['rejected']} rejected")


@task(
    name="show-candidates",
    description="Show counts, sample triplets and completeness of a build",
    cache_policy=NO_CACHE,
)
def show_candidates(workspace: Workspace, plan: CandidatePlan, summary: dict[str, Any]) -> None:
    """Write the page of a real/bogus build and its artifacts."""
    dataset = Dataset.open(workspace, f"{summary['dataset']}@{summary['version']}")
    show_dataset(workspace, dataset, summary, report_build(dataset, summary, RejectedStamps(plan).preview))
