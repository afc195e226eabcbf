"""Publishing versions: one after the other, an account that balances, a digest of what is stored."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.runtime.workspace import Workspace
from tasks.store import pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.errors import (
    AccountError,
)
from tasks.store.schema import SPLIT, TRUTH
from tests.small_ledgers import publish_ids, small_ledger


def test_versions_are_published_one_after_the_other_and_the_old_one_stays(workspace: Workspace) -> None:
    first = publish_ids(workspace, None, ["b", "a"])
    before = {path.name: path.read_bytes() for path in first.path.iterdir() if path.is_file()}
    second = publish_ids(workspace, first, ["c"])
    assert (first.version, second.version) == (1, 2)
    assert Dataset.open(workspace, "tiny").version == 2
    assert Dataset.open(workspace, "tiny@1").digest == first.digest != second.digest
    assert {path.name: path.read_bytes() for path in first.path.iterdir() if path.is_file()} == before
    assert second.samples()["id"].to_pylist() == ["a", "b", "c"]
    # An append begins a new shard.
    assert second.samples()["row"].to_pylist() == [0, 1, pixels.SHARD_ROWS]
    assert (second.path / "pixels.zarr").resolve() == workspace.datasets / "tiny" / "pixels.zarr"


def test_a_folder_left_by_a_publisher_that_died_is_replaced(workspace: Workspace) -> None:
    first = publish_ids(workspace, None, ["a"])
    left = first.path.with_name("000002")
    left.mkdir()
    (left / "manifest.json").write_text("{}")
    left.with_name(".000002.99.part").mkdir()
    assert Dataset.open(workspace, "tiny").version == 1
    assert publish_ids(workspace, first, ["b"]).samples()["id"].to_pylist() == ["a", "b"]
    assert sorted(path.name for path in left.parent.iterdir()) == ["000001", "000002"]


def test_the_digest_depends_on_pixels_and_labels_and_not_on_order_or_row() -> None:
    labels = {"s": pa.table({"id": ["a", "b"], "label": ["E", None]})}
    one = small_ledger(["a", "b"], row=[0, 1])
    assert versions.digest(one, labels) == versions.digest(small_ledger(["b", "a"], row=[5, 9]), labels)
    other_label = {"s": pa.table({"id": ["a", "b"], "label": ["E", "S"]})}
    other_pixels = small_ledger(["a", "b"], pixel_sha256=["pa", "changed"])
    relabelled = labels | {"s.round1": other_label["s"]}
    assert versions.digest(one, other_label) != versions.digest(one, labels) != versions.digest(other_pixels, labels)
    assert versions.digest(one, relabelled) == versions.digest(one, labels)


def test_an_account_that_does_not_balance_is_refused() -> None:
    good = small_ledger(["a", "b"], row=[0, None], status=["stored", "rejected"], reason=[None, "blank"])
    assert versions.account(good) == (1, {"blank": 1})
    for bad in (
        small_ledger(["a"], row=[None]),
        small_ledger(["a"], row=[0], reason=["blank"]),
        small_ledger(["a"], status=["rejected"]),
        small_ledger(["a"], status=["rejected"], reason=["blank"], row=[4]),
    ):
        with pytest.raises(AccountError):
            versions.account(bad)


def test_the_digest_is_that_of_the_lines_of_the_format() -> None:
    table = small_ledger(["b", "a", "c"], status=["stored", "stored", "rejected"])
    labels = {
        "t": pa.table({"id": ["a", "b"], "label": ["E", None]}),
        "s": pa.table({"id": ["b"], "label": ["S"]}),
        "s.round1": pa.table({"id": ["b"], "label": ["E"]}),
    }
    lines = "a\tpa\t\tE\nb\tpb\tS\t\n"
    assert versions.digest(table, labels) == hashlib.sha256(lines.encode()).hexdigest()
    split = pa.table([["b", "a"], ["g", "h"], ["train", "test"]], schema=SPLIT)
    assert versions.split_hash(split) == hashlib.sha256(b"a\th\ttest\nb\tg\ttrain\n").hexdigest()
    assert versions.split_hash(None) is None


def test_long_tables_are_hashed_in_pieces_as_in_one() -> None:
    count = 2 * versions._LINES_AT_ONCE + 1
    ids = [f"{number:06d}" for number in range(count)]
    split = pa.table([ids, ids, ["train"] * count], schema=SPLIT)
    lines = "".join(f"{name}\t{name}\ttrain\n" for name in ids)
    assert versions.split_hash(split) == hashlib.sha256(lines.encode()).hexdigest()


def test_reasons_are_counted_most_frequent_first_and_by_name() -> None:
    reasons = ["z", "b", "a", "b", None]
    table = small_ledger(list("abcde"), status=["rejected"] * 4 + ["stored"], reason=reasons, row=[None] * 4 + [0])
    stored, rejected = versions.account(table)
    assert (stored, list(rejected.items())) == (1, [("b", 2), ("a", 1), ("z", 1)])
    assert versions.account(table.slice(0, 0)) == (0, {})
    with pytest.raises(AccountError, match="ledger row a is 'rejected' with row None and reason ''"):
        versions.account(small_ledger(["a"], status=["rejected"], reason=[""]))


def test_stored_rows_are_those_not_rejected_or_some_of_their_columns() -> None:
    table = small_ledger(["a", "b"], status=["stored", "rejected"])
    assert versions.stored_rows(table)["id"].to_pylist() == ["a"]
    assert versions.stored_rows(table, ["pixel_sha256"]).to_pydict() == {"pixel_sha256": ["pa"]}


def test_a_version_holds_the_tables_and_the_manifest_that_it_was_given(workspace: Workspace) -> None:
    folder = workspace.datasets / "tiny"
    pixels.create(folder / "pixels.zarr", (4, 4, 3), "uint8")
    table = small_ledger(["a", "b"], row=[0, None], status=["stored", "rejected"], reason=[None, "blank"])
    split = pa.table([["a"], ["g"], ["train"]], schema=SPLIT)
    truth = pa.table([["a"], ["real"], ["injected"]], schema=TRUTH)
    labels = {"s": pa.table({"id": ["a"], "label": ["E"]})}

    def write(target: Path) -> None:
        (target / "index.html").write_text("page")

    new = versions.NewVersion(table, labels, split, {"schemes": {}, "more": 1}, truth, split, write)
    dataset = versions.publish(folder, new, None)
    manifest = dataset.manifest
    assert {name: manifest[name] for name in ("version", "parent", "asked", "stored", "rejected", "more")} == {
        "version": 1,
        "parent": None,
        "asked": 2,
        "stored": 1,
        "rejected": {"blank": 1},
        "more": 1,
    }
    assert manifest["format_version"] == 2
    assert manifest["pixel_store"] == "../../pixels.zarr"
    assert dataset.every_label_table() == labels
    assert manifest["digest"] == versions.digest(table, labels)
    assert manifest["split_hash"] == versions.split_hash(split)
    assert dataset.truth() == truth
    assert dataset.split() == dataset.split_by_time() == split
    assert (dataset.path / "validation" / "index.html").read_text() == "page"
    assert (folder / "CURRENT").read_text() == "1\n"
    second = versions.publish(folder, versions.NewVersion(table, labels, None, {"schemes": {}}), dataset)
    assert (second.manifest["parent"], second.version) == (1, 2)
    assert second.split() is None
    assert second.truth() is None
    assert second.manifest["split_hash"] is None
