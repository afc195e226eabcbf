"""The answer of a real/bogus evaluation follows its intervals."""

from typing import Any

import pytest

from tasks.candidates.answer import evaluation_answer
from tasks.training.evaluation_record import EvaluationContext

SIMULATED = EvaluationContext("t", 1, "simulated pixels", {}, 0, visits=12)
POINT = {
    "passed": 103,
    "negatives": 10_063,
    "fpr": 0.0102,
    "fpr_low": 0.0079,
    "fpr_high": 0.0136,
    "fpr_limit": 0.012,
    "resolved": True,
}


def summary(low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    lead = None if low is None or high is None else (low + high) / 2
    best = {
        "name": "deepest pixel",
        "auc": 0.8,
        "auc_of_network": 0.9,
        "lead": lead,
        "lead_low": low,
        "lead_high": high,
    }
    return {"points": {"tpr90": POINT}, "best_untrained": best, "at_card_thresholds": {}, **more}


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.05, 0.15, "This model separates real from bogus better"),
        (-0.05, 0.15, "No lead over the best score"),
        (-0.15, -0.05, "A score that needs no training separates better"),
        (None, None, "is not known"),
    ],
)
def test_a_lead_is_claimed_where_its_interval_excludes_none(low: float | None, high: float | None, said: str) -> None:
    answer = evaluation_answer(summary(low, high), SIMULATED)
    assert said in answer.text
    assert "0.900 against 0.800 of deepest pixel" in answer.text
    assert "1.02% (0.79% to 1.36%) of the bogus pass" in answer.evidence
    assert answer.data == "enough"


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        ([2.0, 1.5, 3.0], "better than models:/realbogus/1: 2.00 (1.50 to 3.00) times fewer"),
        ([0.5, 0.4, 0.8], "worse than models:/realbogus/1: 2.00 (1.25 to 2.50) times as many"),
        ([0.0, 0.0, 0.5], "at least 2.00"),
        ([1.1, 0.9, 1.3], "No difference from models:/realbogus/1 is shown"),
        ([1.1, None, None], "cannot be said"),
    ],
)
def test_a_second_model_is_compared_by_the_paired_ratio(ratio: list[float | None], said: str) -> None:
    against = {"model": "models:/realbogus/1", "fpr_at_tpr90_ratio": ratio}
    assert said in evaluation_answer(summary(0.05, 0.15, against=against), SIMULATED).text


def test_a_rate_of_few_bogus_is_a_limit_and_the_stored_threshold_is_told() -> None:
    few = POINT | {"passed": 2, "negatives": 10, "fpr_limit": 0.507, "resolved": False}
    stored = {"tpr90": few | {"tpr": 0.862}}
    answer = evaluation_answer(summary(0.05, 0.15, points={"tpr90": few}, at_card_thresholds=stored), SIMULATED)
    assert answer.data == "too few"
    assert "a rate needs some 50 bogus, 5.0 times as many (visits=60)." in answer.advice
    assert "fewer than 50.70% of the bogus pass" in answer.evidence
    assert "keeps 0.862 of the reals here and lets fewer than 50.70% of the bogus pass" in answer.evidence
