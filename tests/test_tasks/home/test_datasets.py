"""The datasets of the home page: nights last and the newest first, and of each what its published version tells."""

import json
import os
from typing import Any

import pytest

from tasks.home.datasets import published_version, read_datasets
from tasks.home.file_memory import FileMemory
from tasks.home.status import DatasetStatus
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.locks import one_builder
from tests.small_candidates import publish_candidates


def publish(workspace: Workspace, name: str, count: int = 2) -> Dataset:
    return publish_candidates(workspace, name, ["bogus"] * count, ["cell"] * count, ["train"] * count)


def rows_of(workspace: Workspace) -> list[DatasetStatus]:
    rows, faults = read_datasets(workspace, FileMemory())
    assert faults == []
    return rows


def change_manifest(dataset: Dataset, **changes: Any) -> None:
    path = dataset.path / "manifest.json"
    path.write_text(json.dumps(dataset.manifest | changes))


def test_datasets_of_one_night_come_last_and_the_newest_night_first(workspace: Workspace) -> None:
    names = ("night-2026-11-27", "sky", "night-2026-11-28.late", "nightly", "night-2026-11-1")
    for name in names:
        publish(workspace, name)
    assert [(row.name, row.night) for row in rows_of(workspace)] == [
        ("night-2026-11-1", None),
        ("nightly", None),
        ("sky", None),
        ("night-2026-11-28.late", "2026-11-28"),
        ("night-2026-11-27", "2026-11-27"),
    ]


def test_the_published_version_is_told_and_not_the_newest_folder(workspace: Workspace) -> None:
    first = publish(workspace, "sky", 3)
    (first.path.with_name("000002")).mkdir()
    row = published_version(workspace, "sky", FileMemory())
    assert (row.version, row.asked, row.stored, row.digest) == (1, 3, 3, first.digest)
    assert row.published_at is not None
    written = (first.path / "manifest.json").stat().st_mtime
    assert row.published_at.timestamp() == pytest.approx(written, abs=1e-5)


def test_a_dataset_that_is_built_for_the_first_time_has_no_version_and_names_its_builder(workspace: Workspace) -> None:
    with one_builder(workspace.datasets / "new"):
        (row,) = rows_of(workspace)
    assert (row.name, row.version, row.builder, row.report, row.validation) == ("new", None, os.getpid(), None, None)
    assert [row.builder for row in rows_of(workspace)] == [None]


def test_report_and_validation_are_told_where_their_files_are(workspace: Workspace) -> None:
    dataset = publish(workspace, "sky")
    workspace.reports.mkdir(parents=True)
    (workspace.reports / "sky-000002.html").touch()  # of a version that is not published
    assert [(row.report, row.validation) for row in rows_of(workspace)] == [(None, None)]
    (workspace.reports / "sky-000001.html").touch()
    dataset.validation_page.parent.mkdir(exist_ok=True)
    dataset.validation_page.touch()
    assert [(row.report, row.validation) for row in rows_of(workspace)] == [
        ("sky-000001.html", "sky/versions/000001/validation/index.html")
    ]


def test_the_parts_are_those_of_the_newest_build_that_tells_them(workspace: Workspace) -> None:
    dataset = publish(workspace, "sky")
    assert [row.parts for row in rows_of(workspace)] == [{}], "an old manifest tells of no build"
    builds = {"f": {"split": {"train": 8, "test": 2}}, "0": {"split": {"train": 9, "test": 3}}, "a": {"split": None}}
    change_manifest(dataset, builds=builds, schemes={"s": {"classes": ["E"]}, "t": {"counts": {"E": 4}}})
    (row,) = rows_of(workspace)
    assert row.parts == {"train": 9, "test": 3}
    assert [(scheme.name, scheme.counts) for scheme in row.schemes] == [("s", {}), ("t", {"E": 4})]


def test_a_version_that_cannot_be_read_is_named_beside_the_others(workspace: Workspace) -> None:
    for name in ("night-2026-11-27", "sky"):
        publish(workspace, name)
    (workspace.datasets / "sky" / "CURRENT").write_text("three\n")
    rows, (fault,) = read_datasets(workspace, FileMemory())
    assert [row.name for row in rows] == ["night-2026-11-27"]
    assert fault.startswith("dataset sky: ")
    assert "b'three\\n'" in fault
    assert "write the number of one of 000001 into it" in fault


def test_what_is_no_folder_of_a_dataset_is_passed_over(workspace: Workspace) -> None:
    publish(workspace, "sky")
    (workspace.datasets / "note.txt").touch()
    (workspace.datasets / ".trash").mkdir()
    assert [row.name for row in rows_of(workspace)] == ["sky"]
    assert rows_of(Workspace(workspace.root / "absent")) == []
