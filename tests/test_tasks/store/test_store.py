"""The dataset on disk: complete or absent, written once, and an account that balances."""

import contextlib
import errno
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.errors import (
    AccountError,
    DatasetBusyError,
    DatasetNameError,
    DatasetNotFoundError,
    DiskFullError,
    FormatVersionError,
)
from tasks.store.files import whole_file, whole_folder
from tasks.store.locks import one_builder
from tasks.store.packing import shard_jobs, write_shard_job
from tasks.store.raw import RawStore
from tasks.store.schema import LEDGER, SPLIT, check_name
from tasks.store.staging import Staging


def ledger(ids: list[str], **columns: list[object]) -> pa.Table:
    """A ledger of stored rows without places, some columns given."""
    rows = [dict.fromkeys(LEDGER.names) | {"id": name, "status": "stored", "pixel_sha256": f"p{name}"} for name in ids]
    return merging.with_columns(pa.Table.from_pylist(rows, LEDGER), columns)


def publish(workspace: Workspace, parent: Dataset | None, ids: list[str]) -> Dataset:
    folder = workspace.datasets / "tiny"
    if parent is None:
        array = pixels.create(folder / "pixels.zarr", (4, 4, 3), "uint8")
        pixels.grow(array, 1)
    old = None if parent is None else parent.samples()
    staging = Staging(folder / "staging")
    new = merging.without_place(ledger(ids))
    table = merging.give_rows(merging.merge(old, new, staging), merging.next_free_row(old))
    table = table.drop_columns(merging.PLACE.names)
    labels = {"scheme": pa.table({"id": table["id"], "label": pa.array(["E"] * table.num_rows)})}
    split = pa.table([table["id"], table["id"], pa.array(["train"] * table.num_rows)], schema=SPLIT)
    manifest = {"problem": "galaxy", "schemes": {"scheme": {"classes": ["E"]}}}
    return versions.publish(folder, versions.NewVersion(table, labels, split, manifest), parent)


def test_versions_are_published_one_after_the_other_and_the_old_one_stays(workspace: Workspace) -> None:
    first = publish(workspace, None, ["b", "a"])
    before = {path.name: path.read_bytes() for path in first.path.iterdir() if path.is_file()}
    second = publish(workspace, first, ["c"])
    assert (first.version, second.version) == (1, 2)
    assert Dataset.open(workspace, "tiny").version == 2
    assert Dataset.open(workspace, "tiny@1").digest == first.digest != second.digest
    assert {path.name: path.read_bytes() for path in first.path.iterdir() if path.is_file()} == before
    assert second.samples()["id"].to_pylist() == ["a", "b", "c"]
    # An append begins a new shard.
    assert second.samples()["row"].to_pylist() == [0, 1, pixels.SHARD_ROWS]
    assert (second.path / "pixels.zarr").resolve() == workspace.datasets / "tiny" / "pixels.zarr"


def test_a_folder_left_by_a_publisher_that_died_is_replaced(workspace: Workspace) -> None:
    first = publish(workspace, None, ["a"])
    left = first.path.with_name("000002")
    left.mkdir()
    (left / "manifest.json").write_text("{}")
    assert Dataset.open(workspace, "tiny").version == 1
    assert publish(workspace, first, ["b"]).samples()["id"].to_pylist() == ["a", "b"]


def test_what_is_not_there_is_named(workspace: Workspace) -> None:
    publish(workspace, None, ["a"])
    with pytest.raises(DatasetNotFoundError, match="there are: tiny"):
        Dataset.open(workspace, "other")
    with pytest.raises(DatasetNotFoundError):
        Dataset.open(workspace, "tiny@7")
    with pytest.raises(DatasetNameError, match=r"\.\./x"):
        Dataset.open(workspace, "../x")


@pytest.mark.parametrize("name", ["", "A", "-a", "a/b", "..", "a" * 65, "a b", "é"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(DatasetNameError):
        check_name(name)


def test_another_format_is_refused(workspace: Workspace) -> None:
    dataset = publish(workspace, None, ["a"])
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(FormatVersionError, match="format 99"):
        Dataset.open(workspace, "tiny")


def test_the_digest_depends_on_pixels_and_labels_and_not_on_order_or_row() -> None:
    labels = {"s": pa.table({"id": ["a", "b"], "label": ["E", None]})}
    one = ledger(["a", "b"], row=[0, 1])
    assert versions.digest(one, labels) == versions.digest(ledger(["b", "a"], row=[5, 9]), labels)
    other_label = {"s": pa.table({"id": ["a", "b"], "label": ["E", "S"]})}
    other_pixels = ledger(["a", "b"], pixel_sha256=["pa", "changed"])
    relabelled = labels | {"s.round1": other_label["s"]}
    assert versions.digest(one, other_label) != versions.digest(one, labels) != versions.digest(other_pixels, labels)
    assert versions.digest(one, relabelled) == versions.digest(one, labels)


def test_an_account_that_does_not_balance_is_refused() -> None:
    good = ledger(["a", "b"], row=[0, None], status=["stored", "rejected"], reason=[None, "blank"])
    assert versions.account(good) == (1, {"blank": 1})
    for bad in (
        ledger(["a"], row=[None]),
        ledger(["a"], row=[0], reason=["blank"]),
        ledger(["a"], status=["rejected"]),
        ledger(["a"], status=["rejected"], reason=["blank"], row=[4]),
    ):
        with pytest.raises(AccountError):
            versions.account(bad)


@given(st.lists(st.integers(0, 1000).map(str), unique=True, max_size=60), st.data())
@settings(max_examples=40, deadline=None)
def test_merging_keeps_what_is_stored_and_gives_every_stored_row_one_place(ids: list[str], data: st.DataObject) -> None:
    old_ids = sorted(data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else [])
    refused = data.draw(st.lists(st.sampled_from(old_ids), unique=True)) if old_ids else []
    old = merging.reject(merging.give_rows(ledger(old_ids), 0), dict.fromkeys(refused, "timeout"))
    new_ids = sorted(set(ids) - set(old_ids) | set(refused))
    first_row = merging.next_free_row(old)
    with tempfile.TemporaryDirectory() as name:
        new = merging.without_place(ledger(new_ids))
        merged = merging.give_rows(merging.merge(old, new, Staging(Path(name))), first_row)
    assert merged["id"].to_pylist() == sorted(ids)
    rows = dict(zip(merged["id"].to_pylist(), merged["row"].to_pylist(), strict=True))
    assert len(set(rows.values())) == len(ids)
    for name, row in zip(old["id"].to_pylist(), old["row"].to_pylist(), strict=True):
        assert rows[name] == row if name not in refused else rows[name] >= first_row
    assert [rows[name] for name in new_ids] == list(range(first_row, first_row + len(new_ids)))


def test_a_stored_row_is_never_replaced(tmp_path: Path) -> None:
    new = merging.without_place(ledger(["a"]))
    with pytest.raises(ValueError, match="stored rows would be replaced"):
        merging.merge(merging.give_rows(ledger(["a"]), 0), new, Staging(tmp_path))


def test_gathered_rows_say_where_their_pixels_are_and_merge_in_order_of_id(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    batches = {0: ["e", "a", "c"], 1: ["d", "b"]}
    for number, ids in batches.items():
        rejected = {"status": ["rejected" if name == "a" else "stored" for name in ids]}
        stored = sum(name != "a" for name in ids)
        staging.write(number, ledger(ids, **rejected), np.zeros((stored, 2, 2, 3), np.uint8))
    merged = merging.merge(None, merging.gather(staging, batches, LEDGER), staging)
    places = zip(*(merged[name].to_pylist() for name in ("id", *merging.PLACE.names)), strict=True)
    assert list(places) == [("a", None, None), ("b", 1, 1), ("c", 0, 1), ("d", 1, 0), ("e", 0, 0)]


def test_batches_without_any_order_merge_in_order_of_id_with_all_their_columns(tmp_path: Path) -> None:
    count = 2 * merging.BLOCK_ROWS + 100
    numbers = np.random.default_rng(0).permutation(count)
    staging = Staging(tmp_path)
    for batch, mine in enumerate(np.array_split(numbers, 5)):
        rows = ledger([f"{number:06d}" for number in mine], attempts=mine.tolist())
        staging.write(batch, rows, np.zeros((len(mine), 1, 1, 3), np.uint8))
    merged = merging.merge(None, merging.gather(staging, range(5), LEDGER), staging)
    assert merged["attempts"].to_pylist() == list(range(count))
    assert merged["id"].to_pylist() == [f"{number:06d}" for number in range(count)]


def test_packing_puts_samples_in_their_rows_whatever_batch_they_come_from(tmp_path: Path) -> None:
    count = pixels.SHARD_ROWS + 30
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 255, (count, 4, 4, 3), dtype=np.uint8)
    staging = Staging(tmp_path / "staging")
    batches, positions = np.empty(count, int), np.empty(count, int)
    for number in range(3):
        mine = np.flatnonzero(np.arange(count) % 3 == number)
        staging.write(number, ledger([str(index) for index in mine]), samples[mine])
        batches[mine], positions[mine] = number, np.arange(len(mine))
    array = pixels.create(tmp_path / "pixels.zarr", (4, 4, 3), "uint8")
    pixels.grow(array, count)
    jobs = list(shard_jobs(tmp_path / "pixels.zarr", staging, 0, batches, positions))
    assert [write_shard_job(job) for job in reversed(jobs)] == [30, pixels.SHARD_ROWS]
    assert np.array_equal(pixels.open_array(tmp_path / "pixels.zarr")[:count], samples)
    opened = xarray.open_zarr(tmp_path / "pixels.zarr", consolidated=False)
    assert opened["pixels"].dims == ("sample", "y", "x", "channel")
    assert np.array_equal(opened["pixels"][5].to_numpy(), samples[5])


def test_a_batch_is_complete_or_absent(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    with pytest.raises(ValueError, match="2 stored rows and 1 samples"):
        staging.write(0, ledger(["a", "b"]), np.zeros((1, 4, 4, 3), np.uint8))
    with contextlib.suppress(KeyboardInterrupt), whole_folder(staging.batch(1)) as folder:
        (folder / "pixels.npy").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not staging.is_finished(0)
    assert not staging.is_finished(1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    target = tmp_path / "table"

    def fill() -> None:
        with whole_file(target) as path:
            path.write_bytes(b"some")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match=r"no space left on the disk of .*table"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_second_builder_is_refused_and_told_who_builds(tmp_path: Path) -> None:
    with (
        one_builder(tmp_path / "d"),
        pytest.raises(DatasetBusyError, match="'d' is being built by process"),
        one_builder(tmp_path / "d"),
    ):
        pass
    with one_builder(tmp_path / "d"):
        pass


def test_raw_bytes_are_found_by_request_and_damage_is_noticed(tmp_path: Path) -> None:
    raw = RawStore(tmp_path)
    sha256 = raw.put_answer("key", b"bytes")
    raw.put_refusal("other", "http_404")
    again = RawStore(tmp_path)
    kept = again.answer("key")
    assert kept is not None
    assert (kept.sha256, kept.content) == (sha256, b"bytes")
    refused = again.answer("other")
    assert refused is not None
    assert refused.reason == "http_404"
    assert again.answer("unknown") is None
    raw.path(sha256).write_bytes(b"torn")
    assert again.get(sha256) is None
    assert again.answer("key") is None
    raw.close()
    again.close()
