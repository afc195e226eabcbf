"""Ledger arithmetic: gather, reject, merge, give out rows."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels
from tasks.store.schema import LEDGER
from tasks.store.staging import Staging
from tests.small_ledgers import publish_ids, small_ledger


@given(st.lists(st.integers(0, 1000).map(str), unique=True, max_size=60), st.data())
@settings(max_examples=40, deadline=None)
def test_merging_keeps_what_is_stored_and_gives_every_stored_row_one_place(ids: list[str], data: st.DataObject) -> None:
    old_ids = sorted(data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else [])
    refused = data.draw(st.lists(st.sampled_from(old_ids), unique=True)) if old_ids else []
    old = merging.reject(merging.give_rows(small_ledger(old_ids), 0), dict.fromkeys(refused, "timeout"))
    new_ids = sorted(set(ids) - set(old_ids) | set(refused))
    first_row = merging.next_free_row(old)
    with tempfile.TemporaryDirectory() as name:
        new = merging.without_place(small_ledger(new_ids))
        merged = merging.give_rows(merging.merge(old, new, Staging(Path(name))), first_row)
    assert merged["id"].to_pylist() == sorted(ids)
    rows = dict(zip(merged["id"].to_pylist(), merged["row"].to_pylist(), strict=True))
    assert len(set(rows.values())) == len(ids)
    for name, row in zip(old["id"].to_pylist(), old["row"].to_pylist(), strict=True):
        assert rows[name] == row if name not in refused else rows[name] >= first_row
    assert [rows[name] for name in new_ids] == list(range(first_row, first_row + len(new_ids)))


def test_a_stored_row_is_never_replaced(tmp_path: Path) -> None:
    new = merging.without_place(small_ledger(["a"]))
    with pytest.raises(ValueError, match="stored rows would be replaced"):
        merging.merge(merging.give_rows(small_ledger(["a"]), 0), new, Staging(tmp_path))


def test_a_ledger_that_lacks_a_column_has_nulls_there_and_one_with_another_is_refused(tmp_path: Path) -> None:
    old = merging.give_rows(small_ledger(["b"]), 0)
    new = merging.without_place(small_ledger(["a"]))
    position = new.schema.get_field_index("attempts")
    wider = new.add_column(position, pa.field("found", pa.bool_()), pa.array([True]))
    merged = merging.merge(old, wider, Staging(tmp_path))
    assert merged.schema.equals(wider.schema)
    assert merged.select(["id", "found"]).to_pylist() == [{"id": "a", "found": True}, {"id": "b", "found": None}]
    assert merged["attempts"].to_pylist() == [*new["attempts"].to_pylist(), *old["attempts"].to_pylist()]
    with pytest.raises(ValueError, match="found"):
        merging.merge(old.append_column("found", pa.array([True])), new, Staging(tmp_path))


def test_gathered_rows_say_where_their_pixels_are_and_merge_in_order_of_id(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    batches = {0: ["e", "a", "c"], 1: ["d", "b"]}
    for number, ids in batches.items():
        rejected = {"status": ["rejected" if name == "a" else "stored" for name in ids]}
        stored = sum(name != "a" for name in ids)
        staging.write(number, small_ledger(ids, **rejected), np.zeros((stored, 2, 2, 3), np.uint8))
    merged = merging.merge(None, merging.gather(staging, batches, LEDGER), staging)
    places = zip(*(merged[name].to_pylist() for name in ("id", *merging.PLACE.names)), strict=True)
    assert list(places) == [("a", None, None), ("b", 1, 1), ("c", 0, 1), ("d", 1, 0), ("e", 0, 0)]


def test_batches_without_any_order_merge_in_order_of_id_with_all_their_columns(tmp_path: Path) -> None:
    count = 2 * merging.BLOCK_ROWS + 100
    numbers = np.random.default_rng(0).permutation(count)
    staging = Staging(tmp_path)
    for batch, mine in enumerate(np.array_split(numbers, 5)):
        rows = small_ledger([f"{number:06d}" for number in mine], attempts=mine.tolist())
        staging.write(batch, rows, np.zeros((len(mine), 1, 1, 3), np.uint8))
    merged = merging.merge(None, merging.gather(staging, range(5), LEDGER), staging)
    assert merged["attempts"].to_pylist() == list(range(count))
    assert merged["id"].to_pylist() == [f"{number:06d}" for number in range(count)]


def test_rejected_rows_have_the_reason_and_no_array_row() -> None:
    table = merging.give_rows(small_ledger(["a", "b", "c"]), 7)
    assert merging.reject(table, {}) is table
    rejected = merging.reject(table, {"b": "blank", "x": "of another ledger"})
    assert rejected["status"].to_pylist() == ["stored", "rejected", "stored"]
    assert rejected["reason"].to_pylist() == [None, "blank", None]
    assert rejected["row"].to_pylist() == [7, None, 9]
    assert rejected["pixel_sha256"].to_pylist() == ["pa", "pb", "pc"]


def test_rows_that_have_a_place_keep_it_and_the_others_follow() -> None:
    table = small_ledger(["a", "b", "c", "d"], row=[3, None, 5, None])
    assert merging.give_rows(table, 10)["row"].to_pylist() == [3, 10, 5, 11]
    without = merging.reject(table, {"b": "blank"})
    assert merging.give_rows(without, 10)["row"].to_pylist() == [3, None, 5, 10]


def test_the_next_rows_begin_a_new_shard() -> None:
    size = pixels.SHARD_ROWS
    assert merging.next_free_row(None) == 0
    assert merging.next_free_row(small_ledger(["a"])) == 0
    for last, following in ((0, size), (size - 1, size), (size, 2 * size), (2 * size - 1, 2 * size)):
        assert merging.next_free_row(small_ledger(["a", "b"], row=[last, None])) == following


def test_a_new_row_replaces_a_published_one_that_is_not_stored(tmp_path: Path) -> None:
    old = merging.reject(merging.give_rows(small_ledger(["a", "b"]), 0), {"b": "timeout"})
    new = merging.without_place(small_ledger(["b", "c"], attempts=[2, 1]))
    merged = merging.merge(old, new, Staging(tmp_path / "staging" / "deep"))
    assert merged["id"].to_pylist() == ["a", "b", "c"]
    assert merged["attempts"].to_pylist() == [None, 2, 1]
    assert merged["status"].to_pylist() == ["stored"] * 3
    with pytest.raises(ValueError, match="1 stored rows would be replaced, such as a"):
        merging.merge(old, merging.without_place(small_ledger(["a"])), Staging(tmp_path))


def test_columns_are_replaced_with_their_types() -> None:
    table = small_ledger(["a", "b"])
    replaced = merging.with_columns(table, {"attempts": [1, 2], "ra_deg": pa.array([1, 2], pa.int8())})
    assert replaced.schema == table.schema
    assert replaced["attempts"].to_pylist() == [1, 2]
    assert replaced["ra_deg"].to_pylist() == [1.0, 2.0]
    assert replaced["id"].to_pylist() == ["a", "b"]


def test_a_table_set_aside_is_the_same_and_may_be_replaced_while_it_is_read(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "deep" / "er")
    first = merging.set_aside(pa.table({"x": [1, 2]}), staging, "name")
    second = merging.set_aside(pa.table({"x": [3]}), staging, "name")
    assert (first["x"].to_pylist(), second["x"].to_pylist()) == ([1, 2], [3])
    assert [path.name for path in staging.folder.iterdir()] == ["name.arrow"]


def test_a_parents_ledger_is_read_whole(workspace: Workspace, tmp_path: Path) -> None:
    parent = publish_ids(workspace, None, ["a", "b"])
    table = merging.published(parent, Staging(tmp_path))
    assert table is not None
    assert table.equals(parent.samples())
    assert merging.published(None, Staging(tmp_path)) is None


def test_rows_without_a_place_have_null_in_its_columns() -> None:
    table = merging.without_place(small_ledger(["a"]))
    assert table.schema.names[-2:] == merging.PLACE.names
    assert [table[name].to_pylist() for name in merging.PLACE.names] == [[None], [None]]
