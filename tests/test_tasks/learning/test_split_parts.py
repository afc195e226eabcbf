"""Parts and folds: labelled rows only, no group in two places, every class spread."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.split_parts import (
    UNLABELLED,
    LeakError,
    PartError,
    SplitPart,
    draw_folds,
    part_rows,
    require_every_class,
)
from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.schema import LEDGER, SPLIT

CLASSES = ["E", "S"]


def dataset(
    workspace: Workspace,
    labels: dict[str, str | None],
    parts: dict[str, str],
    groups: dict[str, str] | None = None,
    digests: dict[str, str] | None = None,
) -> Dataset:
    """A published dataset whose ids are the labels' keys; an id without a part was rejected."""
    folder = workspace.datasets / "tiny"
    pixels.grow(pixels.create(folder / "pixels.zarr", (4, 4, 3), "uint8"), 1)
    rows = [
        dict.fromkeys(LEDGER.names)
        | {
            "id": name,
            "status": "stored" if name in parts else "rejected",
            "reason": None if name in parts else "blank",
            "group": (groups or {}).get(name, name),
            "pixel_sha256": (digests or {}).get(name, f"pixels of {name}"),
        }
        for name in labels
    ]
    table = merging.give_rows(pa.Table.from_pylist(rows, LEDGER), 0)
    names = list(parts)
    split = pa.table(
        [pa.array(column) for column in (names, [(groups or {}).get(name, name) for name in names], parts.values())],
        schema=SPLIT,
    )
    labelled = {"scheme": pa.table({"id": list(labels), "label": pa.array(labels.values(), pa.string())})}
    manifest = {"problem": "galaxy", "schemes": {"scheme": {"classes": CLASSES}}}
    return versions.publish(folder, versions.NewVersion(table, labelled, split, manifest), None)


def test_a_part_holds_its_labelled_samples(workspace: Workspace) -> None:
    built = dataset(
        workspace,
        {"a": "S", "b": None, "c": "E", "d": "E", "e": "S"},
        {"a": "train", "b": "train", "c": "train", "d": "test"},
    )
    train = part_rows(built, "scheme", "train")
    assert (train.ids, train.labels.tolist(), train.groups) == (["a", "c"], [1, 0], ["a", "c"])
    rows = dict(zip(*built.samples(["id", "row"]).to_pydict().values(), strict=True))
    assert train.rows.tolist() == [rows["a"], rows["c"]]
    assert part_rows(built, "scheme", "all").ids == ["a", "c", "d"]
    with_unlabelled = part_rows(built, "scheme", "train", unlabelled=True)
    assert (with_unlabelled.ids, with_unlabelled.labels.tolist()) == (["a", "b", "c"], [1, UNLABELLED, 0])
    with pytest.raises(PartError, match="'validation' of dataset 'tiny' has no sample"):
        part_rows(built, "scheme", "validation")
    with pytest.raises(PartError, match="'holdout' is no part"):
        part_rows(built, "scheme", "holdout")
    with pytest.raises(StoreError, match="not labelled by scheme 'other'; it has: scheme"):
        part_rows(built, "other", "train")


def test_a_leak_stops_training(workspace: Workspace) -> None:
    labels, parts = {"a": "S", "b": "E"}, {"a": "train", "b": "test"}
    with pytest.raises(LeakError, match="group"):
        part_rows(dataset(workspace, labels, parts, groups={"a": "g", "b": "g"}), "scheme", "train")


def test_one_image_in_two_parts_stops_training(workspace: Workspace) -> None:
    labels, parts = {"a": "S", "b": "E"}, {"a": "train", "b": "test"}
    with pytest.raises(LeakError, match="pixel sha256"):
        part_rows(dataset(workspace, labels, parts, digests={"a": "same", "b": "same"}), "scheme", "train")


def test_a_strange_label_is_named(workspace: Workspace) -> None:
    with pytest.raises(PartError, match=r"hold \['irregular'\]"):
        part_rows(dataset(workspace, {"a": "irregular"}, {"a": "train"}), "scheme", "train")


def test_a_class_without_samples_is_named(workspace: Workspace) -> None:
    train = part_rows(dataset(workspace, {"a": "S"}, {"a": "train"}), "scheme", "train")
    with pytest.raises(PartError, match="the train part has no sample of E among its 1"):
        require_every_class(train, CLASSES, "the train part")


def part_of(groups: list[int], labels: list[int]) -> SplitPart:
    count = len(groups)
    return SplitPart(
        [str(at) for at in range(count)],
        np.arange(count),
        np.asarray(labels, np.int32),
        [f"group {group}" for group in groups],
    )


@given(
    members=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=12, max_size=80),
    count=st.integers(2, 5),
    seed=st.integers(0, 3),
)
def test_folds_keep_groups_whole(members: list[tuple[int, int]], count: int, seed: int) -> None:
    part = part_of(*map(list, zip(*members, strict=True)))
    if len(set(part.groups)) < count:
        return
    folds = draw_folds(part, count, seed)
    assert set(folds) == set(range(count))
    assert len(set(zip(part.groups, folds, strict=True))) == len(set(part.groups))


def test_single_samples_spread_every_class_evenly() -> None:
    labels = np.random.default_rng(1).choice(3, 503, p=[0.7, 0.25, 0.05])
    part = part_of(list(range(503)), labels.tolist())
    folds = draw_folds(part, 5, 0)
    for label in range(3):
        counts = Counter(folds[labels == label])
        assert max(counts.values()) - min(counts.values()) <= 1
    sizes = Counter(folds)
    assert max(sizes.values()) - min(sizes.values()) <= 3
    assert (draw_folds(part, 5, 0) == folds).all()
    assert (draw_folds(part, 5, 1) != folds).any()


def test_folds_do_not_depend_on_the_order_of_samples() -> None:
    part = part_of(list(range(60)), [at % 3 for at in range(60)])
    order = np.random.default_rng(0).permutation(60)
    assert (draw_folds(part.take(order), 4, 0) == draw_folds(part, 4, 0)[order]).all()


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(PartError, match="folds=4 is not between 2 and the 3 groups"):
        draw_folds(part_of([0, 1, 2, 2], [0, 0, 0, 0]), 4, 0)
