"""What the other visits of a dataset say of its candidates: faults of a detector, and hidden transients."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.recurrence import Detected, are_point_like, count_recurrences
from tasks.candidates.rows import are_injections
from tasks.store.columns import Ids, align_rows, positions_of, to_float, to_text

COLUMNS = (
    *("id", "group", "detector", "batch", "kind", "snr", "fwhm_px", "axis_ratio"),
    *("ra_deg", "dec_deg", "x_px", "y_px"),
)
"""Columns of the ledger that tell recurrence."""


@dataclass(frozen=True)
class Recurring:
    """What recurrence says of n candidates.

    Attributes
    ----------
    at_pixel : (n,) int64
        Other visits with a detection at the candidate's pixel, elsewhere on the sky.
    is_fault : (n,) bool
        The candidate is a fault of the detector.
    may_be_hidden : (n,) bool
        It is no injection, is detected at its place of the sky in another visit too, has the shape of a point source
        and is no fault.
    """

    at_pixel: NDArray[np.int64]
    is_fault: NDArray[np.bool_]
    may_be_hidden: NDArray[np.bool_]


def find_recurring(samples: pa.Table, ids: Ids) -> Recurring:
    """Return what the detections of all visits of a ledger say of the candidates with these ids, (n,).

    Parameters
    ----------
    samples : Table
        `COLUMNS` of all rows, those that were not stored included.
    ids : (n,) text
    """
    is_detected = np.isfinite(to_float(samples["snr"])) | (positions_of(samples["id"], ids) >= 0)
    detections = samples.filter(pa.array(is_detected))
    visits, injected = to_text(detections["batch"]), are_injections(detections, detections["id"])
    counts = count_recurrences(
        Detected(
            visit=visits,
            cell=to_text(detections["group"]),
            detector=to_text(detections["detector"]),
            ra_deg=to_float(detections["ra_deg"]),
            dec_deg=to_float(detections["dec_deg"]),
            x_px=to_float(detections["x_px"]),
            y_px=to_float(detections["y_px"]),
            injected=injected,
        )
    )
    point_like = are_point_like(to_float(detections["fwhm_px"]), to_float(detections["axis_ratio"]), visits, injected)
    may_be_hidden = ~injected & (counts.at_place > 0) & point_like & ~counts.is_fault
    counted = pa.table(
        {"id": detections["id"], "pixel": counts.at_pixel, "fault": counts.is_fault, "hidden": may_be_hidden}
    )
    aligned = align_rows(counted, ids)
    return Recurring(*(aligned[name].to_numpy() for name in ("pixel", "fault", "hidden")))
