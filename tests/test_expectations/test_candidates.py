"""Expectations on candidates: each quantity with limits that follow from the request."""

import numpy as np
import pyarrow as pa
import pytest

from expectations.candidates import (
    LEAST_CELLS,
    LEAST_LABEL_SHARE,
    LEAST_LOST_SHARE,
    LEAST_P_VALUE,
    candidate_frame,
    candidate_quantities,
    candidates,
    quantities,
)
from realbogus.records import BOGUS, GALAXY_INJECTION, MATCH_RADIUS_PX, RANDOM_INJECTION, REAL, VARIABLE_INJECTION

REQUEST = {"galaxy_fraction": 0.5}


def ledger(hosted: int = 50, alone: int = 50, missed: int = 20) -> pa.Table:
    """Injections near galaxies, then elsewhere; the last `missed` are not detected; then one detection."""
    count = hosted + alone
    return pa.table(
        {
            "group": [f"cell{row % 30}" for row in range(count + 1)],
            "kind": [GALAXY_INJECTION] * hosted + [RANDOM_INJECTION] * alone + ["detection"],
            "found": [row < count - missed for row in range(count)] + [None],
            "injected_snr": [float(row % 10) for row in range(count)] + [None],
            "host_separation_re": [0.5 if row % 2 else 1.5 for row in range(hosted)] + [None] * (alone + 1),
        }
    )


def labels(real: int, bogus: int, unlabelled: int = 0) -> pa.Table:
    values = [REAL] * real + [BOGUS] * bogus + [None] * unlabelled
    return pa.table({"id": [str(row) for row in range(len(values))], "label": pa.array(values, pa.string())})


def by_quantity(table: pa.Table, of: pa.Table) -> dict[str, tuple[float, float, float]]:
    rows = candidate_quantities(table, of, REQUEST).to_dict("records")
    return {row["quantity"]: (row["value"], row["low"], row["high"]) for row in rows}


def test_quantities_of_a_survey_with_injections() -> None:
    found = by_quantity(ledger(), labels(30, 60, unlabelled=10))
    assert found["sky cells"] == (30.0, LEAST_CELLS, np.inf)
    assert found["fraction of reals among the labelled"] == (
        pytest.approx(1 / 3),
        LEAST_LABEL_SHARE,
        1 - LEAST_LABEL_SHARE,
    )
    assert found["fraction of missed injections"] == (pytest.approx(0.2), LEAST_LOST_SHARE, 1.0)
    value, low, high = found["fraction of injections near galaxies"]
    # Of 100 draws with probability 1/2, 34 to 66 hold 99.9 %.
    assert (value, low, high) == (0.5, pytest.approx(0.34), pytest.approx(0.66))
    assert found["fraction within one effective radius of the host"][0] == 0.5
    p_value, least, most = found["p-value: equal brightness near galaxies and elsewhere"]
    assert (p_value, least, most) == (pytest.approx(1.0), LEAST_P_VALUE, 1.0)


def test_the_fraction_near_galaxies_leaves_variable_sources_out_and_can_be_that_of_the_detected() -> None:
    kinds = [GALAXY_INJECTION] * 50 + [RANDOM_INJECTION] * 30 + [VARIABLE_INJECTION] * 20 + ["detection"]
    table = ledger(hosted=50, alone=50, missed=0)
    table = table.set_column(table.column_names.index("kind"), "kind", pa.array(kinds))
    assert by_quantity(table, labels(30, 60))["fraction of injections near galaxies"][0] == 50 / 80
    # Of those near galaxies the first 20 are missed: 30 of 60 detected ones are near galaxies.
    found = pa.array([row >= 20 for row in range(100)] + [None])
    table = table.set_column(table.column_names.index("found"), "found", found)
    rows = candidate_quantities(table, labels(30, 60), {**REQUEST, "balance": "stored"}).to_dict("records")
    assert next(row["value"] for row in rows if row["quantity"] == "fraction of injections near galaxies") == 0.5


def test_a_host_at_exactly_one_effective_radius_is_within_it() -> None:
    table = ledger(hosted=4, alone=0, missed=1)
    edge = pa.array([1.0, 1.0, 1.0, 1.01, None], pa.float64())
    table = table.set_column(table.column_names.index("host_separation_re"), "host_separation_re", edge)
    assert by_quantity(table, labels(1, 1))["fraction within one effective radius of the host"][0] == 0.75


def test_without_injections_and_labels_only_the_cells_are_counted() -> None:
    table = ledger(hosted=0, alone=0, missed=0)
    assert set(by_quantity(table, labels(0, 0, unlabelled=3))) == {"sky cells"}


def test_without_hosts_brightness_is_not_compared() -> None:
    found = by_quantity(ledger(hosted=0), labels(1, 1))
    assert "p-value: equal brightness near galaxies and elsewhere" not in found
    assert "fraction within one effective radius of the host" not in found


def test_a_quantity_is_compared_with_both_of_its_limits() -> None:
    suite = quantities()
    assert suite.columns == ("quantity", "value", "low", "high")
    assert [(one.name, one.kind) for one in suite.expectations] == [("quantity_low", "note"), ("quantity_high", "note")]
    low, high = (one.arguments for one in suite.expectations)
    assert (low["column_A"], low["column_B"]) == ("value", "low")
    assert (high["column_A"], high["column_B"]) == ("high", "value")
    assert low["or_equal"]
    assert high["or_equal"]


def test_only_columns_that_are_there_are_expected_of() -> None:
    always = {"kind_missing", "kind"}
    assert {one.name for one in candidates(["kind"], 5.0).expectations} == always
    with_host = {one.name for one in candidates(["kind", "host_separation_re"], 5.0).expectations}
    assert with_host == always | {"host_missing"}
    by_name = {one.name: one.arguments for one in candidates(["snr", "offset_px", "axis_ratio"], 5.5).expectations}
    assert set(by_name) == always | {"below_threshold", "injection_offset", "axis_ratio_range"}
    assert by_name["below_threshold"]["min_value"] == 5.5
    assert not by_name["below_threshold"]["strict_min"]
    assert by_name["injection_offset"]["max_value"] == MATCH_RADIUS_PX


def test_the_frame_has_the_distance_of_detected_from_injected_positions() -> None:
    stored = pa.table(
        {
            "id": ["a", "b"],
            "kind": [RANDOM_INJECTION, "detection"],
            "x_px": [13.0, 5.0],
            "y_px": [24.0, 6.0],
            "injected_x_px": [10.0, None],
            "injected_y_px": [20.0, None],
            "masked_fraction": pa.array([None, None], pa.float64()),
        }
    )
    frame = candidate_frame(stored)
    assert frame["offset_px"][0] == 5.0
    assert np.isnan(frame["offset_px"][1])
    assert "masked_fraction" not in frame.columns
    assert "offset_px" not in candidate_frame(stored.select(["id", "kind", "x_px", "y_px"])).columns
