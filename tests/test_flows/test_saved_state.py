"""Workspaces, datasets and models made by the code of commit 4e71ab2 still open, and flows continue on them."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.evaluate_holdout import evaluate_holdout
from flows.score_night import score_night
from tasks.backup.back_up import back_up
from tasks.backup.restore import restore
from tasks.building.splits import part_by_hash
from tasks.learning.models.saved_models import load_model
from tasks.learning.scoring import score
from tasks.learning.split_parts import part_rows
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.model_registry import resolve_model
from tests.archives import unpack

FIXTURE = Path(__file__).parents[1] / "fixtures" / "made_at_4e71ab2"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expectations.json").read_text(encoding="utf-8"))
SKY = {"dataset": "sky", "size_px": 32, "request_px": 64, "seed": 0, "scheme": "deck-7"}
TRANSIENTS = {"dataset": "transients", "chips": 1, "visits": 4, "stamp_px": 21, "injections_per_visit": 6, "seed": 7}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that tests only read."""
    folder = tmp_path_factory.mktemp("made")
    unpack(FIXTURE / "workspace.tar.gz", folder)
    return Workspace(folder / "workspace")


@pytest.fixture
def own_copy(flows_here: Workspace) -> Workspace:
    """The unpacked workspace as the test's own, with the suite's server."""
    unpack(FIXTURE / "workspace.tar.gz", flows_here.root.parent)
    return flows_here


def floats(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), "<f4")


@pytest.mark.parametrize("reference", EXPECTED["datasets"])
def test_a_dataset_opens_with_its_digest_rows_labels_and_pixels(unpacked: Workspace, reference: str) -> None:
    expected, dataset = EXPECTED["datasets"][reference], Dataset.open(unpacked, reference)
    assert dataset.digest == expected["digest"]
    for name in ("split_hash", "problem", "asked", "stored", "rejected"):
        assert dataset.manifest[name] == expected[name]
    samples, split, truth = dataset.samples(), dataset.split(), dataset.truth()
    assert split is not None
    assert truth is not None
    assert Counter(samples["status"].to_pylist()) == expected["status"]
    assert Counter(split["part"].to_pylist()) == expected["part"]
    assert Counter(truth["truth"].to_pylist()) == expected["truth"]
    for scheme, counts in expected["labels"].items():
        labels = Counter(label or "unlabelled" for label in dataset.labels(scheme)["label"].to_pylist())
        assert labels == counts
        assert dataset.classes(scheme) == expected["schemes"][scheme]["classes"]
    rows = np.sort(samples["row"].drop_null().to_numpy())
    pixels = np.stack([dataset.pixels[int(row)] for row in rows])
    assert pixels.dtype == expected["pixels"]["dtype"]
    assert list(pixels.shape) == expected["pixels"]["shape"]
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == expected["pixels"]["sha256"]


@pytest.mark.parametrize("alias", EXPECTED["models"])
def test_a_registered_model_loads_and_scores_as_before(unpacked: Workspace, alias: str) -> None:
    expected = EXPECTED["models"][alias]
    ref = resolve_model(unpacked, alias, None)
    assert ref.uri == expected["uri"]
    assert ref.run_id == expected["run_id"]
    model, card = load_model(ref.folder)
    assert card["classes"] == expected["classes"]
    assert model.count_params() == expected["parameters"]
    dataset = Dataset.open(unpacked, expected["dataset"])
    for name, part in expected["parts"].items():
        rows = part_rows(dataset, expected["scheme"], name)
        assert rows.ids == part["ids"]
        assert rows.labels.tolist() == part["labels"]
        outputs = score(model, dataset.pixels, rows.rows, expected["batch_size"])
        assert outputs.shape == (len(rows), expected["columns"])
        # Bit by bit on the processor that made them; another one may differ in the last ones.
        np.testing.assert_allclose(outputs.ravel(), floats(part["outputs"]), rtol=1e-4, atol=1e-5)


def test_from_a_backup_the_champion_scores_the_same_to_the_bit(unpacked: Workspace, tmp_path: Path) -> None:
    back_up(unpacked, tmp_path / "backups", datetime(2026, 11, 30, tzinfo=UTC))
    away = Workspace(tmp_path / "away")
    restore(tmp_path / "backups", away)
    alias = next(alias for alias in EXPECTED["models"] if alias.endswith("@champion"))
    outputs = []
    for workspace in (unpacked, away):
        ref = resolve_model(workspace, alias, None)
        assert ref.folder.is_relative_to(workspace.root)
        dataset = Dataset.open(workspace, EXPECTED["models"][alias]["dataset"])
        rows = part_rows(dataset, EXPECTED["models"][alias]["scheme"], "test").rows
        outputs.append(score(load_model(ref.folder)[0], dataset.pixels, rows, 64))
    assert outputs[0].tobytes() == outputs[1].tobytes()


def parts_of_groups(dataset: Dataset) -> dict[str, str]:
    split = dataset.split()
    assert split is not None
    return dict(zip(split["group"].to_pylist(), split["part"].to_pylist(), strict=True))


def test_a_finished_request_is_known_and_a_larger_one_goes_on_from_it(own_copy: Workspace) -> None:
    finished, grown = list(EXPECTED["again"].values()), list(EXPECTED["grown"].values())
    summaries = build_galaxy_dataset(limit=26, **SKY), build_realbogus_dataset(threshold_sigma=20, **TRANSIENTS)
    # A processor with other vector instructions draws the sky with other last bits: another catalogue, a new request.
    same_sky = (own_copy.catalogs / Dataset.open(own_copy, "sky@3").manifest["parameters"]["catalog"]).is_file()
    for summary, expected in list(zip(summaries, finished, strict=True))[0 if same_sky else 1 :]:
        assert {name: summary[name] for name in expected} == expected
    before = parts_of_groups(Dataset.open(own_copy, "sky"))
    larger = build_galaxy_dataset(limit=32, **SKY)
    assert larger["version"] == grown[0]["version"] + (not same_sky)
    for name in ("objects", "stored", "rejected", "classes", "requests"):
        assert larger[name] == grown[0][name]
    # Published groups keep their parts; newcomers are placed by a key of their own, which that program did not have.
    sky = Dataset.open(own_copy, "sky")
    after = parts_of_groups(sky)
    seed = sky.manifest["split_seed"]
    assert len(after) > len(before)
    assert after == {group: before.get(group) or part_by_hash(group, seed) for group in after}


def test_models_are_evaluated_and_score_a_night_as_before(own_copy: Workspace) -> None:
    for command, expected in EXPECTED["judged"].items():
        words = dict(word.split("=") for word in command.split() if "=" in word)
        summary = evaluate_holdout(**words)
        for name, value in expected.items():
            assert summary[name] == (pytest.approx(value, abs=1e-5) if isinstance(value, float) else value), name
    night = EXPECTED["night"]
    summary = score_night(path="transients", first=None)
    for name in ("count", "scored", "not_scored", "selected", "model"):
        assert summary[name] == night["summary"][name]
    table = pq.read_table(summary["path"])
    assert table["id"].to_pylist() == night["ids"]
    assert table["decision"].to_pylist() == night["decision"]
    np.testing.assert_allclose(table["logit"].to_numpy(), floats(night["logit"]), rtol=1e-4, atol=1e-5)
