"""Expectations on the candidates of a real/bogus dataset, as far as the source provides the columns.

`candidates` is the suite of the ledger's rows; `quantities` is that of a frame with one row per quantity and the limits
that follow from the request (`candidate_quantities`).
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from expectations.frames import as_frame
from expectations.suites import Condition, Expectation, Suite, between, matching, present
from realbogus.records import GALAXY_INJECTION, MATCH_RADIUS_PX, RANDOM_INJECTION, REAL

LEAST_CELLS = 20
"""A split of fewer sky cells is too coarse."""
LEAST_LABEL_SHARE = 0.02
LEAST_LOST_SHARE = 0.02
"""If fewer injections are missed, none is fainter than the detection limit."""
LEAST_P_VALUE = 1e-3


def candidates(columns: Collection[str], threshold_sigma: float) -> Suite:
    """Return the suite of stored candidates (the frame of `candidate_frame`) for these columns."""
    kinds = (
        present("kind_missing", "kind", "every candidate has a kind"),
        matching("kind", "kind", r"^[a-z0-9_]{1,40}$", "a kind is a lower-case word"),
    )
    numbers = (
        between("finite_share", "set", "finite_fraction", "(0, 1]", "a stored triplet has finite pixels"),
        between("axis_ratio_range", "set", "axis_ratio", "[0, 1]", "an axis ratio is in [0, 1]"),
        between("masked_share", "set", "masked_fraction", "[0, 1]", "a fraction of masked pixels is in [0, 1]"),
        between("below_threshold", "set", "snr", f"[{threshold_sigma}, )", "a detection reaches the threshold"),
        between(
            "injection_offset",
            "set",
            "offset_px",
            f"[0, {MATCH_RADIUS_PX}]",
            "a detected injection is near its injected position",
        ),
        between("separation_range", "set", "host_separation_arcsec", "[0, )", "a separation is not negative"),
    )
    hosted: Condition = ("kind", "==", GALAXY_INJECTION)
    applicable = [expectation for expectation in numbers if expectation.columns[0] in columns]
    if "host_separation_re" in columns:
        applicable.append(
            present("host_missing", "host_separation_re", "an injection near a galaxy has a host", hosted)
        )
    return Suite("candidates", (*kinds, *applicable))


def quantities() -> Suite:
    """Return the suite of quantities: each is within its limits; failures are shown and do not stop the publish."""
    above = {"column_A": "value", "column_B": "low", "or_equal": True}
    below = {"column_A": "high", "column_B": "value", "or_equal": True}
    kind = "ExpectColumnPairValuesAToBeGreaterThanB"
    return Suite(
        "candidate quantities",
        (
            Expectation("quantity_low", "note", "no quantity is below its lower limit", kind, above),
            Expectation("quantity_high", "note", "no quantity is above its upper limit", kind, below),
        ),
        index="quantity",
    )


def candidate_frame(stored: pa.Table) -> pd.DataFrame:
    """Return id, kind, all columns with a value, and ``offset_px``, from the injected to the detected position."""
    filled = [name for name in stored.column_names if stored[name].null_count < stored.num_rows]
    frame = as_frame(stored.select(["id", "kind", *(name for name in filled if name not in ("id", "kind"))]))
    if {"injected_x_px", "x_px"} <= set(frame.columns):
        offset = np.hypot(frame["x_px"] - frame["injected_x_px"], frame["y_px"] - frame["injected_y_px"])
        return frame.assign(offset_px=offset)
    return frame


def candidate_quantities(ledger: pa.Table, labels: pa.Table, request: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns ``quantity, value, low, high`` for the quantities that these candidates provide.

    Parameters
    ----------
    ledger : Table
        The request's rows, including missed injections: ``group, found, kind, injected_snr, host_separation_re``.
    labels : Table
        Columns ``id, label``.
    request : mapping
        The request's parameters, of which ``galaxy_fraction`` and ``balance`` are used: with ``balance=stored`` the
        fraction is that of the detected injections.
    """
    rows = [("sky cells", float(pc.count_distinct(ledger["group"]).as_py()), float(LEAST_CELLS), np.inf)]
    rows += _label_rows(labels)
    injections = ledger.filter(pc.is_valid(ledger["found"])).to_pandas()
    if len(injections):
        rows += _injection_rows(injections, float(request["galaxy_fraction"]), request.get("balance") == "stored")
    return pd.DataFrame(rows, columns=["quantity", "value", "low", "high"])


def _label_rows(labels: pa.Table) -> list[tuple[str, float, float, float]]:
    values = labels["label"].drop_null()
    if len(values) == 0:
        return []
    return [
        (
            "fraction of reals among the labelled",
            pc.mean(pc.equal(values, REAL)).as_py(),
            LEAST_LABEL_SHARE,
            1 - LEAST_LABEL_SHARE,
        )
    ]


def _injection_rows(
    injections: pd.DataFrame, galaxy_fraction: float, of_detected: bool
) -> list[tuple[str, float, float, float]]:
    hosted = injections[injections["kind"] == GALAXY_INJECTION]
    alone = injections[injections["kind"] == RANDOM_INJECTION]
    detected = injections["found"].astype(bool)
    placed = pd.concat([hosted, alone])  # injections on variable sources are no part of the fraction
    placed = placed[detected[placed.index]] if of_detected else placed
    rows = [("fraction of missed injections", float((~detected).mean()), LEAST_LOST_SHARE, 1.0)]
    if len(placed):
        near, limits = float((placed["kind"] == GALAXY_INJECTION).mean()), _binomial(galaxy_fraction, len(placed))
        rows.append(("fraction of injections near galaxies", near, *limits))
    if len(hosted) > 1 and len(alone) > 1:
        same = stats.ks_2samp(hosted["injected_snr"], alone["injected_snr"]).pvalue
        rows.append(("p-value: equal brightness near galaxies and elsewhere", float(same), LEAST_P_VALUE, 1.0))
    if len(hosted):
        within = float((hosted["host_separation_re"] <= 1).mean())
        rows.append(("fraction within one effective radius of the host", within, *_binomial(0.5, len(hosted))))
    return rows


def _binomial(fraction: float, count: int) -> tuple[float, float]:
    """Return the central 99.9 % interval of the observed fraction of `count` draws."""
    low, high = stats.binom.interval(0.999, count, fraction)
    return float(low) / count, float(high) / count
