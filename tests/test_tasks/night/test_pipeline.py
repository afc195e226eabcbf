"""The summary of a night: counts, the threshold, and what the first model did."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from tasks.learning.cascade import Discard
from tasks.night.decisions import ScoredNight
from tasks.night.first_model import FirstModel
from tasks.night.pipeline import file_stem, summarise, summarise_cascade
from tasks.night.sources import NightSource
from tests.small_night import make_model, make_rule

DISCARD = Discard(-2.0, 0.5, 1, 240, 0.0123)
SCORED = ScoredNight(Path("n.parquet"), 100, 90, 7, 60, {"edge": 10}, 1.25, pa.table({}))


def test_the_summary_has_counts_model_and_threshold() -> None:
    source = cast(NightSource, SimpleNamespace(pixels="simulated"))
    rule = make_rule()
    expected: dict[str, Any] = {
        "path": "n.parquet",
        "count": 100,
        "scored": 90,
        "not_scored": {"edge": 10},
        "selected": 7,
        "stamps_per_second": 33.3,
        "model": "a",
        "engine": "test",
        "threshold": 1.25,
        "threshold_version": "v1",
        "night_prior": 0.001,
        "pixels": "simulated",
    }
    assert summarise(source, SCORED, rule, 3.0) == expected
    nothing = summarise(source, replace(SCORED, threshold=np.inf), rule, 3.0)
    assert nothing == expected | {"threshold": None}


def test_without_a_first_model_the_summary_says_why() -> None:
    assert summarise_cascade(FirstModel(None, None, "few reals"), SCORED) == {"first": None, "why": "few reals"}


@pytest.mark.parametrize(("threshold", "beyond"), [(0.5, False), (0.49, True), (1.25, False)])
def test_a_threshold_below_the_one_of_the_fitted_loss_is_beyond_it(threshold: float, beyond: bool) -> None:
    first = FirstModel(make_model("b"), DISCARD)
    assert summarise_cascade(first, replace(SCORED, threshold=threshold)) == {
        "first": "b",
        "discarded": 60,
        "threshold": -2.0,
        "full_threshold": 0.5,
        "lost": 1,
        "kept_by_full": 240,
        "lost_limit": 0.0123,
        "beyond": beyond,
    }


@pytest.mark.parametrize(
    ("name", "stem"), [("night-1.v2_x", "night-1.v2_x"), ("2026/03/01  é", "2026_03_01_"), ("a b@c", "a_b_c")]
)
def test_names_of_nights_are_fit_for_files(name: str, stem: str) -> None:
    assert file_stem(name) == stem
