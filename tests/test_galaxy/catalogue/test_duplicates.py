"""One row for each id and each place on the sky."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from galaxy.catalogue.duplicates import DUPLICATE_RADIUS_ARCSEC, DuplicateFilter, SeenPositions, row_faults
from galaxy.catalogue.positions import unit_vectors

ARCSEC = 1 / 3600
# Positions on a 1.5-arcsec lattice across the seam and near a pole, so that chains and clusters occur.
PLACES = st.builds(
    lambda corner, x, y: (
        (corner[0] + x * 1.5 * ARCSEC / np.cos(np.radians(corner[1]))) % 360,
        corner[1] + y * 1.5 * ARCSEC,
    ),
    st.sampled_from([(359.9999, 0.0), (10.0, -60.0), (200.0, 89.9)]),
    st.integers(0, 5),
    st.integers(0, 5),
)
ROWS = st.lists(st.tuples(PLACES, st.integers(0, 12)), min_size=1, max_size=30)


def separations_arcsec(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    vectors = unit_vectors(ra, dec)
    chords = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    return np.degrees(2 * np.arcsin(chords / 2)) / ARCSEC


def check_rows(ids, ra, dec, cuts=()):
    """Check rows in batches that end at `cuts`."""
    duplicates, parts = DuplicateFilter(), []
    for start, stop in pairwise([0, *sorted(cuts), len(ids)]):
        here = slice(start, stop)
        parts.append(
            duplicates.check(
                pa.array(ids[here], pa.string()),
                ra[here],
                dec[here],
                np.ones(stop - start, bool),
                position_required=True,
            )
        )
    return (np.concatenate(part) for part in zip(*parts, strict=True))


@given(ROWS, st.lists(st.integers(0, 30), max_size=3))
def test_a_row_goes_exactly_when_one_before_it_stays_with_its_id_or_within_the_radius(rows, cuts) -> None:
    ra, dec = (np.array([row[0][axis] for row in rows]) for axis in (0, 1))
    ids = [f"g{row[1]}" for row in rows]
    fault, kept = check_rows(ids, ra, dec, [min(cut, len(rows)) for cut in cuts])
    near = separations_arcsec(ra, dec) <= DUPLICATE_RADIUS_ARCSEC
    for row in range(len(rows)):
        before = [other for other in range(row) if fault[other] == ""]
        same = [other for other in before if ids[other] == ids[row]]
        beside = [other for other in before if near[other, row]]
        assert fault[row] == ("duplicate_id" if same else "duplicate_position" if beside else "")
        assert kept[row] == (ids[row] if same else ids[beside[0]] if beside else None)


def test_the_middle_of_a_chain_goes_and_its_ends_stay() -> None:
    fault, kept = check_rows(["a", "b", "c"], np.zeros(3), np.array([0.0, 1.5, 3.0]) * ARCSEC)
    assert fault.tolist() == ["", "duplicate_position", ""]
    assert kept.tolist() == [None, "a", None]


def test_a_row_rejected_for_another_fault_takes_no_place() -> None:
    fault, _ = check_rows(["../x", "b", "b"], np.zeros(3), np.zeros(3))
    assert fault.tolist() == ["id_unsafe", "", "duplicate_id"]


@given(st.floats(0, 360), st.floats(-90, 90), st.floats(0, 6.3), st.sampled_from([1.9, 2.1]))
def test_places_seen_are_found_within_the_radius_everywhere(ra, dec, angle, arcsec) -> None:
    places = SeenPositions(2.0)
    places.add(np.array([ra]), np.array([dec]))
    toward = unit_vectors(np.array([ra]), np.array([dec]))[0]
    east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0])
    aside = np.cos(angle) * east + np.sin(angle) * np.cross(toward, east)
    x, y, z = toward + np.tan(np.radians(arcsec * ARCSEC)) * aside
    there = np.degrees([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))])
    assert places.near(there[:1], there[1:]).tolist() == [0 if arcsec < 2 else -1]


def test_faults_of_single_rows() -> None:
    ids = pa.array(["ok", None, "../up", "a/b", "a..b", ".hid", "x" * 129, "o", "p", "q", "r"])
    ra = np.array([0, 0, 0, 0, 0, 0, 0, -1, 360.0, np.nan, np.nan])
    dec = np.array([90.0, 0, 0, 0, 0, 0, 0, 0, 90.1, 0, 0])
    given_ = np.array([True] * 10 + [False])
    expected = ["", "id_missing", *["id_unsafe"] * 5, *["position_out_of_range"] * 2, "position_unreadable"]
    assert row_faults(ids, ra, dec, given_, position_required=True).tolist() == [*expected, "position_missing"]
    assert row_faults(ids, ra, dec, given_, position_required=False).tolist() == [*expected, ""]
