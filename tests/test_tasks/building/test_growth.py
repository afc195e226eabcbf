"""Growth: whatever a request takes first, newcomers are spread 8:1:1, and what is published keeps its part."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations.frames import share_frame
from expectations.split_shares import PART_SHARES
from tasks.building.splits import part_by_hash, place
from tasks.candidates.building.batches import hash_bound
from tasks.candidates.building.collect import ReadyTriplets
from tasks.galaxies.building.planned_objects import limit_objects

STAGES = (200, 400, 2000)
SEEDS = (*range(12), 17, 2026, 2**31)
DEVIATIONS = 5


def galaxies(ids: Sequence[str], limit: int, seed: int) -> list[str]:
    """The ids that a galaxy build with this limit takes."""
    return limit_objects(pa.table({"id": ids}), limit, seed)["id"].to_pylist()


class ListedRecords:
    """Records of which only the ids are known, in one batch."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def batches(self) -> Iterator[str]:
        yield "all"

    def ids(self, key: str) -> Sequence[str]:
        return self.names


def triplets(ids: Sequence[str], limit: int, seed: int) -> list[str]:
    """The ids that a real/bogus build with this limit takes from records without a column of groups."""
    source: Any = ListedRecords(ids)
    ready = ReadyTriplets(source, seed, hash_bound(source, list(source.batches()), limit, seed))
    return [name for name in ids if ready.selects(name)]


def grow(taken: list[str], group_of: Callable[[str], str], split: pa.Table | None, seed: int) -> pa.Table:
    """The split of a version that holds these rows, of two classes."""
    groups = pa.array([group_of(name) for name in taken], pa.string())
    labels = pa.array([("E", "S")[number % 2] for number in range(len(taken))], pa.string())
    return pa.table({"id": taken, "group": groups, "part": place(groups, labels, split, seed)})


def assert_fair_growth(before: pa.Table, after: pa.Table) -> None:
    """What was published stays; the newcomers' parts are within binomial limits, and validation agrees."""
    parts = dict(zip(after["id"].to_pylist(), after["part"].to_pylist(), strict=True))
    assert {name: parts[name] for name in before["id"].to_pylist()} == dict(
        zip(before["id"].to_pylist(), before["part"].to_pylist(), strict=True)
    )
    published = set(before["group"].to_pylist())
    newcomers = [row for row in after.to_pylist() if row["group"] not in published]
    sizes = np.array(list(Counter(row["group"] for row in newcomers).values()), float)
    counts = Counter(row["part"] for row in newcomers)
    for part, share in PART_SHARES.items():
        sigma = np.sqrt(share * (1 - share) * np.sum(sizes**2))
        assert abs(counts[part] - share * len(newcomers)) <= DEVIATIONS * sigma
    frame = share_frame(after, published=before)
    assert (frame["deviation"] <= frame["tolerance"]).all()


@pytest.mark.parametrize("select", [galaxies, triplets])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_larger_limit_spreads_its_newcomers(select: Callable[..., list[str]], seed: int) -> None:
    ids = [str(587722952767439450 + 37 * number) for number in range(2500)]
    split: pa.Table | None = None
    for limit in STAGES:
        taken = select(ids, limit, seed)
        assert len(taken) == limit
        grown = grow(taken, str, split, seed)
        if split is not None:
            assert set(split["id"].to_pylist()) <= set(taken)
            assert_fair_growth(split, grown)
        split = grown
    assert split is not None
    for part, share in PART_SHARES.items():
        sigma = np.sqrt(share * (1 - share) * STAGES[-1])
        count = split["part"].to_pylist().count(part)
        assert abs(count - share * STAGES[-1]) < DEVIATIONS * sigma


@pytest.mark.parametrize("seed", SEEDS)
def test_more_chips_and_visits_spread_their_newcomers(seed: int) -> None:
    """Ten candidates a chip-visit, whose group is the chip at a pointing: two visits share each."""

    def night(chips: int, visits: int) -> list[str]:
        return [
            f"s{seed}-f{visit // 2}-c{chip}/{visit}-{row}"
            for visit in range(visits)
            for chip in range(chips)
            for row in range(10)
        ]

    split: pa.Table | None = None
    for chips, visits in ((10, 2), (20, 2), (20, 10)):
        grown = grow(night(chips, visits), lambda name: name.split("/")[0], split, seed)
        if split is not None:
            assert_fair_growth(split, grown)
        split = grown
    assert split is not None
    assert split.num_rows == STAGES[-1]


def test_the_part_of_a_late_group_is_as_the_format_states() -> None:
    """Golden: a dataset that is grown by a later program places the same groups alike."""
    assert [part_by_hash(f"g{number}", 0) for number in range(9)] == [
        "train", "test", "train", "train", "train", "train", "validation", "train", "validation",
    ]  # fmt: skip
