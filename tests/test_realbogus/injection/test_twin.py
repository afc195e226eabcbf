"""The twin of a difference against a second subtraction without the injections."""

import numpy as np
import pytest

from realbogus.injection.twin import detected_without
from realbogus.records import MATCH_RADIUS_PX
from realbogus.subtraction.alignment import align
from realbogus.subtraction.detection import detect
from realbogus.subtraction.subtract import subtract
from tests.small_survey import WORK, Case

MARGIN_SIGMA, MOST_OTHERS = 1.0, 0.02
"""The kernel fitted with the injections differs a little from that without, most on the residuals of bright stars."""


def test_a_place_is_detected_without_the_injections_where_a_second_subtraction_detects_it(
    cases: dict[str, Case],
) -> None:
    """At the injections, at what the second subtraction detects, and anywhere; near the threshold both may differ."""
    case = cases["reference"]
    assert case.worked.difference.convolved == "reference"
    pair = align(case.simulated.pair)
    twin = subtract(pair, WORK.subtraction, None, case.worked.psf)
    detections = detect(twin, WORK.threshold_sigma)
    rows = [row for row in case.worked.table.to_pylist() if row["found"] is not None]
    rng = np.random.default_rng(0)
    height, width = pair.new.shape
    injected, found, anywhere = (
        np.array([[row["injected_x_px"], row["injected_y_px"]] for row in rows]).T,
        np.stack([detections.x, detections.y])[:, detections.positive],
        np.stack([rng.uniform(0, width - 1, 100), rng.uniform(0, height - 1, 100)]),
    )
    x, y = np.concatenate([injected, found, anywhere], axis=1)
    told = detected_without(case.worked.difference, pair, case.worked.injected, x, y, WORK.threshold_sigma)
    row, column = np.mgrid[:height, :width]
    snr = np.nan_to_num(twin.snr, nan=-np.inf)
    centre_x, centre_y = np.floor(x + 0.5), np.floor(y + 0.5)
    highest = np.array(
        [
            snr[np.hypot(row - up, column - across) <= MATCH_RADIUS_PX].max()
            for up, across in zip(centre_y, centre_x, strict=True)
        ]
    )
    is_clear = np.abs(highest - WORK.threshold_sigma) > MARGIN_SIGMA
    assert is_clear.mean() > 0.8
    assert (told != (highest > WORK.threshold_sigma))[is_clear].mean() < MOST_OTHERS
    of_injections = told[: len(rows)]
    assert of_injections.tolist() == [row["detected_before"] for row in rows]
    bright = [row["found"] and row["injected_snr"] > 50 for row in rows]
    assert sum(bright) >= 5
    assert not of_injections[bright].all(), "an injection does not give its own place away"
    assert told[len(rows) :][: found.shape[1]].any()


@pytest.mark.parametrize("convolved", ["new"])
def test_a_visit_whose_new_frame_is_convolved_is_subtracted_again(cases: dict[str, Case], convolved: str) -> None:
    case = cases[convolved]
    assert case.worked.difference.convolved == convolved
    twin = subtract(align(case.simulated.pair), WORK.subtraction, None, case.worked.psf)
    detections = detect(twin, WORK.threshold_sigma)
    x, y = detections.x[detections.positive], detections.y[detections.positive]
    for row in case.worked.table.to_pylist():
        if row["found"] is None:
            assert row["detected_before"] is None
        else:
            away = np.hypot(x - row["injected_x_px"], y - row["injected_y_px"]).min(initial=np.inf)
            assert row["detected_before"] == (away <= MATCH_RADIUS_PX)
