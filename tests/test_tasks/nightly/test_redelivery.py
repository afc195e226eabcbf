"""Rows that a later delivery replaces: triplets by their ids and labels, chip-visits by their names."""

import csv
from pathlib import Path

import numpy as np

from tasks.nightly.redelivery import replaced_ids
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.small_candidates import SCHEME, candidate_request, publish_candidates

LABELS = ["real", "bogus"] * 3
CELLS = [f"cell {row}" for row in range(6)]
PARTS = ["train", "validation", "test"] * 2


def write_delivery(folder: Path, labels: dict[str, str], nan: int = -1) -> Path:
    """Write triplets, of which one may hold nothing but NaN."""
    folder.mkdir()
    stamps = np.random.default_rng(0).normal(100, 4, (len(labels), 29, 29, 3)).astype(np.float32)
    if nan >= 0:
        stamps[nan] = np.nan
    np.save(folder / "stamps.npy", stamps)
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "label"), *labels.items()])
    return folder


def replaced_by(training_set: Dataset, path: Path) -> list[str]:
    request = candidate_request(source="triplets", path=str(path), dataset="nightly")
    return replaced_ids(training_set, SCHEME, request, ["c0000", "c0001", "c0002", "c0003"])


def test_triplets_that_a_later_delivery_lacks_are_replaced(workspace: Workspace, tmp_path: Path) -> None:
    training_set = publish_candidates(workspace, "nightly", LABELS, CELLS, PARTS)
    again = write_delivery(tmp_path / "again", {"c0001": "bogus", "c0002": "real", "new": "real"})
    assert replaced_by(training_set, again) == ["c0000", "c0003"]


def test_triplets_with_another_label_and_rejected_ones_are_replaced(workspace: Workspace, tmp_path: Path) -> None:
    training_set = publish_candidates(workspace, "nightly", LABELS, CELLS, PARTS)
    labels = {"c0000": "bogus", "c0001": "", "c0002": "real", "c0003": "bogus"}
    assert replaced_by(training_set, write_delivery(tmp_path / "labels", labels)) == ["c0000", "c0001"]
    labels = {"c0000": "real", "c0001": "bogus", "c0002": "real", "c0003": "bogus"}
    assert replaced_by(training_set, write_delivery(tmp_path / "blank", labels, nan=2)) == ["c0002"]


def test_chip_visits_that_a_later_delivery_lacks_are_replaced(workspace: Workspace) -> None:
    batches = [f"s3-n0-c{chip}-v{visit}" for visit in range(3) for chip in range(2)]
    training_set = publish_candidates(workspace, "nightly", LABELS, CELLS, PARTS, columns={"batch": batches})
    fewer = candidate_request(dataset="nightly", visits=2)
    assert replaced_ids(training_set, SCHEME, fewer, [f"c{row:04d}" for row in range(6)]) == ["c0004", "c0005"]
