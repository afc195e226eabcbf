"""The tables of the next version: published rows stay, new ones are added."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.split_shares import PARTS
from tasks.building.harvest import Harvest
from tasks.building.plan import Plan
from tasks.building.splits import part_by_hash, place
from tasks.building.version_tables import (
    assign_groups,
    extend_split,
    groups_per_class,
    merge_classes,
    merge_labels,
    merge_truth,
    split_nights,
    split_seed,
)
from tasks.store import merging, pixels
from tasks.store.dataset import Dataset
from tasks.store.schema import LEDGER, SPLIT, TRUTH
from tasks.store.versions import NewVersion, publish
from tests.small_builds import SmallRequest, small_plan


def ledger(rows: dict[str, str | None], **columns: list[object]) -> pa.Table:
    """Stored rows of {id: group}, some columns given."""
    table = pa.Table.from_pylist(
        [
            dict.fromkeys(LEDGER.names) | {"id": name, "group": group, "status": "stored", "row": number}
            for number, (name, group) in enumerate(rows.items())
        ],
        LEDGER,
    )
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def harvest(folder: Path, seed: int = 0, **settings: Any) -> Harvest:
    plan: Plan[Any] = small_plan(folder, SmallRequest(seed=seed), settings.pop("scheme", "shapes"))
    given = {"labels": None, "linked": False, "linked_by_rejected": False, "test_only": ""} | settings
    ids = pa.array([], pa.string())
    return Harvest(
        plan,
        ids,
        ledger({}),
        given["labels"],
        (4, 4, 3),
        "uint8",
        given["linked"],
        False,
        None,
        {},
        ("id",),
        lambda *_: {},
        linked_by_rejected=given["linked_by_rejected"],
        test_only=given["test_only"],
    )


def publish_rows(
    folder: Path, rows: dict[str, str], split: pa.Table | None, parent: Dataset | None = None, **manifest: Any
) -> Dataset:
    """Publish a version with those rows, labelled E if the id begins with e, else S."""
    if parent is None:
        pixels.grow(pixels.create(folder / "pixels.zarr", (4, 4, 3), "uint8"), 1)
    table = ledger(rows)
    labels = pa.table({"id": table["id"], "label": ["E" if name[0] == "e" else "S" for name in rows]})
    facts = {"problem": "galaxy", "schemes": {"shapes": {"classes": ["E", "S"]}}} | manifest
    return publish(folder, NewVersion(table, {"shapes": labels}, split, facts), parent)


def split_of(rows: dict[str, str], parts: list[str]) -> pa.Table:
    return pa.table([list(rows), list(rows.values()), parts], schema=SPLIT)


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=40, unique=True),
    st.integers(0, 50),
    st.lists(st.integers(0, 50), min_size=1, max_size=3),
    st.booleans(),
)
@settings(max_examples=25)
def test_a_late_group_goes_where_the_seed_of_the_first_draw_sends_it(
    numbers: list[int], first: int, later: list[int], recorded: bool
) -> None:
    groups = {f"e{number}": f"e{number}" for number in range(5)}
    late = {f"late{number}": f"late{number}" for number in numbers}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tiny"
        parent: Dataset | None = None
        for seed in (first, *later):
            rows = groups if parent is None else groups | late
            labels = pa.table({"id": list(rows), "label": ["E"] * len(rows)})
            split = extend_split(ledger(rows), parent, labels, harvest(folder / "staging", seed))
            assert split is not None
            drawn = split_seed(parent, seed)
            assert drawn == first
            # Versions published before the manifest recorded the seed have it among their parameters only.
            recorded_seed = {"split_seed": drawn} if recorded else {}
            parent = publish_rows(folder, rows, split, parent, parameters={"seed": seed}, **recorded_seed)
        assert parent is not None
        parts = dict(zip(split["group"].to_pylist(), split["part"].to_pylist(), strict=True))
        assert {group: parts[group] for group in late} == {group: part_by_hash(group, first) for group in late}


def test_the_seed_is_that_of_the_first_version_with_a_split(tmp_path: Path) -> None:
    rows = {"e1": "e1"}
    first = publish_rows(tmp_path / "tiny", rows, None, parameters={"seed": 1})
    assert split_seed(None, 5) == 5
    assert split_seed(first, 5) == 5
    second = publish_rows(tmp_path / "tiny", rows, split_of(rows, ["train"]), first, parameters={"seed": 2})
    third = publish_rows(tmp_path / "tiny", rows, split_of(rows, ["train"]), second, parameters={"seed": 3})
    assert split_seed(third, 5) == 2


def test_the_first_split_is_drawn_by_class_and_there_is_none_without_a_scheme(tmp_path: Path) -> None:
    rows = {f"{label}{number}": f"g{label}{number}" for label in "es" for number in range(20)}
    labels = pa.table({"id": list(rows), "label": [name[0] for name in rows]})
    split = extend_split(ledger(rows), None, labels, harvest(tmp_path, 3))
    assert split is not None
    assert split.schema == SPLIT
    expected = place(pa.array(list(rows.values())), pa.array([name[0] for name in rows]), None, 3)
    assert split["part"].to_pylist() == expected.to_pylist()
    assert split["id"].to_pylist() == list(rows)
    assert extend_split(ledger(rows), None, None, harvest(tmp_path, 3, scheme=None)) is None


def test_groups_of_the_test_only_prefix_are_never_trained_on(tmp_path: Path) -> None:
    rows = {f"n{number}": f"known:{number}" for number in range(20)} | {
        f"e{number}": f"{number}" for number in range(20)
    }
    labels = pa.table({"id": list(rows), "label": ["E"] * 40})
    split = extend_split(ledger(rows), None, labels, harvest(tmp_path, test_only="known:"))
    assert split is not None
    assert split["part"].to_pylist()[:20] == ["test"] * 20
    alone = place(pa.array([str(number) for number in range(20)]), pa.array(["E"] * 20), None, 0)
    assert split["part"].to_pylist()[20:] == alone.to_pylist()
    assert set(alone.to_pylist()) == set(PARTS)


def test_rejected_rows_are_in_no_split(tmp_path: Path) -> None:
    table = merging.reject(ledger({"e1": "e1", "e2": "e2"}), {"e1": "blank"})
    labels = pa.table({"id": ["e1", "e2"], "label": ["E", "E"]})
    split = extend_split(table, None, labels, harvest(tmp_path))
    assert split is not None
    assert split["id"].to_pylist() == ["e2"]


def test_published_labels_stay_and_new_ones_are_added_in_order_of_id(tmp_path: Path) -> None:
    parent = publish_rows(tmp_path / "tiny", {"e2": "e2"}, None)
    brought = pa.table({"id": ["s3", "e2", "e1"], "label": ["S", "S", "E"]})
    merged = merge_labels(harvest(tmp_path / "staging", labels=brought), parent)
    assert merged["shapes"].to_pydict() == {"id": ["e1", "e2", "s3"], "label": ["E", "E", "S"]}
    other = merge_labels(harvest(tmp_path / "staging", labels=brought, scheme="arms"), parent)
    assert list(other) == ["shapes", "arms"]
    assert other["shapes"]["id"].to_pylist() == ["e2"]
    assert other["arms"]["label"].to_pylist() == ["E", "S", "S"]
    assert merge_labels(harvest(tmp_path / "staging", scheme=None), None) == {}


def test_published_labels_get_the_columns_of_a_later_build_where_the_label_is_the_same(tmp_path: Path) -> None:
    parent = publish_rows(tmp_path / "set", {"e1": "g", "s1": "g"}, None)
    brought = pa.table(
        {
            "id": ["e1", "e2", "s1"],
            "label": ["E", "E", "E"],
            "fraction_E": pa.array([0.75, 0.5, 1.0], pa.float32()),
        }
    )
    merged = merge_labels(harvest(tmp_path / "staging", labels=brought), parent)["shapes"]
    assert merged.to_pydict() == {"id": ["e1", "e2", "s1"], "label": ["E", "E", "S"], "fraction_E": [0.75, 0.5, None]}
    without = merge_labels(harvest(tmp_path / "staging", labels=brought.drop_columns("fraction_E")), parent)["shapes"]
    assert without.column_names == ["id", "label"]


def test_classes_are_the_parents_and_those_of_the_plans_scheme(tmp_path: Path) -> None:
    parent = publish_rows(tmp_path / "tiny", {"e2": "e2"}, None)
    assert merge_classes(harvest(tmp_path / "s", scheme="arms").plan, parent) == {
        "shapes": ["E", "S"],
        "arms": ["E", "S"],
    }
    assert merge_classes(harvest(tmp_path / "s", scheme=None).plan, None) == {}


def test_groups_are_counted_once_a_class(tmp_path: Path) -> None:
    rows = {"e1": "g", "e2": "g", "e3": "h", "s1": "h"}
    parent = publish_rows(tmp_path / "tiny", rows, split_of(rows, ["train"] * 4))
    assert groups_per_class(parent) == {"shapes": {"E": 2, "S": 1}}
    assert groups_per_class(None) == {}
    assert groups_per_class(publish_rows(tmp_path / "none", rows, None)) == {}


def test_nights_split_only_the_rows_that_have_a_night(tmp_path: Path) -> None:
    rows = {f"e{number}": f"g{number}" for number in range(11)}
    nights = [*(f"{number:02d}" for number in range(10)), None]
    split = split_nights(ledger(rows, night=nights), harvest(tmp_path))
    assert split is not None
    assert split["part"].to_pylist() == ["train"] * 8 + ["validation", "test"]
    assert split["id"].to_pylist() == list(rows)[:10]
    assert split_nights(ledger(rows), harvest(tmp_path)) is None
    assert split_nights(ledger(rows, night=["1"] * 11), harvest(tmp_path)) is None


def test_truth_is_that_of_the_stored_rows_and_what_is_published_stays(tmp_path: Path) -> None:
    parent = publish_rows(tmp_path / "tiny", {"e1": "e1"}, None)
    published = pa.table([["e1"], ["real"], ["transient"]], schema=TRUTH)
    (parent.path / "truth.parquet").unlink(missing_ok=True)
    pa.parquet.write_table(published, parent.path / "truth.parquet")
    brought = pa.table([["e2", "e1", "x"], ["bogus", "bogus", "real"], ["a", "b", "c"]], schema=TRUTH)
    merged = merge_truth(brought, parent, ledger({"e1": "e1", "e2": "e2"}))
    assert merged is not None
    assert merged.to_pylist() == [
        {"id": "e1", "truth": "real", "origin": "transient"},
        {"id": "e2", "truth": "bogus", "origin": "a"},
    ]
    assert merge_truth(None, None, ledger({"e1": "e1"})) is None


def linked_ledger(rows: dict[str, tuple[float, str | None]]) -> pa.Table:
    """Rows of {id: (dec_arcsec, published group or None)} at one right ascension."""
    positions = [dec for dec, _ in rows.values()]
    table = ledger({name: group for name, (_, group) in rows.items()})
    table = merging.with_columns(table, {"ra_deg": [10.0] * len(rows), "dec_deg": [dec / 3600 for dec in positions]})
    table = table.append_column("width_arcsec", pa.array([10.0] * len(rows)))
    staged = [None if group else 0 for _, group in rows.values()]
    return table.append_column("staged_batch", pa.array(staged, pa.int32()))


def test_newcomers_join_published_groups_by_position_or_are_rejected_between_two(tmp_path: Path) -> None:
    published = {"p1": "p1", "p2": "p2"}
    parent = publish_rows(tmp_path / "tiny", published, split_of(published, ["train", "test"]))
    table = linked_ledger(
        {"p1": (0, "p1"), "p2": (110, "p2"), "between": (55, None), "alone": (900, None), "beside": (940, None)}
    )
    grouped = assign_groups(table, parent, harvest(tmp_path / "s", linked=True))
    groups = dict(zip(grouped["id"].to_pylist(), grouped["group"].to_pylist(), strict=True))
    assert (groups["p1"], groups["p2"], groups["alone"], groups["beside"]) == ("p1", "p2", "alone", "alone")
    reasons = dict(zip(grouped["id"].to_pylist(), grouped["reason"].to_pylist(), strict=True))
    assert reasons == dict.fromkeys(groups) | {"between": "joins_two_groups"}
    assert assign_groups(table, parent, harvest(tmp_path / "s")) is table


def test_a_rejected_row_may_link_groups_and_has_none_itself(tmp_path: Path) -> None:
    """Then the groups are the same whichever of a chain's rows are stored first."""
    parent = publish_rows(tmp_path / "tiny", {"p": "p"}, split_of({"p": "p"}, ["train"]))
    places = {"p": (900, "p"), "b": (0, None), "a": (50, None), "c": (100, None)}
    table = linked_ledger(places)
    table = merging.with_columns(table, {"status": ["stored", "stored", "rejected", "stored"]})
    for by_rejected, expected in ((True, ["p", "a", None, "a"]), (False, ["p", "b", None, "c"])):
        settings = harvest(tmp_path / "s", linked=True, linked_by_rejected=by_rejected)
        grouped = assign_groups(table, parent, settings)
        assert grouped["group"].to_pylist() == expected
        assert grouped["reason"].null_count == 4


def test_a_rejected_row_is_not_rejected_again_for_the_groups_it_joins(tmp_path: Path) -> None:
    published = {"p1": "p1", "p2": "p2"}
    parent = publish_rows(tmp_path / "tiny", published, split_of(published, ["train", "test"]))
    table = linked_ledger({"p1": (0, "p1"), "p2": (165, "p2"), "left_out": (55, None), "late": (110, None)})
    rejected = {"status": ["stored", "stored", "rejected", "stored"], "reason": [None, None, "scheme:star", None]}
    table = merging.with_columns(table, rejected)
    grouped = assign_groups(table, parent, harvest(tmp_path / "s", linked=True, linked_by_rejected=True))
    assert grouped["reason"].to_pylist() == [None, None, "scheme:star", "joins_two_groups"]


@pytest.mark.parametrize("with_parts", [True, False])
def test_without_a_split_a_newcomer_may_join_two_groups(tmp_path: Path, with_parts: bool) -> None:
    published = {"p1": "p1", "p2": "p2"}
    split = split_of(published, ["train", "train"]) if with_parts else None
    parent = publish_rows(tmp_path / "tiny", published, split)
    table = linked_ledger({"p1": (0, "p1"), "p2": (110, "p2"), "between": (55, None)})
    grouped = assign_groups(table, parent, harvest(tmp_path / "s", linked=True))
    assert grouped["group"].to_pylist() == ["p1", "p2", "p1"]
    assert grouped["reason"].null_count == 3


def test_the_plan_on_disk_is_the_request_and_its_facts(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, SmallRequest(seed=4), "shapes")
    written = json.loads((plan.folder / "plan.json").read_text())
    assert written["request"] == {"dataset": "tiny", "source": "made", "seed": 4}
    assert np.isclose(plan.seconds, 0, atol=60)
