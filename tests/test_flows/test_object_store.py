"""Simulated datasets on a real object store: equal to local ones, grown, verified, trained on."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.evaluate_holdout import evaluate_holdout
from flows.train_realbogus import train_realbogus
from flows.verify import verify
from tasks.learning.scoring import image_blocks
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DamagedVersionError
from tasks.store.object_store.objects import ObjectFolder
from tasks.tracking.model_registry import resolve_model
from tests.object_servers import environment, moto_server, settings
from tests.test_flows.conftest import write_triplets

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "object-store.md"
SMALL = {"size_px": 32, "request_px": 64}


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on an object store."""
    given = {"STARLOOM_STATE": str(tmp_path / "state")}
    with moto_server("bucket") as endpoint, environment(settings(endpoint) | given):
        yield Workspace.named("s3://bucket/survey")


def test_a_dataset_on_an_object_store_equals_the_local_one(
    flows_here: Workspace, there: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_galaxy_dataset(limit=24, **SMALL)
    build_galaxy_dataset(limit=32, **SMALL)
    shutil.copytree(flows_here.catalogs, there.catalogs)  # drawing the simulated sky again takes long
    monkeypatch.setenv(ENVIRONMENT_NAME, there.name)
    first = build_galaxy_dataset(limit=24, **SMALL)
    second = build_galaxy_dataset(limit=32, **SMALL)
    assert second["requests"] >= second["stored"] - first["stored"] > 0  # each at least once
    assert build_galaxy_dataset(limit=32, **SMALL)["requests"] == 0
    assert second["path"] == f"{there.address}/datasets/sky/versions/000002"
    local, remote = (Dataset.open(workspace, "sky") for workspace in (flows_here, there))
    assert (remote.version, remote.digest) == (local.version, local.digest)
    assert Dataset.open(there, "sky@1").digest == Dataset.open(flows_here, "sky@1").digest
    rows = np.sort(remote.samples(["row"])["row"].drop_null().to_numpy())
    blocks = zip(*(image_blocks(dataset.pixels, rows, 8) for dataset in (local, remote)), strict=True)
    assert all(np.array_equal(one, other) for one, other in blocks)
    assert not list(there.datasets.rglob("*.npy"))  # what workers hand over goes through the store

    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["samples"].equals(remote.samples())
    assert np.array_equal(names["pixels"][rows].values, remote.pixels[rows])

    found = verify("sky")
    assert (found["pixels_ok"], found["raw_checked"], found["problems"]) == (second["stored"], second["stored"], [])
    raw = ObjectFolder(f"{there.address}/raw")
    name = next(key for key in raw.names() if not key.startswith(("requests", "budget")))
    raw.put(name, b"changed")
    with pytest.raises(DamagedVersionError, match=f"{raw}/{name}"):
        verify("sky")


def test_chip_visits_and_triplets_are_built_on_an_object_store_and_trained_on(
    flows_here: Workspace, there: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chip_visit = {"dataset": "visit", "chips": 1, "visits": 1, "injections_per_visit": 8}
    stamps = {"source": "triplets", "path": str(write_triplets(tmp_path / "made", np.array(["real", "bogus"] * 40)))}
    build_realbogus_dataset(**chip_visit)
    monkeypatch.setenv(ENVIRONMENT_NAME, there.name)
    visit = build_realbogus_dataset(**chip_visit)
    build_realbogus_dataset(**stamps)
    assert visit["path"] == f"{there.address}/datasets/visit/versions/000001"
    assert visit["stored"] + sum(visit["rejected"].values()) == visit["asked"]
    assert Dataset.open(there, "visit").digest == Dataset.open(flows_here, "visit").digest
    assert not [key for key in ObjectFolder(f"{there.address}/datasets").names() if "/staging/" in key]
    trained = train_realbogus(network="first", epochs=1, batch_size=16)
    card = json.loads((resolve_model(there, trained["model_uri"], None).folder / "model.json").read_text())
    assert card["dataset_digest"] == Dataset.open(there, "transients").digest
    measured = evaluate_holdout(dataset="transients", model="realbogus-first@champion")
    assert measured["auc"] == trained["test"]["auc"]
