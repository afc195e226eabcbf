"""The split: whole groups, 8:1:1, stratified, and nothing ever moves."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.split_shares import PART_SHARES, PARTS
from tasks.building.sky_groups import link, name_groups
from tasks.building.splits import (
    draw_split,
    part_by_hash,
    place,
    split_by_time,
)
from tasks.learning.split_parts import LeakError, check_no_leak
from tasks.store.sampling import hash_share

# Group numbers repeat, so that whole groups of several labels must be placed; some labels are None.
samples = st.lists(
    st.tuples(st.integers(0, 60).map(str), st.sampled_from(["E", "S", "SB", None])), min_size=1, max_size=300
)


def text(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def drawn_parts(groups: Sequence[str], labels: Sequence[str | None], seed: int) -> dict[str, str]:
    """The part of every group; a group that is torn fails here."""
    parts: dict[str, str] = {}
    for group, part in zip(groups, draw_split(text(groups), text(labels), seed).to_pylist(), strict=True):
        assert parts.setdefault(group, part) == part
    return parts


@given(samples, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_every_group_has_one_part_and_order_does_not_matter(drawn: list[tuple[str, str | None]], seed: int) -> None:
    groups, labels = zip(*drawn, strict=True)
    parts = drawn_parts(groups, labels, seed)
    assert set(parts) == set(groups)
    assert set(parts.values()) <= set(PARTS)
    backwards = drawn_parts(groups[::-1], labels[::-1], seed)
    assert backwards == parts


@given(st.integers(100, 2000), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_single_sample_groups_come_out_8_1_1_in_every_class(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(["a", "b", "c"], size=count, p=[0.6, 0.3, 0.1]).tolist()
    groups = [f"g{number}" for number in range(count)]
    parts = drawn_parts(groups, labels, seed)
    counted = Counter((label, parts[group]) for group, label in zip(groups, labels, strict=True))
    totals = Counter(labels)
    for (label, part), found in counted.items():
        # A part is given one only while it lacks some, so it ends at most one above; two that are above leave two.
        assert -2 <= found - PART_SHARES[part] * totals[label] <= 1


def test_published_groups_stay_and_newcomers_go_by_hash_alone() -> None:
    known = pa.table({"group": text(["a", "b", "c", "d"]), "part": text(["train", "test", "validation", "train"])})
    grown = place(text(["x", "d", "b", "y", "c", "a", "x"]), text([None] * 7), known, 0).to_pylist()
    assert grown[1:3] + grown[4:6] == ["train", "test", "validation", "train"]
    assert (
        grown[0] == grown[6] == part_by_hash("x", 0) == place(text(["y", "x"]), text(["S", "S"]), known, 0)[1].as_py()
    )
    assert grown[3] == part_by_hash("y", 0)


def test_hash_parts_are_8_1_1() -> None:
    counted = Counter(part_by_hash(f"group-{number}", 3) for number in range(20_000))
    for part in PARTS:
        sigma = np.sqrt(20_000 * PART_SHARES[part] * (1 - PART_SHARES[part]))
        assert abs(counted[part] - 20_000 * PART_SHARES[part]) < 4 * sigma


def test_a_leak_is_refused_by_name() -> None:
    check_no_leak(["a", "a", "b"], ["train", "train", "test"], ["1", "2", "3"])
    with pytest.raises(LeakError, match=r"1 groups .* a"):
        check_no_leak(["a", "a", "b"], ["train", "test", "test"], ["1", "2", "3"])
    with pytest.raises(LeakError, match=r"pixel sha256s .* 1"):
        check_no_leak(["a", "b", "c"], ["train", "test", "test"], ["1", "1", "3"])


def test_overlapping_fields_are_linked_also_across_zero_and_at_a_pole() -> None:
    arcsec = 1 / 3600
    ra = np.array([359.999, 0.001, 10.0, 190.0, 50.0, np.nan])
    dec = np.array([0.0, 0.0, 90 - 10 * arcsec, 90 - 10 * arcsec, 0.0, np.nan])
    width = np.full(6, 80.0)
    components = link(ra, dec, width)
    assert components[0] == components[1]  # 7.2 arcsec apart over 0/360
    assert components[2] == components[3]  # 20 arcsec apart over the pole
    assert len(set(components.tolist())) == 4


@given(st.floats(61, 400), st.floats(10, 300), st.floats(10, 300))
@settings(deadline=None)
def test_two_are_linked_exactly_when_squares_of_their_widths_can_touch(
    separation: float, first: float, second: float
) -> None:
    reach = max(60.0, (first + second) / np.sqrt(2))
    if abs(separation - reach) < 0.01:
        return
    components = link(np.array([20.0, 20.0]), np.array([0.0, separation / 3600]), np.array([first, second]))
    assert (components[0] == components[1]) == (separation < reach)


def test_friends_of_friends_are_one_group_named_by_its_smallest_id() -> None:
    dec = np.array([0.0, 50.0, 100.0, 500.0]) / 3600
    components = link(np.full(4, 30.0), dec, np.full(4, np.nan))
    groups, torn = name_groups(["c", "b", "d", "a"], components, {}, {})
    assert groups == ["b", "b", "b", "a"]
    assert torn == [False] * 4


def test_a_newcomer_takes_the_published_group_or_is_torn_between_parts() -> None:
    parts = {"g1": "train", "g2": "test", "g3": "train"}
    known = {"p1": "g1", "p2": "g2", "p3": "g3"}
    # n1 lies beside p1; n2 links p1 and p3, both in training; n3 links p2 and p3, of different parts.
    assert name_groups(["p1", "n1"], np.array([0, 0]), known, parts) == (["g1", "g1"], [False, False])
    assert name_groups(["p1", "p3", "n2"], np.array([0, 0, 0]), known, parts)[0] == ["g1", "g3", "g1"]
    assert name_groups(["p2", "p3", "n3"], np.array([0, 0, 0]), known, parts)[1] == [False, False, True]


nights = st.lists(st.tuples(st.integers(0, 30).map(str), st.integers(0, 12).map("{:03d}".format)), max_size=200)


@given(nights)
def test_by_time_no_part_is_before_an_earlier_one_and_no_group_is_in_two(drawn: list[tuple[str, str]]) -> None:
    groups, when = [group for group, _ in drawn], [night for _, night in drawn]
    parts = split_by_time(text(groups), text(when)).to_pylist()
    if len(set(when)) < 3:
        assert parts == [None] * len(drawn)
        return
    spans = {part: [night for night, here in zip(when, parts, strict=True) if here == part] for part in PARTS}
    assert spans["train"]
    for earlier, later in (("train", "validation"), ("validation", "test"), ("train", "test")):
        assert not spans[later] or max(spans[earlier], default="") < min(spans[later])
    placed: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=True):
        if part is not None:
            placed.setdefault(group, set()).add(part)
    assert all(len(found) == 1 for found in placed.values())


def test_by_time_a_night_goes_where_its_first_sample_falls() -> None:
    """Parts by the fraction of samples before the night: below 0.8 train, below 0.9 validation, else test."""

    def parts(*sizes: int) -> list[str]:
        when = [f"{night:02d}" for night, size in enumerate(sizes) for _ in range(size)]
        placed = split_by_time(text([str(number) for number in range(len(when))]), text(when)).to_pylist()
        return [placed[sum(sizes[:night])] for night in range(len(sizes))]

    assert parts(8, 1, 1) == ["train", "validation", "test"]
    assert parts(79, 1, 10, 10) == ["train", "train", "validation", "test"]
    assert parts(80, 9, 1, 10) == ["train", "validation", "validation", "test"]
    assert parts(80, 10, 1, 9) == ["train", "validation", "test", "test"]
    # However uneven the nights, the last two are validation and test.
    assert parts(1, 1, 98) == ["train", "validation", "test"]
    assert parts(1, 1, 1, 97) == ["train", "train", "validation", "test"]
    assert parts(97, 1, 1, 1) == ["train", "test", "test", "test"]


def test_by_time_a_group_of_an_earlier_part_has_no_row_and_two_nights_are_too_few() -> None:
    when = text(["1"] * 8 + ["2", "3", "3"])
    groups = text(["a"] * 8 + ["a", "b", "a"])
    assert split_by_time(groups, when).to_pylist() == ["train"] * 8 + [None, "test", None]
    assert split_by_time(text(["a", "b"]), text(["1", "2"])).to_pylist() == [None, None]
    assert split_by_time(text(["a", "b", "c"]), text(["1", "2", "3"])).to_pylist() == ["train", "validation", "test"]


def test_hash_parts_change_at_eight_and_nine_tenths() -> None:
    names = [f"group-{number}" for number in range(2000)]
    for name in names:
        share = hash_share(f"part/{name}", 3)
        assert part_by_hash(name, 3) == ("train" if share < 0.8 else "validation" if share < 0.9 else "test")


def test_the_largest_group_is_placed_first_and_fills_train() -> None:
    # Quotas of 10: 8, 1 and 1. The group of eight fills train; the two single ones go to the empty parts.
    groups = ["one", *["eight"] * 8, "other"]
    parts = drawn_parts(groups, ["E"] * 10, 0)
    assert parts["eight"] == "train"
    assert {parts["one"], parts["other"]} == {"validation", "test"}


def test_a_rare_class_is_spread_before_the_overall_number_counts() -> None:
    # Ten groups of a rare class among a hundred of a common one: 8, 1 and 1 of the rare one.
    groups = [f"g{number}" for number in range(110)]
    labels = ["rare" if number < 10 else "common" for number in range(110)]
    parts = drawn_parts(groups, labels, 2)
    assert Counter(parts[f"g{number}"] for number in range(10)) == {"train": 8, "validation": 1, "test": 1}
    assert Counter(parts.values()) == {"train": 88, "validation": 11, "test": 11}


def test_an_empty_split_is_drawn_anew() -> None:
    groups, labels = text(["a", "b", "c"]), text(["E", "E", None])
    empty = pa.table({"group": text([]), "part": text([])})
    assert place(groups, labels, empty, 1) == place(groups, labels, None, 1) == draw_split(groups, labels, 1)


def test_by_time_ten_equal_nights_come_out_8_1_1() -> None:
    when = [f"{night:02d}" for night in range(10) for _ in range(7)]
    parts = Counter(split_by_time(text([str(number) for number in range(70)]), text(when)).to_pylist())
    assert parts == {"train": 56, "validation": 7, "test": 7}
