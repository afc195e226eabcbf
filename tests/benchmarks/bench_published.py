"""Building a dataset from a generated set in the published layout: time, memory and disk at two sizes.

``STARLOOM_BENCH_FOLDER`` names a folder on a disk with 16 GB to spare (else the system's temporary one is used);
what is written there is removed. The rate of the real set, 3,255,966 triplets, is extrapolated from the two sizes.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from realbogus.sources.zenodo import write_published_layout
from tests.benchmarks.scene import PeakMemory, command, finish, flow_words, start

FOLDER_NAME = "STARLOOM_BENCH_FOLDER"
SMALL, LARGE = 40_000, 400_000
DETECTORS = 84
PUBLISHED = 3_255_966
_GB = 1e9


def run(small: int = SMALL, large: int = LARGE) -> dict[str, float]:
    """Return seconds, peak MB and GB on disk of both sizes, and what follows for the published number."""
    figures: dict[str, float] = {}
    for size, count in (("small", small), ("large", large)):
        with tempfile.TemporaryDirectory(dir=os.environ.get(FOLDER_NAME)) as name:
            built = _build(Path(name), count)
        figures |= {f"{size}_{what}": value for what, value in built.items()}
    more = figures["large_triplets"] - figures["small_triplets"]
    slopes = {what: (figures[f"large_{what}"] - figures[f"small_{what}"]) / more for what in ("seconds", "disk_gb")}
    rest = PUBLISHED - figures["large_triplets"]
    return {
        **figures,
        "memory_ratio": figures["large_peak_mb"] / figures["small_peak_mb"],
        "extrapolated_hours": (figures["large_seconds"] + slopes["seconds"] * rest) / 3600,
        "extrapolated_disk_gb": figures["large_disk_gb"] + slopes["disk_gb"] * rest,
    }


def _build(folder: Path, count: int) -> dict[str, float]:
    write_published_layout(folder / "published", DETECTORS, count // DETECTORS, np.random.default_rng(0))
    workspace = folder / "workspace"
    begin = time.monotonic()
    process = start(
        workspace, *flow_words("build-realbogus-dataset", dataset="bench", source="zenodo", path=folder / "published")
    )
    memory = PeakMemory(process.pid)
    try:
        summary = finish(process, workspace)
    finally:
        peak = memory.stop()
        command(workspace, "down")
    seconds = time.monotonic() - begin
    store = workspace / "datasets" / "bench"
    disk = sum(path.stat().st_size for path in store.rglob("*") if path.is_file() and not path.is_symlink())
    shutil.rmtree(folder / "published")
    return {"triplets": summary["stored"], "seconds": seconds, "peak_mb": peak, "disk_gb": disk / _GB}
