"""A build on a Dask cluster that somebody else runs: the same dataset, and little lost with the scheduler."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import distributed
import pytest
from PIL import Image

from flows.build_galaxy_dataset import build_galaxy_dataset
from tasks.runtime import cluster as cluster_module
from tasks.runtime.cluster import ADDRESS_ENVIRONMENT_NAME, ITEMS_WORTH_A_CLUSTER, ClusterError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.staging import Staging
from tests.dask_processes import PATIENCE_S, outside_cluster

BATCHES = 14
"""Of a build of 220 galaxies, at the least size of a batch."""
SMALL = {"source": "archive", "scheme": "gz1-majority-2class", "size_px": 32}


def await_workers(address: str, count: int) -> None:
    with distributed.Client(address) as client:
        client.wait_for_workers(count, timeout=PATIENCE_S)


def test_a_build_by_eight_two_or_one_has_one_digest(
    flows_here: Workspace,
    archive: Callable[..., tuple[Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    images, table = archive(ITEMS_WORTH_A_CLUSTER + 20, missing=3)
    asked = {"catalog": str(table), "images": str(images), **SMALL}
    with outside_cluster(tmp_path, workers=8) as outside:
        monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, outside.address)
        await_workers(outside.address, 8)
        summary = build_galaxy_dataset(dataset="outside", **asked)
        with distributed.Client(outside.address) as client:
            done = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.transition_log))
    assert summary["stored"] == ITEMS_WORTH_A_CLUSTER + 17
    assert done > 0
    monkeypatch.delenv(ADDRESS_ENVIRONMENT_NAME)
    build_galaxy_dataset(dataset="inside", **asked)
    monkeypatch.setattr(cluster_module, "ITEMS_WORTH_A_CLUSTER", 10_000)
    build_galaxy_dataset(dataset="alone", **asked)
    digests = {Dataset.open(flows_here, name).manifest["digest"] for name in ("outside", "inside", "alone")}
    assert len(digests) == 1


def enlarge(images: Path) -> None:
    """Make pictures whose decoding takes so long that a build can be met in the middle."""
    for path in images.iterdir():
        with Image.open(path) as picture:
            large = picture.resize((1200, 1200), Image.Resampling.NEAREST)
        large.save(path, quality=90)


def test_a_lost_scheduler_costs_the_unfinished_batches_only(
    flows_here: Workspace,
    archive: Callable[..., tuple[Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    images, table = archive(ITEMS_WORTH_A_CLUSTER + 20)
    enlarge(images)
    asked = {"catalog": str(table), "images": str(images), **SMALL}

    def batches() -> dict[Path, int]:
        found = flows_here.datasets.glob("met/staging/*/batch-*/ledger.parquet")
        return {path: path.stat().st_mtime_ns for path in found}

    with outside_cluster(tmp_path, workers=2) as outside:

        def end_scheduler() -> None:
            while not batches() and outside.scheduler.poll() is None:
                time.sleep(0.005)
            outside.scheduler.kill()

        monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, outside.address)
        await_workers(outside.address, 2)
        meanwhile = threading.Thread(target=end_scheduler)
        meanwhile.start()
        with pytest.raises(ClusterError, match=r"is lost; .* the same command again goes on from what is finished"):
            build_galaxy_dataset(dataset="met", **asked)
        meanwhile.join()
    left = batches()
    assert 0 < len(left) < BATCHES
    monkeypatch.setattr(cluster_module, "ITEMS_WORTH_A_CLUSTER", 10_000)
    collected: list[str] = []
    write = Staging.write

    def recorded(staging: Staging, number: int, *parts: Any) -> None:
        collected.append(staging.batch(number).name)
        write(staging, number, *parts)

    monkeypatch.setattr(Staging, "write", recorded)
    summary = build_galaxy_dataset(dataset="met", **asked)
    assert summary["stored"] == ITEMS_WORTH_A_CLUSTER + 20
    finished = {path.parent.name for path in left}
    assert finished.isdisjoint(collected)
    assert len(finished) + len(collected) == BATCHES
