"""The request of a night, and the threshold that it implies."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.night.models import NightError
from tasks.night.request import NightRequest, choose_threshold
from tests.small_night import make_model

POINTS = {"tpr90": {"threshold": 1.5}, "tpr95": {"threshold": 0.5}, "tpr99": {"threshold": -1.25}}
MODEL = make_model("a", operating_points=POINTS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1.5, None, "a aaaaaaaa tpr90")),
        ({"tpr": 0.95}, (0.5, None, "a aaaaaaaa tpr95")),
        ({"tpr": 0.99}, (-1.25, None, "a aaaaaaaa tpr99")),
        ({"threshold": 0.0}, (0.0, None, "a aaaaaaaa threshold 0")),
        ({"threshold": -2.5}, (-2.5, None, "a aaaaaaaa threshold -2.5")),
        ({"max_candidates": 1}, (None, 1, "a aaaaaaaa best 1")),
    ],
)
def test_the_threshold_and_its_name_follow_from_the_one_rule_given(
    options: dict[str, Any], expected: tuple[float | None, int | None, str]
) -> None:
    assert choose_threshold(NightRequest(path="x", **options), MODEL) == expected


def test_a_rate_without_an_operating_point_names_those_there_are() -> None:
    with pytest.raises(NightError, match=r"tpr=0.8 is no operating point of a, which has 0\.90, 0\.95, 0\.99; or give"):
        choose_threshold(NightRequest(path="x", tpr=0.8), MODEL)
    for card in ({}, {"operating_points": None}):
        with pytest.raises(NightError, match=r"tpr=0.9 is no operating point of a, which has none"):
            choose_threshold(NightRequest(path="x"), make_model("a", **card))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0, "tpr": 0.9}, "threshold and tpr are given: choose one"),
        ({"tpr": 0.9, "max_candidates": 1}, "tpr and max_candidates are given"),
        ({"threshold": float("inf")}, "threshold=inf is no finite logit"),
        ({"threshold": float("nan")}, "threshold=nan is no finite logit"),
        ({"tpr": 0.0}, "tpr"),
        ({"tpr": 1.0}, "tpr"),
        ({"max_candidates": 0}, "max_candidates"),
        ({"night_prior": 0.0}, "night_prior"),
        ({"night_prior": 1.0}, "night_prior"),
        ({"model": "net.H5"}, r"model=net\.H5: HDF5 models of the public code are not supported"),
        ({"first": "net.hdf5"}, r"first=net\.hdf5"),
        ({"against": "net.h5"}, r"against=net\.h5"),
        ({"paht": "x"}, "paht"),
    ],
)
def test_bad_requests_name_the_parameter(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NightRequest(path="x", **options)


def test_the_defaults_are_those_of_the_flow() -> None:
    request = NightRequest(path="x")
    assert (request.model, request.first, request.night_prior, request.engine) == ("champion", "champion", 1e-3, "auto")
    assert request.threshold is request.tpr is request.max_candidates is request.night is request.against is None


def test_every_prior_between_none_and_all_is_accepted_and_a_request_cannot_change() -> None:
    request = NightRequest(path="x", night_prior=0.999, tpr=0.001)
    with pytest.raises(ValidationError, match="frozen"):
        request.night_prior = 0.5  # type: ignore[misc]


def test_a_named_detector_has_its_own_threshold() -> None:
    detectors = {"12": {"threshold": 1.5, "own": 2.0, "weight": 0.5, "positives": 60}}
    card = {
        "operating_points": {"tpr90": {"threshold": 1.0}, "tpr95": {"threshold": 0.5}},
        "detector_points": {"tpr90": {"statistic": 9.0, "limit": 4.0, "differ": True, "detectors": detectors}},
    }
    full = make_model("a", **card)
    threshold, count, rule = choose_threshold(NightRequest(detector="12"), full)
    assert (threshold, count) == (1.5, None)
    assert rule.endswith(" tpr90 detector 12")
    assert choose_threshold(NightRequest(), full)[0] == 1.0
    with pytest.raises(NightError, match="no operating point of detector=13; it has those of 12: without detector"):
        choose_threshold(NightRequest(detector="13"), full)
    with pytest.raises(NightError, match="of detector=12; it has those of none"):
        choose_threshold(NightRequest(detector="12", tpr=0.95), full)
    for rule_of in ({"threshold": 0.0}, {"max_candidates": 5}):
        with pytest.raises(ValidationError, match="detector=12 has operating points: give tpr, not"):
            NightRequest(detector="12", **rule_of)
