"""What is expected of the candidates of a real/bogus dataset, asked only where the source can answer.

``candidates`` judges the ledger's rows, ``quantities`` a frame of one row a quantity with the limits that follow from
what was asked for; see `candidate_quantities`.
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
"""A split of fewer sky cells is coarse."""
LEAST_LABEL_SHARE = 0.02
LEAST_LOST_SHARE = 0.02
"""Injections reach below the detection limit only if some are not found."""
LEAST_P_VALUE = 1e-3


def candidates(columns: Collection[str], threshold_sigma: float) -> Suite:
    """Return the suite of stored candidates (the frame of `candidate_frame`) that have these columns."""
    words = (
        present("kind_missing", "kind", "every candidate has a kind"),
        matching("kind", "kind", r"^[a-z0-9_]{1,40}$", "a kind is a lower-case word"),
    )
    numbers = (
        between("finite_share", "set", "finite_fraction", "(0, 1]", "some of a stored triplet is finite"),
        between("axis_ratio_range", "set", "axis_ratio", "[0, 1]", "an axis ratio lies in [0, 1]"),
        between("masked_share", "set", "masked_fraction", "[0, 1]", "a share of masked pixels lies in [0, 1]"),
        between("below_threshold", "set", "snr", f"[{threshold_sigma}, )", "a detection reaches the threshold"),
        between(
            "injection_offset", "set", "offset_px", f"[0, {MATCH_RADIUS_PX}]", "a found injection lies near its own"
        ),
        between("separation_range", "set", "host_separation_arcsec", "[0, )", "a separation is not negative"),
    )
    hosted: Condition = ("kind", "==", GALAXY_INJECTION)
    known = [expectation for expectation in numbers if expectation.columns[0] in columns]
    if "host_separation_re" in columns:
        known.append(present("host_missing", "host_separation_re", "an injection near a galaxy has a host", hosted))
    return Suite("candidates", (*words, *known))


def quantities() -> Suite:
    """Return the suite of quantities: each lies between its limits; all are shown, none stops the publish."""
    above = {"column_A": "value", "column_B": "low", "or_equal": True}
    below = {"column_A": "high", "column_B": "value", "or_equal": True}
    kind = "ExpectColumnPairValuesAToBeGreaterThanB"
    return Suite(
        "candidates as asked for",
        (
            Expectation("quantity_low", "note", "no quantity is below its lower limit", kind, above),
            Expectation("quantity_high", "note", "no quantity is above its upper limit", kind, below),
        ),
        index="quantity",
    )


def candidate_frame(stored: pa.Table) -> pd.DataFrame:
    """Return the stored rows' ids, kinds and the columns that have any value, and the offset of found injections."""
    known = [name for name in stored.column_names if stored[name].null_count < stored.num_rows]
    frame = as_frame(stored.select(["id", "kind", *(name for name in known if name not in ("id", "kind"))]))
    if {"injected_x_px", "x_px"} <= set(frame.columns):
        offset = np.hypot(frame["x_px"] - frame["injected_x_px"], frame["y_px"] - frame["injected_y_px"])
        return frame.assign(offset_px=offset)
    return frame


def candidate_quantities(ledger: pa.Table, labels: pa.Table, request: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns ``quantity, value, low, high`` for what can be known of a request's candidates.

    Parameters
    ----------
    ledger : Table
        The request's rows, injections that were not found among them.
    labels : Table with id and label
    request : mapping
        ``galaxy_fraction`` and the like, as asked.
    """
    rows = [("sky cells", float(pc.count_distinct(ledger["group"]).as_py()), float(LEAST_CELLS), np.inf)]
    rows += _label_rows(labels)
    injections = ledger.filter(pc.is_valid(ledger["found"])).to_pandas()
    if len(injections):
        rows += _injection_rows(injections, float(request["galaxy_fraction"]))
    return pd.DataFrame(rows, columns=["quantity", "value", "low", "high"])


def _label_rows(labels: pa.Table) -> list[tuple[str, float, float, float]]:
    known = labels["label"].drop_null()
    if len(known) == 0:
        return []
    return [
        (
            "share of real among the labelled",
            pc.mean(pc.equal(known, REAL)).as_py(),
            LEAST_LABEL_SHARE,
            1 - LEAST_LABEL_SHARE,
        )
    ]


def _injection_rows(injections: pd.DataFrame, galaxy_fraction: float) -> list[tuple[str, float, float, float]]:
    hosted = injections[injections["kind"] == GALAXY_INJECTION]
    alone = injections[injections["kind"] == RANDOM_INJECTION]
    count, found = len(injections), injections["found"].astype(bool)
    rows = [
        ("share of the injections near galaxies", len(hosted) / count, *_binomial(galaxy_fraction, count)),
        ("share of the injections that is lost", float((~found).mean()), LEAST_LOST_SHARE, 1.0),
    ]
    if len(hosted) > 1 and len(alone) > 1:
        same = stats.ks_2samp(hosted["injected_snr"], alone["injected_snr"]).pvalue
        rows.append(("p-value: equal brightness near galaxies and elsewhere", float(same), LEAST_P_VALUE, 1.0))
    if len(hosted):
        within = float((hosted["host_separation_re"] <= 1).mean())
        rows.append(("share within one effective radius of the host", within, *_binomial(0.5, len(hosted))))
    return rows


def _binomial(share: float, count: int) -> tuple[float, float]:
    """Return the interval that holds a share drawn of `count` in 999 of 1000 cases."""
    low, high = stats.binom.interval(0.999, count, share)
    return float(low) / count, float(high) / count
