"""Collecting candidates: every chip-visit or batch of triplets that is missing, in parallel, into staging."""

from collections.abc import Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.cluster import Executor
from tasks.observing import ObserveJob, observe_batch
from tasks.progress import progress
from tasks.stages.realbogus_plan import CandidatePlan

ITEMS_A_VISIT = 50
"""A visit is seconds of work, so a few are worth a cluster."""
MOST_FAULTS_TOLD = 10


@task(name="collect", description="Inject, subtract, detect and cut, or read, in parallel", cache_policy=NO_CACHE)
def collect_candidates(plan: CandidatePlan, executor: Executor) -> None:
    """Collect the plan's batches that are not finished."""
    staging, source = plan.staging, plan.source
    left = [batch for batch in plan.batches if not staging.is_finished(batch.number)]
    jobs = (ObserveJob(batch.number, batch.key, plan.observer, source, staging, batch.known) for batch in left)
    with progress("collecting", len(left)) as advance:
        for _ in executor.map(observe_batch, jobs):
            advance(1)


def tell_faults(faults: Sequence[str]) -> None:
    """Log what kept chip-visits from being worked on, as far as anyone would read it."""
    for fault in faults[:MOST_FAULTS_TOLD]:
        get_run_logger().warning("a chip-visit was left out: %s", fault)
    if len(faults) > MOST_FAULTS_TOLD:
        get_run_logger().warning("and %d more", len(faults) - MOST_FAULTS_TOLD)
