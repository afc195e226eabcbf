"""Sets of rows: splits, classes, labels and catalogues with one planted fault each."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations import frames, suites
from expectations.runner import validate_frame
from tasks.building.splits import draw_split, part_by_hash

CLASSES = ["round", "spiral", "edge_on"]


def drawn_dataset(count=1000, seed=0, class_shares=(0.6, 0.3, 0.1)):
    """Return ledger, labels and the real split of `count` samples in groups of one to three."""
    rng = np.random.default_rng(seed)
    ids = [f"{number:05d}" for number in range(count)]
    groups = [ids[number - number % 6 % 4] for number in range(count)]
    names = list(rng.choice(CLASSES, size=count, p=class_shares))
    parts = draw_split(pa.array(groups), pa.array(names, pa.string()), seed)
    ledger = pa.table(
        {
            "id": ids,
            "group": groups,
            "status": ["stored"] * count,
            "pixel_sha256": [f"{number:064x}" for number in range(count)],
        }
    )
    labels = pa.table({"id": ids, "label": names})
    split = pa.table({"id": ids, "group": groups, "part": parts})
    return ledger, labels, split


def changed(table, column, position, value):
    """Return a table with one value of a column replaced."""
    values = table[column].to_pylist()
    values[position] = value
    index = table.column_names.index(column)
    return table.set_column(index, column, pa.array(values, table[column].type))


def failing(verdict):
    return [result["name"] for result in verdict.results if not result["success"]]


def examples(verdict, name):
    return next(result["examples"] for result in verdict.results if result["name"] == name)


@pytest.mark.parametrize("count", [60, 600, 1001])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_split_as_it_is_drawn_holds(count, seed):
    ledger, labels, split = drawn_dataset(count, seed)
    assert failing(validate_frame(frames.split_frame(split, ledger), suites.split())) == []
    assert "part_share" not in failing(validate_frame(frames.share_frame(split, labels), suites.shares()))


def test_a_group_in_two_parts_is_named_with_all_its_rows():
    ledger, _, split = drawn_dataset()
    torn = split["group"].to_pylist()[6]
    members = split.filter(pc.equal(split["group"], torn))["id"].to_pylist()
    assert len(members) == 4
    position = split["id"].to_pylist().index(members[2])
    other = "test" if split["part"][position].as_py() != "test" else "train"
    verdict = validate_frame(frames.split_frame(changed(split, "part", position, other), ledger), suites.split())
    assert failing(verdict) == ["group_in_two_parts"]
    assert examples(verdict, "group_in_two_parts") == members
    assert all(member in verdict.set_failures[0] for member in members)


def test_equal_pixels_in_two_parts_are_named():
    ledger, _, split = drawn_dataset()
    parts = split["part"].to_pylist()
    first, second = parts.index("train"), parts.index("test")
    twin = changed(ledger, "pixel_sha256", second, ledger["pixel_sha256"][first].as_py())
    verdict = validate_frame(frames.split_frame(split, twin), suites.split())
    assert failing(verdict) == ["pixels_in_two_parts"]
    assert set(examples(verdict, "pixels_in_two_parts")) == {split["id"][first].as_py(), split["id"][second].as_py()}


def test_ids_of_split_and_stored_rows_are_the_same():
    ledger, _, split = drawn_dataset()
    without = validate_frame(frames.split_frame(split.slice(1), ledger), suites.split())
    assert failing(without) == ["part_missing"]
    assert examples(without, "part_missing") == ["00000"]
    rejected = validate_frame(frames.split_frame(split, changed(ledger, "status", 5, "rejected")), suites.split())
    assert failing(rejected) == ["part_of_nothing"]
    unknown = validate_frame(frames.split_frame(split, ledger.slice(1)), suites.split())
    assert failing(unknown) == ["part_of_unknown"]
    assert examples(unknown, "part_of_unknown") == ["00000"]


def test_a_row_keeps_its_group():
    ledger, _, split = drawn_dataset()
    verdict = validate_frame(frames.split_frame(split, changed(ledger, "group", 4, "99999")), suites.split())
    assert failing(verdict) == ["group_changed"]
    assert examples(verdict, "group_changed") == ["00004"]


def test_a_wrong_ratio_fails_and_names_the_parts():
    _, labels, split = drawn_dataset()
    parts = ["train" if part == "validation" else part for part in split["part"].to_pylist()]
    lopsided = split.set_column(2, "part", pa.array(parts))
    verdict = validate_frame(frames.share_frame(lopsided, labels), suites.shares())
    assert failing(verdict) == ["part_empty", "part_share"]
    assert examples(verdict, "part_share") == ["train", "validation"]
    assert len(verdict.set_failures) == 1


def test_parts_placed_by_hash_are_within_their_own_tolerance_only():
    groups = [f"g{number}" for number in range(2000)]
    other = pa.table({"group": ["published"]})
    off = []
    for seed in range(6):
        split = pa.table({"id": groups, "group": groups, "part": [part_by_hash(group, seed) for group in groups]})
        assert failing(validate_frame(frames.share_frame(split, published=other), suites.shares())) == []
        off += failing(validate_frame(frames.share_frame(split), suites.shares()))
    assert off


def test_only_the_groups_that_a_version_adds_are_measured():
    # The published rows are all in train, as an unfair placement left them; the four hundred new ones are 8:1:1.
    old, new = [f"old{number}" for number in range(300)], [f"new{number}" for number in range(400)]
    parts = ["train"] * 620 + ["validation"] * 40 + ["test"] * 40
    split = pa.table({"id": old + new, "group": old + new, "part": parts})
    published = split.slice(0, 300)
    assert failing(validate_frame(frames.share_frame(split, published=published), suites.shares())) == []
    frame = frames.share_frame(split, published=published).set_index("part")
    assert frame["deviation"].tolist() == pytest.approx([0, 0, 0])
    assert frame["rows"].tolist() == [620, 40, 40]
    # One in a hundred thousand: the new ones all in train are 40 off, five deviations and a group are 31.
    lopsided = split.set_column(2, "part", pa.array(["train"] * 700))
    verdict = validate_frame(frames.share_frame(lopsided, published=published), suites.shares())
    assert "part_share" in failing(verdict)
    assert frame["tolerance"]["test"] == pytest.approx(1 + 5 * (400 * 0.09) ** 0.5)


def test_groups_that_are_test_by_rule_do_not_count_in_its_share():
    _, _, split = drawn_dataset(100)
    names = [f"known-{number}" for number in range(50)]
    known = pa.table({"id": names, "group": names, "part": ["test"] * 50})
    both = pa.concat_tables([split.select(["id", "group", "part"]), known])
    assert failing(validate_frame(frames.share_frame(both, test_only="known-"), suites.shares())) == []
    assert "part_share" in failing(validate_frame(frames.share_frame(both), suites.shares()))
    for published in (split, both):
        frame = frames.share_frame(both, published=published, test_only="known-")
        assert frame["deviation"].tolist() == [0, 0, 0]


def test_a_large_group_widens_the_tolerance_by_its_size():
    groups = ["cluster"] * 300 + [f"g{number}" for number in range(300)]
    ids = [f"{number:03d}" for number in range(600)]
    parts = draw_split(pa.array(groups), pa.array(["round"] * 600), 0)
    split = pa.table({"id": ids, "group": groups, "part": parts})
    assert failing(validate_frame(frames.share_frame(split), suites.shares())) == []


def lacking(groups_of_rare):
    """Return labels and split where class ``rare`` has so many groups, all in train."""
    ids = [f"{number:04d}" for number in range(400)]
    names = ["rare" if number < groups_of_rare else "common" for number in range(400)]
    parts = [
        "train" if number < groups_of_rare or number % 3 else ("test", "validation")[number % 2]
        for number in range(400)
    ]
    return pa.table({"id": ids, "label": names}), pa.table({"id": ids, "group": ids, "part": parts[:400]})


def test_a_class_of_thirty_groups_must_be_in_every_part():
    labels, split = lacking(30)
    verdict = validate_frame(frames.class_frame(["rare", "common"], labels, split), suites.classes("s"))
    assert failing(verdict) == ["class_lacks_part"]
    assert "class_lacks_part" in verdict.set_failures[0]
    assert verdict.set_failures[0].endswith(": rare")


def test_a_smaller_class_may_lack_a_part_and_that_is_recorded():
    labels, split = lacking(29)
    verdict = validate_frame(frames.class_frame(["rare", "common"], labels, split), suites.classes("s"))
    assert failing(verdict) == ["small_class_lacks_part"]
    assert examples(verdict, "small_class_lacks_part") == ["rare"]
    assert verdict.set_failures == []


@pytest.mark.parametrize(("expected", "stops"), [(30, True), (29, False)])
def test_a_class_that_was_expected_must_not_be_gone(expected, stops):
    _, labels, split = drawn_dataset()
    frame = frames.class_frame([*CLASSES, "ring"], labels, split, {"ring": expected, "round": 500})
    verdict = validate_frame(frame, suites.classes("s"))
    assert ("class_gone" in failing(verdict)) is stops
    assert "class_absent" in failing(verdict)
    assert bool(verdict.set_failures) is stops


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("label", "cigar", "class"),
        ("vote_fraction", 1.01, "vote_fraction_range"),
        ("votes_at_node", -1, "votes_range"),
        ("fraction_round", 0.75, "soft_label_sum"),
        ("fraction_disc", -0.25, "soft_label_range"),
        ("id", "nobody", "label_of_nothing"),
        ("id", "00001", "id_repeated"),
        ("id", "../00002", "id_unsafe"),
    ],
)
def test_a_bad_label_is_named(column, value, name):
    ledger, labels, _ = drawn_dataset(20)
    full = labels.append_column("vote_fraction", pa.array([0.5] * 20, pa.float32()))
    full = full.append_column("votes_at_node", pa.array([None] * 20, pa.int32()))
    for shares in ("fraction_round", 0.25), ("fraction_disc", 0.75):
        values = pa.array([None if row == 7 else shares[1] for row in range(20)], pa.float32())
        full = full.append_column(shares[0], values)
    frame = frames.label_frame(full, ledger)
    suite = suites.labels("deck-3", CLASSES, frame.columns)
    assert failing(validate_frame(frame, suite)) == []
    verdict = validate_frame(frames.label_frame(changed(full, column, 2, value), ledger), suite)
    assert name in failing(verdict)
    assert changed(full, column, 2, value)["id"][2].as_py() in examples(verdict, name)


def test_a_missing_label_is_allowed():
    ledger, labels, _ = drawn_dataset(20)
    suite = suites.labels("deck-3", CLASSES, labels.column_names)
    assert failing(validate_frame(frames.label_frame(changed(labels, "label", 0, None), ledger), suite)) == []


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("ra_deg", 360.0, "ra_range"),
        ("ra_deg", -1e-9, "ra_range"),
        ("dec_deg", 90.1, "dec_range"),
        ("redshift", -9999.0, "redshift_range"),
        ("petro_r90_arcsec", -9999.0, "petro_r90_arcsec_range"),
        ("r_mag", -9999.0, "r_mag_range"),
        ("id", None, "id_missing"),
        ("id", "one", "id_repeated"),
    ],
)
def test_a_bad_catalogue_row_is_named(column, value, name):
    table = pd.DataFrame(
        {
            "id": ["one", "two", "three"],
            "ra_deg": [0.0, 359.999, 180.0],
            "dec_deg": [-90.0, 0.0, 90.0],
            "redshift": [0.05, None, 0.1],
            "petro_r90_arcsec": [8.0, None, 20.0],
            "r_mag": [17.0, None, 15.0],
        }
    )
    assert failing(validate_frame(table, suites.catalogue(table.columns))) == []
    table.loc[1, column] = value
    assert failing(validate_frame(table, suites.catalogue(table.columns))) == [name]


def test_types_and_nan_of_a_table_are_judged_by_column():
    wanted = {"id": "string", "redshift": "double", "row": "int64", "reason": "string"}
    right = pa.table({"id": ["a"], "redshift": pa.array([None], pa.float64()), "row": [1]})
    assert failing(validate_frame(frames.column_frame(right, wanted), suites.types("t"))) == []
    wrong = pa.table({"id": [587722981736120347], "redshift": [float("nan")], "row": [1.0]})
    verdict = validate_frame(frames.column_frame(wrong, wanted, required=["id", "reason"]), suites.types("t"))
    assert examples(verdict, "column_type") == ["id", "row", "reason"]
    assert examples(verdict, "nan_values") == ["redshift"]


@pytest.mark.parametrize(
    ("column", "position", "value", "name"),
    [
        ("row", 0, None, "stored_row"),
        ("row", 0, 1, "row_repeated"),
        ("row", 0, 8, "row_range"),
        ("row", 3, 5, "rejected_row"),
        ("status", 0, "lost", "status"),
        ("group", 1, None, "stored_group"),
        ("raw_sha256", 1, None, "stored_raw"),
        ("pixel_sha256", 1, "abc", "pixel_digest"),
        ("reason", 3, None, "rejected_reason"),
    ],
)
def test_a_ledger_that_does_not_add_up_is_named(column, position, value, name):
    ledger = pa.table(
        {
            "id": ["a", "b", "c", "d"],
            "row": pa.array([0, 1, 2, None], pa.int64()),
            "group": ["a", "b", "c", "d"],
            "status": ["stored", "stored", "stored", "rejected"],
            "reason": pa.array([None, None, None, "blank"]),
            "raw_sha256": ["a" * 64] * 4,
            "pixel_sha256": ["a" * 64, "b" * 64, "c" * 64, None],
        }
    )
    suite = suites.ledger(array_rows=8)
    assert failing(validate_frame(ledger.to_pandas(), suite)) == []
    assert name in failing(validate_frame(changed(ledger, column, position, value).to_pandas(), suite))
