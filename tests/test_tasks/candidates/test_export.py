"""Exporting candidates: what has an object type, a file per detector, the data card and the checksums."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realbogus.records import DETECTION, GALAXY_INJECTION, RANDOM_INJECTION
from tasks.candidates import export
from tasks.candidates.export import COLUMNS, by_detector, data_card, export_candidates, exportable_rows
from tasks.learning.split_parts import PartError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tests.small_candidates import publish_candidates

ROWS = [
    # label, kind, part, detector
    ("real", GALAXY_INJECTION, "train", "2"),
    ("real", RANDOM_INJECTION, "train", "10"),
    ("bogus", DETECTION, "test", "2"),
    ("real", DETECTION, "train", "2"),  # labelled by people: the layout has no type for it
    (None, "known_transient", "test", None),
    ("bogus", DETECTION, "train", None),
    (None, "known_transient", "train", "2"),
]


def publish(workspace: Workspace, rows: list[tuple[Any, ...]] = ROWS) -> Dataset:
    labels, kinds, parts, detectors = (list(column) for column in zip(*rows, strict=True))
    columns = {"kind": kinds, "detector": detectors, "mag": [20.0] * len(rows)}
    cells = [f"cell {number}" for number in range(len(rows))]
    dataset = publish_candidates(workspace, "made", labels, cells, parts, columns=columns)
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    manifest |= {"parameters": {"stamp_px": 21, "limit": None}, "split_hash": "s", "source": "triplets"}
    (dataset.path / "manifest.json").write_text(json.dumps(manifest))
    return Dataset.open(workspace, "made")


def test_rows_with_an_object_type_are_exported_and_the_others_counted_by_label_and_kind(workspace: Workspace) -> None:
    rows, left_out = exportable_rows(publish(workspace), "all")
    assert rows["id"].to_pylist() == ["c0000", "c0001", "c0002", "c0005"]
    assert rows["object_type"].to_pylist() == [
        "galx_artificial_real",
        "rand_artificial_real",
        "artifact",
        "artifact",
    ]
    assert left_out == {"real detection": 1, "unlabelled known_transient": 2}
    assert rows["row"].to_pylist() == [0, 1, 2, 5]


@pytest.mark.parametrize(
    ("part", "ids", "left_out"),
    [
        ("train", ["c0000", "c0001", "c0005"], {"real detection": 1, "unlabelled known_transient": 1}),
        ("test", ["c0002"], {"unlabelled known_transient": 1}),
    ],
)
def test_a_part_is_exported_alone(workspace: Workspace, part: str, ids: list[str], left_out: dict[str, int]) -> None:
    rows, others = exportable_rows(publish(workspace), part)
    assert (rows["id"].to_pylist(), others) == (ids, left_out)


def test_a_part_without_any_object_type_is_an_error(workspace: Workspace) -> None:
    dataset = publish(workspace, [("real", DETECTION, "train", "1")])
    with pytest.raises(PartError, match=r"part 'train' of dataset 'made' has .*left out: \{'real detection': 1"):
        exportable_rows(dataset, "train")
    with pytest.raises(PartError, match=r"part 'validation' .*left out: \{\}"):
        exportable_rows(dataset, "validation")


def test_detectors_are_sorted_and_named_fit_for_files() -> None:
    rows = pa.table({"id": list("abcd"), "detector": ["b/c d", None, "a", "b/c d"]})
    assert [(name, table["id"].to_pylist()) for name, table in by_detector(rows)] == [
        ("0", ["b"]),
        ("a", ["c"]),
        ("b_c_d", ["a", "d"]),
    ]


def test_each_detector_has_its_array_and_table_in_the_same_order(workspace: Workspace, tmp_path: Path) -> None:
    dataset = publish(workspace)
    summary = export_candidates(workspace, "made", "all", str(tmp_path / "out"))
    expected = {"dataset": "made@1", "part": "all", "exported": 4, "detectors": 3, "pixels": "simulated"}
    assert {name: summary[name] for name in expected} == expected
    assert summary["object_types"] == {"galx_artificial_real": 1, "rand_artificial_real": 1, "artifact": 2}
    assert summary["labels"] == "injection"
    folder = tmp_path / "out"
    assert Path(summary["path"]) == folder
    for detector, ids in (("0", [5]), ("10", [1]), ("2", [0, 2])):
        np.testing.assert_array_equal(np.load(folder / f"images{detector}.npy"), np.asarray(dataset.pixels[:])[ids])
        assert np.load(folder / f"images{detector}.npy").dtype == np.dtype("<f4")
        with (folder / f"params{detector}.csv").open() as stream:
            table = list(csv.DictReader(stream))
        assert list(table[0]) == list(COLUMNS)
        assert [row["id"] for row in table] == [f"c{number:04d}" for number in ids]
        assert [row["mag"] for row in table] == ["20.0"] * len(ids)
        assert [row["group"] for row in table] == [f"cell {number}" for number in ids]
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert (
        set(sums)
        == files
        == {
            *(f"images{name}.npy" for name in ("0", "10", "2")),
            *(f"params{name}.csv" for name in ("0", "10", "2")),
            "ledger.parquet",
            "README.md",
            "export.json",
        }
    )
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    ledger = pq.read_table(folder / "ledger.parquet")
    assert ledger["id"].to_pylist() == ["c0000", "c0001", "c0002", "c0005"]
    assert ledger["part"].to_pylist() == ["train", "train", "test", "train"]


def test_an_export_is_whole_only_with_a_digest_of_every_file(workspace: Workspace, tmp_path: Path) -> None:
    publish(workspace)
    folder = tmp_path / "out"
    summary = export_candidates(workspace, "made", "all", str(folder))

    def again() -> dict[str, Any]:
        return export_candidates(workspace, "made", "all", str(folder)) | {"seconds": 0}

    assert again() == summary | {"seconds": 0}
    sums = folder / "SHA256SUMS"
    whole = sums.read_text()
    for shortened in ("", "".join(line for line in whole.splitlines(True) if "params0" not in line)):
        sums.write_text(shortened)
        with pytest.raises(StoreError, match=r"its file (README\.md|params0\.csv) is not as part 'all' of made@1"):
            again()
    sums.write_text(whole)
    (folder / "more").touch()
    with pytest.raises(StoreError, match="its file more is not as part 'all' of made@1"):
        again()


def test_an_export_that_may_not_be_read_is_not_called_broken(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(workspace)
    export_candidates(workspace, "made", "all", str(tmp_path / "out"))

    def refused(file: Path) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(export, "sha256_of_file", refused)
    with pytest.raises(PermissionError, match="Permission denied"):
        export_candidates(workspace, "made", "all", str(tmp_path / "out"))
    (tmp_path / "a file").touch()
    with pytest.raises(StoreError, match="a file exists already, and is no whole export"):
        export_candidates(workspace, "made", "all", str(tmp_path / "a file"))


def test_the_data_card_counts_what_is_there_and_what_is_left_out(workspace: Workspace) -> None:
    dataset = publish(workspace)
    card = data_card(dataset, "train", {"2": 3, "10": 1}, {"b": 3, "a": 1}, {"real detection": 2})
    lines = card.splitlines()
    assert lines[0] == "# made, version 1, part train"
    assert "4 triplets of 2 detectors; **simulated pixels**, labels by **injection**." in lines
    rows = [line for line in lines if line.startswith("| ")]
    assert rows[:6] == [
        "| property | value |",
        "| a | 1 |",
        "| b | 3 |",
        "| left out: real detection | 2 |",
        "| detector 2 | 3 |",
        "| detector 10 | 1 |",
    ]
    assert "| split hash | s |" in rows
    assert "| built with | stamp_px=21 |" in rows, "empty parameters are left out"


def test_the_standard_folder_is_named_by_version_and_part_and_other_problems_are_refused(workspace: Workspace) -> None:
    dataset = publish(workspace)
    summary = export_candidates(workspace, "made", "train", None)
    assert Path(summary["path"]) == workspace.root / "exports" / "made-000001-train"
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | {"problem": "galaxy"}))
    with pytest.raises(PartError, match="'made' is of problem 'galaxy'; the published layout is for realbogus"):
        export_candidates(workspace, "made", "all", None)
