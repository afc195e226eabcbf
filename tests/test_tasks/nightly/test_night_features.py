"""Features of a night: which rows are compared, with which weights, and how often each detector observed."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.candidates.building.staged_rows import LEDGER_COLUMNS
from tasks.nightly.night_features import OF_CANDIDATES, candidate_features, galaxy_features


def rows_of(**columns: list[Any]) -> pa.Table:
    count = len(columns["id"])
    told = {"status": ["stored"] * count, "kind": ["detection"] * count, "detector": ["c0"] * count} | columns
    told.setdefault("batch", ["v0"] * count)
    return pa.table({item.name: pa.array(told.get(item.name, [None] * count), item.type) for item in LEDGER_COLUMNS})


def test_detections_that_the_champion_calls_bogus_are_compared_and_all_visits_count() -> None:
    rows = rows_of(
        id=["bogus", "real", "injected", "missed", "rejected", "unscored", "known", "failed"],
        kind=[
            *["detection"] * 2,
            "galaxy_injection",
            "random_injection",
            *["detection"] * 2,
            "known_asteroid",
            "visit",
        ],
        status=["stored", "stored", "stored", "rejected", "rejected", "stored", "stored", "rejected"],
        detector=["c0", "c0", "c1", "c2", "c0", "c0", "c0", "c3"],
        batch=["v0", "v1", "v2", "v3", "v0", "v0", "v0", "v4"],
        snr=[100.0, 50.0, 9.0, None, 8.0, 7.0, 6.0, None],
    )
    logits = {"bogus": -3.0, "real": 2.0, "injected": -3.0, "known": -3.0, "unscored": None}
    probability = {"bogus": 0.05, "real": 0.9, "injected": 0.05, "known": 0.05, "unscored": None}
    scores = pa.table({"id": list(logits), "logit": list(logits.values()), "probability": list(probability.values())})
    night = candidate_features("n", rows, scores, 0.0, 0.5)
    assert night.strata.tolist() == ["c0"]
    assert night.values["log10_snr"].tolist() == [2.0]
    assert night.values["logit"].tolist() == [-3.0]
    assert {name.removeprefix("log10_") for name in night.values} == {*OF_CANDIDATES, "logit"}
    assert dict(night.visits) == {"c0": 2, "c1": 1, "c2": 1}, "a failed visit observed nothing"
    assert 0.9 < night.weights[0] <= 1


def test_seeing_is_compared_once_a_visit() -> None:
    """Otherwise a visit would weigh by its number of bogus, which a night's other detectors do not share."""
    rows = rows_of(
        id=["a", "b", "c", "d"], batch=["v0", "v0", "v1", "v0"], seeing_fwhm_arcsec=[10.0, 10.0, 100.0, 10.0]
    )
    scores = pa.table({"id": ["a", "b", "c", "d"], "logit": [-1.0] * 4, "probability": [0.2] * 4})
    night = candidate_features("n", rows, scores, 0.0, 0.5)
    np.testing.assert_array_equal(night.values["log10_seeing_fwhm_arcsec"], [1.0, np.nan, 2.0, np.nan])


def test_what_is_not_positive_has_no_logarithm_and_a_detector_may_be_unknown() -> None:
    rows = rows_of(id=["a", "b"], std=[0.0, 10.0], mag=[18.5, None], detector=["c0", None])
    scores = pa.table({"id": ["a", "b"], "logit": [-1.0, -1.0], "probability": [0.2, 0.2]})
    night = candidate_features("n", rows, scores, 0.0, 0.5)
    np.testing.assert_array_equal(night.values["log10_std"], [np.nan, 1.0])
    np.testing.assert_array_equal(night.values["mag"], [18.5, np.nan])
    assert night.strata.tolist() == ["c0", "unknown"]


def test_galaxies_are_compared_within_their_predicted_class() -> None:
    rows = pa.table(
        {
            "id": ["1", "2", "3", "4"],
            "status": ["stored", "stored", "rejected", "stored"],
            "r_mag": [15.0, 16.0, 17.0, None],
            "redshift": [0.1, None, 0.2, 0.3],
        }
    )
    predictions = pa.table({"id": ["4", "2", "1"], "class": ["E", None, "S"], "confidence": [0.6, None, 0.9]})
    night = galaxy_features("n", rows, predictions)
    assert night.strata.tolist() == ["S", "E"]
    np.testing.assert_array_equal(night.values["r_mag"], [15.0, np.nan])
    assert night.values["confidence"].tolist() == pytest.approx([0.9, 0.6])
    assert not night.visits
