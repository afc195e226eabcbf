"""A build on a Dask cluster that somebody else runs."""

from collections.abc import Callable
from pathlib import Path

import distributed
import pytest

from flows.build_galaxy_dataset import build_galaxy_dataset
from tasks.runtime.cluster import ADDRESS_ENVIRONMENT_NAME, ITEMS_WORTH_A_CLUSTER
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.dask_processes import outside_cluster

SMALL = {"source": "archive", "scheme": "gz1-majority-2class", "size_px": 32}


def test_a_build_from_start_to_end_on_a_cluster_by_its_address(
    flows_here: Workspace,
    archive: Callable[..., tuple[Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    images, table = archive(ITEMS_WORTH_A_CLUSTER + 20, missing=3)
    asked = {"catalog": str(table), "images": str(images), **SMALL}
    with outside_cluster(tmp_path, workers=2) as outside:
        monkeypatch.setenv(ADDRESS_ENVIRONMENT_NAME, outside.address)
        summary = build_galaxy_dataset(dataset="outside", **asked)
        with distributed.Client(outside.address) as client:
            done = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.transition_log))
    assert summary["stored"] == ITEMS_WORTH_A_CLUSTER + 17
    assert done > 0
    monkeypatch.delenv(ADDRESS_ENVIRONMENT_NAME)
    build_galaxy_dataset(dataset="inside", **asked)
    digests = [Dataset.open(flows_here, name).manifest["digest"] for name in ("outside", "inside")]
    assert digests[0] == digests[1]
