"""Collecting: get every image that is missing, in parallel, into staging."""

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.galaxies.collect import CutoutBatch, Source, collect_batch
from tasks.galaxies.plan import BuildPlan
from tasks.runtime.cluster import Executor
from tasks.runtime.progress import progress


@task(name="collect", description="Get every image that is missing, in parallel, into staging", cache_policy=NO_CACHE)
def collect(plan: BuildPlan, source: Source, executor: Executor, max_connections: int) -> dict[str, int]:
    """Collect the plan's batches that are not finished; return counts of objects, stored and requests."""
    left = [span for span in plan.spans() if not plan.staging.is_finished(span[0])]
    workers = min(executor.workers, max_connections)
    asked = plan.asked
    # A copy of a batch's rows: a slice would carry the whole table along to a worker.
    pieces = ((number, asked.take(pa.array(range(start, stop), pa.int64()))) for number, start, stop in left)
    batches = (
        CutoutBatch(
            number=number,
            rows=rows,
            source=source.narrowed(rows["id"].to_pylist()),
            source_name=plan.source,
            staging=plan.staging,
            size_px=plan.size_px,
            crop_fraction=plan.crop_fraction,
            connections=max_connections // workers,
        )
        for number, rows in pieces
    )
    totals = {"objects": 0, "stored": 0, "requests": 0}
    with progress("collecting", sum(stop - start for _, start, stop in left)) as advance:
        for counts in executor.map(collect_batch, batches, None if workers == executor.workers else workers):
            totals = {name: totals[name] + counts[name] for name in totals}
            advance(counts["objects"])
    return totals
