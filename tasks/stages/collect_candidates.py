"""Collecting stage of `build-realbogus-dataset`."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.collect import CollectJob, collect_batch
from tasks.candidates.plan import CandidatePlan
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress

ITEMS_A_VISIT = 50
"""Work items of a chip-visit, for `cluster`: it takes seconds, so a few are worth starting workers."""


@task(name="collect", description="Inject, subtract, detect and cut, or read, in parallel", cache_policy=NO_CACHE)
def collect_candidates(plan: CandidatePlan, executor: Executor) -> None:
    """Collect the plan's unfinished batches into staging, in parallel."""
    staging, collector, source = plan.staging, plan.collector, plan.source
    unfinished = [batch for batch in plan.batches if not staging.is_finished(batch.number)]
    jobs = (CollectJob(batch.number, batch.key, collector, source, staging, batch.published) for batch in unfinished)
    with progress("collecting", len(unfinished)) as advance:
        for _ in executor.map(collect_batch, jobs):
            advance(1)
