"""Collecting candidates: every chip-visit or batch of triplets that is missing, in parallel, into staging."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.collect import ObserveJob, observe_batch
from tasks.candidates.plan import CandidatePlan
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress

ITEMS_A_VISIT = 50
"""A visit is seconds of work, so a few are worth a cluster."""


@task(name="collect", description="Inject, subtract, detect and cut, or read, in parallel", cache_policy=NO_CACHE)
def collect_candidates(plan: CandidatePlan, executor: Executor) -> None:
    """Collect the plan's batches that are not finished."""
    staging, source = plan.staging, plan.source
    left = [batch for batch in plan.batches if not staging.is_finished(batch.number)]
    jobs = (ObserveJob(batch.number, batch.key, plan.observer, source, staging, batch.known) for batch in left)
    with progress("collecting", len(left)) as advance:
        for _ in executor.map(observe_batch, jobs):
            advance(1)
