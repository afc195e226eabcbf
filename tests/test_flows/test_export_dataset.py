"""Exporting candidates: what goes out in the published layout comes back through the source of that layout."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.export_dataset import export_dataset
from realbogus.sources.zenodo import write_published_layout
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError


def test_an_export_is_read_back_as_it_was(flows_here: Workspace, tmp_path: Path) -> None:
    write_published_layout(tmp_path / "made", 2, 60, np.random.default_rng(0))
    build_realbogus_dataset(dataset="one", source="zenodo", path=str(tmp_path / "made"))
    summary = export_dataset(dataset="one", part="train", path=str(tmp_path / "out"))
    dataset = Dataset.open(flows_here, "one")
    split = dataset.split()
    assert split is not None
    trained = {row["id"] for row in split.to_pylist() if row["part"] == "train"}
    assert summary["exported"] == sum(summary["object_types"].values()) == len(trained)
    assert summary["left_out"] == {}
    folder = tmp_path / "out"
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(pq.read_table(folder / "ledger.parquet")["id"].to_pylist()) == trained
    assert "**real+injected pixels**, labels by **injection**" in (folder / "README.md").read_text()

    build_realbogus_dataset(dataset="two", source="zenodo", path=str(folder), group_column="group")
    again = Dataset.open(flows_here, "two").samples().to_pylist()
    before = {row["pixel_sha256"]: row for row in dataset.samples().to_pylist() if row["id"] in trained}
    assert {row["pixel_sha256"] for row in again} == set(before)
    for row in again:
        assert (row["kind"], row["group"]) == (
            before[row["pixel_sha256"]]["kind"],
            before[row["pixel_sha256"]]["group"],
        )

    # A rerun, as after a kill between the folder's rename and the summary, compares what is there and writes nothing.
    times = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert export_dataset(dataset="one", part="train", path=str(folder)) | {"seconds": 0} == summary | {"seconds": 0}
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == times
    with pytest.raises(StoreError, match="exists already, and is no whole export of part 'test' of one@1"):
        export_dataset(dataset="one", part="test", path=str(folder))
    table = next(folder.glob("params*.csv"))
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"exists already, and its file {table.name} is not as"):
        export_dataset(dataset="one", part="train", path=str(folder))
    (folder / "ledger.parquet").unlink()
    with pytest.raises(StoreError, match=r"exists already, and its file ledger\.parquet is not as"):
        export_dataset(dataset="one", part="train", path=str(folder))


def test_what_the_layout_has_no_word_for_is_counted(flows_here: Workspace, shared_data: Path) -> None:
    build_realbogus_dataset(dataset="ztf", source="triplets", path=str(shared_data / "ztf_alerts"), limit=120)
    summary = export_dataset(dataset="ztf")
    labels = Dataset.open(flows_here, "ztf").labels("real-bogus")["label"].to_pylist()
    assert summary["object_types"] == {"artifact": labels.count("bogus")}
    assert sum(summary["left_out"].values()) == len(labels) - labels.count("bogus")
    assert Path(summary["path"]).parent == flows_here.root / "exports"
