"""Filters of a queue: which rows they keep, by hand and on the sphere, and which ask for what there cannot be."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from tasks.labelling.filters import DEFAULT_RADIUS_ARCSEC, NO_FILTER, ItemFilter, RefusedFilterError
from tasks.labelling.queues import QUEUE, LabelQueue, QueueFacts
from tasks.store.sky_coordinates import unit_vectors

NAN = float("nan")
REASONS = ["random", "suspect", "random", "random", "suspect"]
LABELS = ["real", "bogus", None, "real", "bogus"]
SCORES = [0.25, 0.5, None, 0.75, -1.0]
DETECTORS = np.array(["chip 1", "", "chip 2", "chip 1", "chip 1"])
RA, DEC = [0.01, 359.99, NAN, 180.0, 0.01], [0.0, 0.0, NAN, 0.0, 10.0]


def queue(*, blind: bool = False) -> LabelQueue:
    count = len(REASONS)
    columns: dict[str, Any] = {
        "id": [f"c{row}" for row in range(count)],
        "rank": range(count),
        "reason": REASONS,
        "previous": LABELS,
        "score": SCORES,
        "opinions": [1] * count,
    }
    columns |= {name: [None] * count for name in QUEUE.names if name not in columns}
    facts = QueueFacts(
        name="q",
        dataset="night",
        version=1,
        scheme="s",
        classes=("bogus", "real"),
        labels=None,
        source="random",
        blind=blind,
    )
    return LabelQueue(facts, pa.table([pa.array(columns[field.name], field.type) for field in QUEUE], schema=QUEUE))


def rows(**wanted: Any) -> list[int]:
    """The rows that a filter keeps."""
    found = ItemFilter(**wanted).rows(queue(), DETECTORS, unit_vectors(RA, DEC))
    return [int(row) for row in np.flatnonzero(found)]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"mine": "skipped"}, [0, 1, 2, 3, 4]),
        ({"reason": "suspect"}, [1, 4]),
        ({"reason": "sus"}, []),
        ({"label": "real"}, [0, 3]),
        ({"score_from": 0.5}, [1, 3]),
        ({"score_to": 0.5}, [0, 1, 4]),
        ({"score_from": 0.25, "score_to": 0.5}, [0, 1]),
        ({"score_from": 0.5, "score_to": 0.25}, []),
        ({"detector": "chip 1"}, [0, 3, 4]),
    ],
)
def test_a_filter_keeps_the_rows_that_are_what_it_names(wanted: dict[str, Any], kept: list[int]) -> None:
    """Both ends of a range count, and a row without a score lies in none."""
    assert rows(**wanted) == kept


SINGLE: list[dict[str, Any]] = [
    {"reason": "random"},
    {"label": "real"},
    {"score_from": 0.25},
    {"score_to": 0.5},
    {"detector": "chip 1"},
    {"ra_deg": 0.0, "dec_deg": 0.0},
]


@given(st.lists(st.sampled_from(SINGLE), max_size=6, unique_by=lambda one: next(iter(one))))
def test_several_filters_keep_what_each_of_them_keeps(chosen: list[dict[str, Any]]) -> None:
    together = {name: value for one in chosen for name, value in one.items()}
    every = {*range(len(REASONS))}
    assert {*rows(**together)} == every.intersection(*(rows(**one) for one in chosen))


@pytest.mark.parametrize(
    ("ra_deg", "radius_arcsec", "kept"),
    [
        (0.0, None, [0, 1]),
        (360.0, None, [0, 1]),
        (0.01, 71.9, [0]),
        (0.01, 72.1, [0, 1]),
        (0.01, 0.0, [0]),
        (180.0, DEFAULT_RADIUS_ARCSEC, [3]),
        (0.0, 180 * 3600.0, [0, 1, 3, 4]),
    ],
)
def test_a_place_keeps_what_is_within_its_radius_across_the_first_meridian(
    ra_deg: float, radius_arcsec: float | None, kept: list[int]
) -> None:
    """The first two rows are 0.02 degrees apart, 72 arcsec; a row without a position is nowhere."""
    assert rows(ra_deg=ra_deg, dec_deg=0.0, radius_arcsec=radius_arcsec) == kept


@given(st.floats(0, 360), st.floats(0, 360))
def test_at_a_pole_the_right_ascension_does_not_matter(ra_deg: float, other: float) -> None:
    directions: NDArray[np.float64] = unit_vectors([ra_deg] * 5, [90, 90 - 59.9 / 3600, 90 - 60.1 / 3600, -90, NAN])
    found = ItemFilter(ra_deg=other, dec_deg=90).rows(queue(), DETECTORS, directions)
    assert found.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"label": "bogus", "score_from": -1e300, "mine": "unsure"},
        {"ra_deg": 0.0, "dec_deg": -90.0},
        {"ra_deg": 360.0, "dec_deg": 90.0, "radius_arcsec": 0.0},
        {"ra_deg": 1.0, "dec_deg": 1.0, "radius_arcsec": 648_000.0},
        {"reason": "no such reason", "detector": "no such detector"},
    ],
)
def test_a_filter_that_may_be_is_taken(wanted: dict[str, Any]) -> None:
    ItemFilter(**wanted).require_fit(queue())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"label": "star"}, r"filter label='star' is none of bogus, real$"),
        ({"label": ""}, r"filter label='' is none of bogus, real$"),
        ({"ra_deg": 10.0}, r"filter ra_deg=10 is no place on the sky without dec_deg$"),
        ({"dec_deg": 10.0}, r"filter dec_deg=10 is no place on the sky without ra_deg$"),
        ({"radius_arcsec": 5.0}, r"filter radius_arcsec=5 is no place on the sky without dec_deg and ra_deg$"),
        ({"ra_deg": 360.5, "dec_deg": 0.0}, r"filter ra_deg=360\.5 is not in the range 0 to 360$"),
        ({"ra_deg": -0.5, "dec_deg": 0.0}, r"filter ra_deg=-0\.5 is not in the range 0 to 360$"),
        ({"ra_deg": 0.0, "dec_deg": -90.5}, r"filter dec_deg=-90\.5 is not in the range -90 to 90$"),
        ({"ra_deg": 0.0, "dec_deg": NAN}, r"filter dec_deg=nan is not in the range -90 to 90$"),
        ({"ra_deg": 0.0, "dec_deg": 0.0, "radius_arcsec": -1.0}, r"filter radius_arcsec=-1 is not in the range 0 to"),
    ],
)
def test_a_filter_for_what_cannot_be_is_refused_with_its_value(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedFilterError, match=f"^{message}"):
        ItemFilter(**wanted).require_fit(queue())


@pytest.mark.parametrize("field", [name for name in ItemFilter.model_fields if name != "mine"])
def test_a_blind_queue_takes_nothing_but_what_the_labeller_left(field: str) -> None:
    hidden, value = queue(blind=True), "real" if field in ("reason", "label", "detector") else 1.0
    with pytest.raises(RefusedFilterError, match=f"^queue 'q' is blind and takes no filter by {field}, which"):
        ItemFilter(**{field: value, "mine": "skipped"}).require_fit(hidden)
    ItemFilter(mine="skipped").require_fit(hidden)
    NO_FILTER.require_fit(hidden)


@pytest.mark.parametrize(
    "wanted", [{"score_from": NAN}, {"score_to": float("inf")}, {"mine": "all"}, {"colour": "red"}, {"ra_deg": "east"}]
)
def test_what_is_no_filter_at_all_is_refused_by_its_name(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wanted))):
        ItemFilter(**wanted)
