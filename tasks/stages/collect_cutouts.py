"""Collection stage of `build-galaxy-dataset`."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.galaxies.collect import Source, collect_batch, unfinished_batches
from tasks.galaxies.plan import GalaxyPlan
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress


@task(name="collect", description="Get every missing image, in parallel, into staging", cache_policy=NO_CACHE)
def collect(plan: GalaxyPlan, source: Source, executor: Executor, max_connections: int) -> dict[str, int]:
    """Collect the plan's unfinished batches; return counts of objects, stored and requests."""
    workers = min(executor.workers, max_connections)
    batches = unfinished_batches(plan, source, max_connections // workers)
    totals = {"objects": 0, "stored": 0, "requests": 0}
    with progress("collecting", sum(stop - start for _, start, stop in plan.unfinished_spans())) as advance:
        for counts in executor.map(collect_batch, batches, None if workers == executor.workers else workers):
            totals = {name: totals[name] + counts[name] for name in totals}
            advance(counts["objects"])
    return totals
