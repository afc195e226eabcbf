"""Training and cross-validation of galaxies: killed and resumed, registered once, every sample judged once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.learning.models.saved_models import load_model
from tasks.learning.split_parts import PartError
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.schema import LEDGER, SPLIT
from tasks.tracking.model_registry import resolve_model
from tasks.training.cross_validate import cross_validate
from tasks.training.train import train_model

CLASSES = ["round", "flat"]
PER_CLASS = 40
SIZE = 32


def discs() -> np.ndarray:
    """Round spots in even rows, elongated ones in odd rows, at any angle, with noise."""
    rng = np.random.default_rng(0)
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    images = []
    for row in range(2 * PER_CLASS):
        angle = rng.uniform(0, np.pi)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        spot = 150 * np.exp(-(along**2 + (across * (3 if row % 2 else 1)) ** 2) / 50)
        images.append(np.clip(spot[..., None] + rng.normal(20, 5, (SIZE, SIZE, 3)), 0, 255))
    return np.asarray(images, np.uint8)


def publish(workspace: Workspace) -> Dataset:
    folder = workspace.datasets / "discs"
    images = discs()
    array = pixels.create(folder / "pixels.zarr", images.shape[1:], "uint8")
    pixels.grow(array, len(images))
    pixels.write_shard(array, 0, images)
    names = [f"{row:04d}" for row in range(len(images))]
    rows = [
        dict.fromkeys(LEDGER.names)
        | {"id": name, "status": "stored", "group": name, "pixel_sha256": name, "source": "simulated"}
        for name in names
    ]
    ledger = merging.give_rows(pa.Table.from_pylist(rows, LEDGER), 0)
    parts = [("test", "validation", *["train"] * 6)[row // 2 % 8] for row in range(len(images))]
    labels = {"shape": pa.table({"id": names, "label": CLASSES * PER_CLASS})}
    split = pa.table([pa.array(column) for column in (names, names, parts)], schema=SPLIT)
    manifest = {
        "problem": "galaxy",
        "pixels": "simulated",
        "label_kind": "truth",
        "schemes": {"shape": {"digest": "0", "classes": CLASSES}},
    }
    return versions.publish(folder, versions.NewVersion(ledger, labels, split, manifest), None)


RUN = """
import sys
from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.training.train import train_model
from tasks.runtime.workspace import Workspace
request = GalaxyTrainRequest.model_validate_json(sys.argv[1])
train_model(open_galaxy_training(Workspace.current(), request))
"""


def test_a_killed_training_goes_on_and_registers_once(workspace: Workspace) -> None:
    import mlflow

    publish(workspace)
    request = GalaxyTrainRequest(dataset="discs", preset="deck", epochs=5, batch_size=16)
    words = [sys.executable, "-c", RUN, request.model_dump_json()]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[3], env=os.environ.copy())
    while not list(workspace.root.glob("training/*/fit/epoch-00000[2-4]")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    client = mlflow.MlflowClient(workspace.mlflow_uri)
    assert not client.search_registered_models()
    (begun,) = client.search_runs([client.get_experiment_by_name("galaxy").experiment_id])

    summary = train_model(open_galaxy_training(workspace, request))
    assert summary["run_id"] == begun.info.run_id
    assert summary["epochs"] == 5
    steps = [point.step for point in client.get_metric_history(summary["run_id"], "validation_loss")]
    assert sorted(set(steps)) == list(range(1, 6))
    assert len(steps) <= 6  # the epoch that was being finished when the process was killed
    (registered,) = client.search_registered_models()
    assert registered.name == "galaxy-shape"
    assert set(registered.aliases) == {"challenger", "champion"}
    assert not list(workspace.root.glob("training/*/fit"))

    test = summary["test"]
    assert test["count"] == PER_CLASS * 2 // 8
    assert test["accuracy_low"] < test["accuracy"] <= test["accuracy_high"]
    model, card = load_model(resolve_model(workspace, summary["model_uri"], None).folder)
    assert card["classes"] == CLASSES
    assert card["split_hash"] == Dataset.open(workspace, "discs").manifest["split_hash"]
    assert model.predict_on_batch(discs()[:3]).shape == (3, 2)


def test_cross_validation_judges_every_sample_once_and_keeps_finished_folds(workspace: Workspace) -> None:
    dataset = publish(workspace)
    request = GalaxyTrainRequest(dataset="discs", preset="deck", epochs=1, batch_size=16)
    summary = cross_validate(open_galaxy_training(workspace, request), 2)
    assert (summary["folds"], summary["count"]) == (2, 2 * PER_CLASS)
    assert summary["accuracy_low"] < summary["accuracy"] < summary["accuracy_high"]
    assert 0 <= summary["auc"] <= 1
    assert summary["weights"] == "none"
    assert sum(fold["count"] for fold in summary["per_fold"]) == 2 * PER_CLASS
    assert f"{2 * PER_CLASS} samples" in Path(summary["report"]).read_text()
    (scores,) = workspace.scores.glob("*.parquet")
    table = pq.read_table(scores)
    assert table["id"].to_pylist() == sorted(dataset.samples()["id"].to_pylist())
    both = table["probability_round"].to_numpy() + table["probability_flat"].to_numpy()
    np.testing.assert_allclose(both, 1, atol=1e-5)

    first, second = sorted(workspace.root.glob("training/*/fold-*.parquet"))
    kept = first.stat().st_mtime_ns
    second.unlink()
    again = cross_validate(open_galaxy_training(workspace, request), 2)
    assert first.stat().st_mtime_ns == kept
    assert again["per_fold"][0] == summary["per_fold"][0]


def test_what_cannot_be_trained_on_is_named(workspace: Workspace) -> None:
    publish(workspace)
    with pytest.raises(Exception, match="not labelled by scheme 'deck-3'; it has: shape"):
        open_galaxy_training(workspace, GalaxyTrainRequest(dataset="discs", scheme="deck-3"))
    with pytest.raises(PartError, match="folds=81 is not between 2 and the 80 groups"):
        cross_validate(open_galaxy_training(workspace, GalaxyTrainRequest(dataset="discs")), 81)


def test_an_empty_part_is_refused_before_tensorflow_is_imported(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = publish(workspace)
    split = dataset.split()
    assert split is not None
    parts = ["train" if part == "test" else part for part in split["part"].to_pylist()]
    manifest = dataset.manifest | {"split_advice": "build another dataset, with at least chips=3"}
    moved = versions.NewVersion(
        dataset.samples(), dataset.every_label_table(), split.set_column(2, "part", pa.array(parts)), manifest
    )
    versions.publish(workspace.datasets / "discs", moved, dataset)
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    request = GalaxyTrainRequest(dataset="discs", preset="deck", epochs=1, batch_size=16)
    message = "part 'test' of dataset 'discs' has no sample .*: build another dataset, with at least chips=3"
    with pytest.raises(PartError, match=message):
        open_galaxy_training(workspace, request, every_part=True)
