"""What a drift check found, as a table, a summary and words: nothing is lost, and the largest drift comes first."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from tasks.learning.drift.findings import ALL, RATE, DriftCheck, Finding, State

COMPARED = Finding("chip 1", "fwhm", "compared", 0.5, 0.25, False, 1.25, 1.0, 40, 9)


def drift(stratum: str, effect: float) -> Finding:
    return replace(COMPARED, stratum=stratum, effect=effect, p_value=1e-5, drifted=True)


def left_out(stratum: str, state: State) -> Finding:
    return Finding(stratum, "fwhm", state, np.nan, 1.0, False, np.nan, 1.0, 3, 2)


CHECK = DriftCheck(
    "2026-05-20",
    "drifted",
    9,
    (
        left_out(ALL, "unknown"),
        drift("b", 1.2344),
        drift("a", 3.0),
        COMPARED,
        left_out("z", "unknown"),
        left_out("new", "unknown"),
        left_out("z", "unknown"),
        left_out("c", "few_rows"),
        drift("c", 1.2344),
    ),
)


def test_drift_comes_by_falling_effect_and_what_is_equal_stays_in_order() -> None:
    assert [(found.stratum, found.effect) for found in CHECK.drifted] == [("a", 3.0), ("b", 1.2344), ("c", 1.2344)]
    assert DriftCheck("n", "quiet", 9, (COMPARED,)).drifted == []


def test_the_table_holds_every_field_of_every_finding_in_order() -> None:
    table = CHECK.to_table()
    assert table.column_names == list(asdict(COMPARED))
    for row, finding in zip(table.to_pylist(), CHECK.findings, strict=True):
        np.testing.assert_equal(row, asdict(finding))
    empty = DriftCheck("n", "not_enough_quiet_nights", 3, ()).to_table()
    assert (empty.num_rows, empty.schema) == (0, table.schema)


def test_the_summary_counts_every_finding_once_and_names_each_unknown_stratum_once() -> None:
    summary = CHECK.to_summary()
    assert summary["compared"] + sum(summary["not_compared"].values()) == len(CHECK.findings)
    assert (summary["compared"], summary["not_compared"]) == (4, {"unknown": 4, "few_rows": 1})
    assert summary["unknown"] == ["new", "z"], "all strata together are none"
    assert [found["effect"] for found in summary["drifted"]] == [3.0, 1.234, 1.234]


@pytest.mark.parametrize("effect", [np.inf, np.nan, np.float64("inf")])
def test_a_summary_is_json_whatever_the_effect(effect: float) -> None:
    summary = DriftCheck("n", "drifted", 9, (drift("a", effect),)).to_summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["drifted"] == [{"stratum": "a", "feature": "fwhm", "effect": None, "p_value": 1e-5}]


def test_words_tell_the_values_or_why_there_are_none() -> None:
    assert str(COMPARED) == "chip 1 fwhm: 1.25 instead of 1, effect 0.50 quiet spreads, p 0.2"
    rate = replace(COMPARED, stratum=ALL, feature=RATE, p_value=0.0004)
    assert str(rate) == "all strata rate: 1.25 instead of 1, effect 0.50 ln of the ratio, p 0.0004"
    assert str(left_out("c", "few_rows")) == "c fwhm: few_rows (3 rows, 2 quiet nights)"
