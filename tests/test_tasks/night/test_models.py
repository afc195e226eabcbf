"""Models of a night: their cards, their logits, and what identifies a scoring."""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest

from realbogus.models.preprocessing import PREPROCESSING_VERSION
from tasks.learning.models.inference import Outputs
from tasks.night.models import NightError, NightModel, check_card
from tasks.night.sources import NightSource
from tests.small_night import SIDE, make_model, make_rule, make_stamps


@dataclass(frozen=True)
class Identified:
    identity: str


def source(identity: str = "s") -> NightSource:
    return cast(NightSource, Identified(identity))


def test_the_logit_is_the_second_output_minus_the_first() -> None:
    outputs = Outputs("test", lambda stamps: np.array([[1.0, 3.5], [2.0, -1.0]], np.float32), True, None)
    assert NightModel("a", {}, outputs).logits(np.zeros((2, 3, 3, 3))).tolist() == [2.5, -3.0]
    model = make_model("a")
    np.testing.assert_allclose(model.logits(make_stamps(np.array([-2.0, 0.5]))), [-2.0, 0.5])
    assert (model.sha256, model.stamp_px) == ("a" * 64, SIDE)


def test_the_first_model_runs_before_the_full_one() -> None:
    assert [model.name for model in make_rule().models] == ["a"]
    assert [model.name for model in make_rule(below=0.0).models] == ["b", "a"]


def test_a_scoring_is_identified_by_all_that_its_logits_depend_on_and_nothing_else() -> None:
    alone, cascade = make_rule(), make_rule(below=-1.0)
    same = [replace(alone, threshold=5.0), replace(alone, night_prior=0.1), replace(alone, threshold_rule="v2")]
    assert {rule.identity(source()) for rule in [alone, *same]} == {alone.identity(source())}
    other_engine = replace(alone.full, outputs=replace(alone.full.outputs, engine="other"))
    different = {
        alone.identity(source()),
        alone.identity(source("t")),
        replace(alone, full=make_model("c")).identity(source()),
        replace(alone, full=other_engine).identity(source()),
        cascade.identity(source()),
        replace(cascade, discard_below=-1.5).identity(source()),
        replace(cascade, first=make_model("c")).identity(source()),
    }
    assert len(different) == 7
    assert all(len(identity) == 16 for identity in different)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"problem": "galaxy"}, "model m/1 is of problem 'galaxy', not realbogus"),
        ({"preprocessing_version": "realbogus-0"}, "m/1 was trained with preprocessing 'realbogus-0', this code has"),
    ],
)
def test_a_model_of_another_problem_or_preprocessing_is_refused(card: dict[str, Any], message: str) -> None:
    good = {"problem": "realbogus", "preprocessing_version": PREPROCESSING_VERSION}
    check_card("m/1", good)
    with pytest.raises(NightError, match=message):
        check_card("m/1", good | card)
