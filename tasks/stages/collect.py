"""Collecting: get every image that is missing, in parallel, into staging."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.cluster import Executor
from tasks.collecting import Batch, Source, collect_batch
from tasks.progress import progress
from tasks.stages.galaxy_plan import BuildPlan


@task(name="collect", description="Get every image that is missing, in parallel, into staging", cache_policy=NO_CACHE)
def collect(plan: BuildPlan, source: Source, executor: Executor, max_connections: int) -> dict[str, int]:
    """Collect the plan's batches that are not finished; return counts of objects, stored and requests."""
    finished = {number for number, _ in plan.batches() if plan.staging.is_finished(number)}
    left = sum(rows.num_rows for number, rows in plan.batches() if number not in finished)
    workers = min(executor.workers, max_connections)
    batches = (
        Batch(
            number=number,
            rows=rows,
            source=source.narrowed(rows["id"].to_pylist()),
            source_name=plan.source,
            staging=plan.staging,
            size_px=plan.size_px,
            crop_fraction=plan.crop_fraction,
            connections=max_connections // workers,
        )
        for number, rows in plan.batches()
        if number not in finished
    )
    totals = {"objects": 0, "stored": 0, "requests": 0}
    with progress("collecting", left) as advance:
        for counts in executor.map(collect_batch, batches, None if workers == executor.workers else workers):
            totals = {name: totals[name] + counts[name] for name in totals}
            advance(counts["objects"])
    return totals
