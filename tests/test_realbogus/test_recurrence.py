"""Recurrence over visits, on skies made by hand: places, pixels, cells, injections, shapes."""

from typing import Any

import numpy as np
import pytest

from realbogus.recurrence import (
    LEAST_FAULT_VISITS,
    PIXEL_PX,
    PLACE_ARCSEC,
    Detected,
    are_point_like,
    count_recurrences,
)

ARCSEC = 1 / 3600


def detected(visits: str, **columns: Any) -> Detected:
    """Detections of visits named by letters, all of one cell and chip, far apart on the sky and on the chip."""
    count = len(visits)
    apart = 100.0 * np.arange(count)
    told = {
        "visit": np.array(list(visits)),
        "cell": np.full(count, "cell"),
        "detector": np.full(count, "chip"),
        "ra_deg": apart * ARCSEC,
        "dec_deg": np.zeros(count),
        "x_px": apart,
        "y_px": apart,
        "injected": np.zeros(count, bool),
    }
    return Detected(**told | {name: np.array(values) for name, values in columns.items()})


def test_a_place_recurs_in_other_visits_each_counted_once() -> None:
    """Rows 0 to 3 are at one place, two of them in visit b; visit d sees it not, and row 4 lies beyond the radius."""
    ra_arcsec = np.array([0.0, 0.9, -0.9, 0.5, PLACE_ARCSEC + 0.1, 500.0])
    found = count_recurrences(detected("abbccd", ra_deg=ra_arcsec * ARCSEC))
    assert found.at_place.tolist() == [2, 2, 2, 2, 1, 0], "row 4 is within the radius of row 1 alone"
    assert found.missed.tolist() == [1, 1, 1, 1, 2, 3]
    assert (found.at_place + found.missed == 3).all(), "each of the cell's other visits detects a place or misses it"
    assert found.at_pixel.tolist() == [0] * 6


def test_the_place_is_on_the_sphere() -> None:
    near_pole = {
        "ra_deg": [0.0, 1.5 * ARCSEC / np.cos(np.radians(80)), 360 - 0.8 * ARCSEC / np.cos(np.radians(80))],
        "dec_deg": [80.0] * 3,
    }
    assert count_recurrences(detected("abc", **near_pole)).at_place.tolist() == [2, 1, 1]


def test_visits_of_another_cell_can_detect_a_place_but_miss_none() -> None:
    found = count_recurrences(detected("abc", cell=["one", "two", "two"], ra_deg=[0.0, 0.0, 1.0]))
    assert found.at_place.tolist() == [1, 1, 0]
    assert found.missed.tolist() == [0, 1, 1]


def test_a_pixel_recurs_where_the_sky_has_moved_on_the_same_chip() -> None:
    on_chip = {"x_px": [50.0, 50.4, 49.7, 50.0, 50.0 + 1.1 * PIXEL_PX], "y_px": [70.0] * 5}
    found = count_recurrences(detected("abcde", detector=["chip"] * 3 + ["other", "chip"], **on_chip))
    assert found.at_pixel.tolist() == [2, 3, 2, 0, 1]
    assert found.is_fault.tolist() == [count >= LEAST_FAULT_VISITS for count in (2, 3, 2, 0, 1)]
    unmoved = count_recurrences(detected("abcde", ra_deg=np.arange(5) * 0.5 * ARCSEC, **on_chip))
    assert unmoved.at_pixel.tolist() == [0] * 5, "what stays on the sky is no fault of the chip"


def test_injections_are_no_recurrence_of_anything_but_learn_what_is_at_their_place() -> None:
    found = count_recurrences(detected("abc", ra_deg=[0.0] * 3, injected=[True, True, False]))
    assert found.at_place.tolist() == [1, 1, 0]
    assert found.missed.tolist() == [1, 1, 2]
    at_pixel = count_recurrences(detected("abc", x_px=[5.0] * 3, y_px=[5.0] * 3, injected=[True, True, False]))
    assert at_pixel.at_pixel.tolist() == [1, 1, 0]


def test_what_has_no_position_recurs_nowhere() -> None:
    unknown = dict.fromkeys(("ra_deg", "dec_deg", "x_px", "y_px"), [np.nan] * 3)
    found = count_recurrences(detected("abc", **unknown))
    assert [found.at_place.sum(), found.missed.sum(), found.at_pixel.sum()] == [0, 0, 0]
    assert len(count_recurrences(detected("")).at_place) == 0


def test_chance_at_one_pixel_is_what_a_poisson_process_gives() -> None:
    """600 detections of 6 visits on 300 x 300 px: each has 500 of other visits, times the area of a pixel's circle."""
    rng = np.random.default_rng(0)
    on_chip = {name: rng.uniform(0, 300, 600) for name in ("x_px", "y_px")}
    found = count_recurrences(detected("abcdef" * 100, **on_chip))
    expected = 600 * 500 * np.pi * PIXEL_PX**2 / 300**2
    assert abs(found.at_pixel.sum() - expected) < 5 * np.sqrt(2 * expected)


def test_a_point_source_is_as_wide_as_the_injections_of_its_visit() -> None:
    fwhm = np.array([3.0, 3.2, 6.0, 3.0, 4.5, 3.1, np.nan, 6.0])
    visit = np.array(list("aabbaabb"))
    injected = np.array([True, True, True, False, False, False, False, False])
    ratio = np.array([1.0, 1.0, 1.0, 0.9, 0.9, 0.5, 0.9, 0.9])
    assert are_point_like(fwhm, ratio, visit, injected).tolist() == [True, True, True, False, False, False, False, True]
    without = are_point_like(fwhm[3:], ratio[3:], visit[3:], injected[3:])
    assert not without.any(), "without injections nothing tells how wide a point source is"


@pytest.mark.parametrize("other", ["c", "b"])
def test_a_visit_without_injections_is_compared_with_all(other: str) -> None:
    fwhm, visit = np.array([3.0, 3.0, 9.0, 3.5]), np.array(["a", "a", "b", other])
    injected = np.array([True, True, True, False])
    assert are_point_like(fwhm, np.ones(4), visit, injected)[3] == (other == "c")
