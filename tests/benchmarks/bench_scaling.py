"""Builds on 1, 2 and 4 worker processes, and by simulation from their recorded batches on 16, 64 and 256.

Measured is the collecting of an archive's images, by workers outside of this process, whose batches are timed where
they run. `of_ideal_N` is the part that the ideal, the time of one worker over N, is of what N workers took; more
workers than cores cannot reach it. The simulation (`tests.benchmarks.scaling_model`) is of 3.26 million triplets, in
batches of a full chip-visit, and of 46,000 cutouts, with the service's limit and without. What it takes from the
measured batches is the processor's time, which other work on the machine does not lengthen.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client
from threadpoolctl import threadpool_limits

from realbogus.injection.chip_visit import VisitSettings, work_visit
from realbogus.injection.host_galaxies import hosts_of
from realbogus.simulation.survey import Survey, SurveySettings
from tasks.galaxies.building.collect import CutoutBatch, collect_batch, unfinished_batches
from tasks.galaxies.building.plan import LARGEST_BATCH, GalaxyPlan, plan_galaxies
from tasks.galaxies.building.sources import open_source
from tasks.ingest.catalogs import catalog_path
from tasks.runtime.cluster import OnDask
from tasks.runtime.workspace import Workspace
from tests.benchmarks.scaling_model import Load, speed_ups
from tests.benchmarks.scene import write_csv, write_pictures
from tests.dask_processes import outside_cluster
from tests.small_galaxies import build_request

COUNT = 4096
PICTURE_PX, SIZE_PX = 424, 128
MEASURED, SIMULATED = (1, 2, 4), (16, 64, 256)
CHIPS = (11, 40, 66)
TRIPLETS, CUTOUTS = 3_260_000, 46_000
RATE_PER_S = 5.0
"""Of a public service, the default of `max_rate_per_s`."""
PUBLISH_S = 9 * 60.0
"""Of 3.26 million triplets, extrapolated in docs/results/published-layout.md."""
HANDED = 400


def run(count: int = COUNT, chips: Sequence[int] = CHIPS) -> dict[str, Any]:
    """Measure builds and single batches, then simulate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"g{number:06d}" for number in range(count)]
        write_pictures(folder / "images", names, PICTURE_PX)
        places = [(name, number % 360, number // 360) for number, name in enumerate(names)]
        table = write_csv(folder / "table.csv", ("id", "ra", "dec"), places)
        builds = {workers: build(folder, table, workers) for workers in MEASURED}
    visits = [timed_visit(chip) for chip in chips]
    object_s = [seconds for seconds, _ in builds[1]["recorded"]]
    loads = {
        "triplets": Load(
            round(TRIPLETS / np.mean([rows for _, rows in visits])),
            tuple(seconds for seconds, _ in visits),
            builds[1]["handing_s"],
            alone_s=PUBLISH_S,
        ),
        "cutouts": Load(
            -(-CUTOUTS // LARGEST_BATCH), tuple(each * LARGEST_BATCH for each in object_s), builds[1]["handing_s"]
        ),
        "cutouts_of_a_service": Load(
            -(-CUTOUTS // LARGEST_BATCH),
            tuple(each * LARGEST_BATCH for each in object_s),
            builds[1]["handing_s"],
            LARGEST_BATCH,
            RATE_PER_S,
        ),
    }
    return {
        "cores": os.cpu_count(),
        **{f"took_{workers}_s": builds[workers]["took_s"] for workers in MEASURED},
        **{f"of_ideal_{n}": builds[1]["took_s"] / n / builds[n]["took_s"] for n in MEASURED},
        "same": len({builds[workers]["digest"] for workers in MEASURED}) == 1,
        "handing_ms": 1000 * builds[1]["handing_s"],
        "object_ms": 1000 * float(np.median(object_s)),
        "visit_s": [round(seconds, 3) for seconds, _ in visits],
        "triplets_per_visit": [rows for _, rows in visits],
        **{
            f"{name}_{workers}_{figure}": value
            for name, load in loads.items()
            for workers, figures in speed_ups(load, (1, *SIMULATED)).items()
            for figure, value in figures.items()
            if figure != "ideal_hours"
        },
    }


def build(folder: Path, table: Path, workers: int) -> dict[str, Any]:
    """Collect all images on that many workers; return the time, the batches' own times, and a digest of the pixels."""
    workspace = Workspace(folder / f"on-{workers}")
    request = build_request(
        dataset="bench",
        catalog=str(table),
        source="archive",
        images=str(folder / "images"),
        scheme="none",
        size_px=SIZE_PX,
    )
    plan = plan_galaxies(workspace, request, catalog_path(workspace, str(table)))
    with open_source(workspace, plan) as source, outside_cluster(folder, workers) as outside:
        (folder / "scheduler.json").unlink()
        with Client(outside.address) as client:
            client.wait_for_workers(workers)
            client.run(import_all)
            executor = OnDask(client)
            begin = time.process_time()
            list(executor.map(abs, range(HANDED)))
            handing_s = (time.process_time() - begin) / HANDED
            recorded: list[tuple[float, int]] = []
            batches = unfinished_batches(plan, source, 1)
            took_s = _timed(lambda: recorded.extend(executor.map(timed_batch, batches)))
    return {"took_s": took_s, "handing_s": handing_s, "recorded": recorded, "digest": digest(plan)}


def timed_batch(batch: CutoutBatch) -> tuple[float, int]:
    """Return the processor's seconds an object, and the objects, of a batch, measured where it is collected."""
    begin = time.process_time()
    objects = collect_batch(batch)["objects"]
    return (time.process_time() - begin) / objects, objects


def import_all() -> None:
    """Import in a worker what a batch needs, so that no worker does while the clock runs."""
    import tests.benchmarks.bench_scaling  # noqa: F401


def timed_visit(chip: int) -> tuple[float, int]:
    """Return the processor's seconds and the triplets of a full chip-visit, on one thread, without simulating it."""
    visit = Survey(SurveySettings()).chip_visit(0, chip, 0)
    with threadpool_limits(1):
        begin = time.process_time()
        worked = work_visit(visit.pair, hosts_of(visit.galaxies), VisitSettings(), np.random.default_rng(chip))
        return time.process_time() - begin, len(worked.pixels)


def digest(plan: GalaxyPlan) -> str:
    """Return the sha256 of all collected pixels in the order of the batches."""
    total = hashlib.sha256()
    for number, _, _ in plan.spans():
        total.update(np.ascontiguousarray(plan.staging.pixels(number)).tobytes())
    return total.hexdigest()


def _timed(work: Any) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
