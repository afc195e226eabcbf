"""Recurrence as a dataset tells it: faults of a detector, what may be hidden, and rows that were not stored."""

from typing import Any

import numpy as np
import pyarrow as pa

from realbogus.records import RANDOM_INJECTION
from tasks.candidates.relabelling.recurrence import COLUMNS, find_recurring

ARCSEC = 1 / 3600


def ledger(**columns: Any) -> pa.Table:
    """Three visits of a chip, four rows each: a recovered injection, a place, a pixel that dithers, something else."""
    visit, kind_of = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    places = np.array([[200.0, 10.0, 50.0, 400.0], [220.0, 10.5, 70.0, 500.0], [240.0, 9.5, 90.0, 600.0]]).ravel()
    pixels = np.array([[200.0, 10.0, 50.0, 400.0], [225.0, 15.0, 50.3, 505.0], [250.0, 20.0, 49.8, 610.0]]).ravel()
    told = {
        "id": [f"v{number}-{row}" for number, row in zip(visit, kind_of, strict=True)],
        "group": ["cell"] * 12,
        "detector": ["chip"] * 12,
        "batch": [f"v{number}" for number in visit],
        "kind": [RANDOM_INJECTION if row == 0 else "detection" for row in kind_of],
        "snr": [9.0] * 12,
        "fwhm_px": [3.0] * 12,
        "axis_ratio": [0.9] * 12,
        "ra_deg": places * ARCSEC,
        "dec_deg": np.zeros(12),
        "x_px": pixels,
        "y_px": np.full(12, 7.0),
    }
    assert tuple(sorted(told)) == tuple(sorted(COLUMNS))
    return pa.table(told | columns)


def test_a_fault_and_a_hidden_transient_are_told_apart_in_the_order_of_the_ids() -> None:
    found = find_recurring(ledger(), ["v1-2", "v0-1", "v0-0", "v2-3"])
    assert found.at_pixel.tolist() == [2, 0, 0, 0]
    assert found.is_fault.tolist() == [True, False, False, False]
    assert found.may_be_hidden.tolist() == [False, True, False, False]


def test_a_trailed_one_is_no_hidden_transient() -> None:
    ratios = [0.9] * 12
    ratios[1] = 0.3
    found = find_recurring(ledger(axis_ratio=ratios), ["v0-1", "v1-1"])
    assert found.may_be_hidden.tolist() == [False, True]


def test_an_injection_that_was_not_detected_is_no_detection() -> None:
    """The row at the place of v0-1 in each other visit lacks a detection: nothing recurs there."""
    snr: list[float | None] = [9.0] * 12
    snr[5] = snr[9] = None
    assert not find_recurring(ledger(snr=snr), ["v0-1"]).may_be_hidden.any()


def test_alerts_without_visits_recur_nowhere() -> None:
    nothing = pa.array([None] * 12, pa.float64())
    bare = ledger(**dict.fromkeys(("ra_deg", "dec_deg", "x_px", "y_px", "snr"), nothing), batch=["a"] * 12)
    found = find_recurring(bare, ["v0-1", "v1-2"])
    assert not (found.is_fault | found.may_be_hidden).any()
