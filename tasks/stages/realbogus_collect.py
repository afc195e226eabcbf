"""Collecting candidates: every chip-visit or batch of triplets that is missing, in parallel, into staging."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.cluster import Executor
from tasks.observing import ObserveJob, observe_batch
from tasks.progress import progress
from tasks.stages.realbogus_plan import CandidatePlan

MOST_FAULTS_TOLD = 10


@task(name="collect", description="Inject, subtract, detect and cut, or read, in parallel", cache_policy=NO_CACHE)
def collect_candidates(plan: CandidatePlan, executor: Executor) -> list[str]:
    """Collect the plan's batches that are not finished; return what kept chip-visits from being worked on."""
    staging, source = plan.plan.staging, plan.plan.source
    left = [batch for batch in plan.batches if not staging.is_finished(batch.number)]
    jobs = (ObserveJob(batch.number, batch.key, plan.observer, source, staging, batch.known) for batch in left)
    faults: list[str] = []
    with progress("collecting", len(left)) as advance:
        for counts in executor.map(observe_batch, jobs):
            faults += counts["faults"]
            advance(1)
    for fault in faults[:MOST_FAULTS_TOLD]:
        get_run_logger().warning("a chip-visit was left out: %s", fault)
    if len(faults) > MOST_FAULTS_TOLD:
        get_run_logger().warning("and %d more", len(faults) - MOST_FAULTS_TOLD)
    return faults
