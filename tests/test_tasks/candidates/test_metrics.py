"""Numbers of a real/bogus evaluation, on scores whose rates are counted by hand."""

import json
import math

import numpy as np
import pytest

from tasks.candidates.metrics import compare_models, injection_metrics, summarise
from tasks.candidates.rows import EvaluationRows
from tasks.learning import measures
from tests.small_scores import CARD, made_context, made_rows, made_scores

# Ten reals at logits 1 to 10, twenty bogus at -0.5, -1.5, ... of which the first two score 2.5 and 5.5.
REAL = [True] * 10 + [False] * 20
LOGITS = [*range(1, 11), 2.5, 5.5, *(-0.5 - step for step in range(18))]


@pytest.fixture
def rows() -> EvaluationRows:
    return made_rows(REAL)


def test_counts_auc_and_rates_are_those_counted_by_hand(rows: EvaluationRows) -> None:
    summary = summarise(made_scores(rows, LOGITS), made_context(notes=["a note"]))
    assert (summary["count"], summary["real"], summary["bogus"]) == (30, 10, 20)
    # Pairs out of order: 2.5 beats the reals 1 and 2, 5.5 beats 1 to 5.
    assert summary["auc"] == pytest.approx(1 - 7 / 200)
    # TPR 0.9 keeps nine of ten: the threshold is 2, above which both high bogus lie; 0.95 and 0.99 keep all ten.
    assert summary["points"]["tpr90"]["threshold"] == 2
    assert summary["fpr_at_tpr90"] == summary["fpr_at_tpr95"] == summary["fpr_at_tpr99"] == 0.1
    assert summary["points"]["tpr95"]["threshold"] == 1
    assert (summary["points"]["tpr90"]["kept"], summary["points"]["tpr90"]["passed"]) == (9, 2)
    assert not summary["points"]["tpr90"]["resolved"]
    assert summary["auc_low"] <= summary["auc"] <= summary["auc_high"]
    assert (summary["overlap_with_training"], summary["temperature"]) == (5, 2.0)
    assert (summary["notes"], summary["left_out"]) == (["a note"], {})
    assert (summary["pixels"], summary["labels"]) == ("simulated", "truth")
    assert json.loads(json.dumps(summary)) == summary
    assert "against" not in summary


def test_the_headline_leaves_injections_to_the_second_figure() -> None:
    injected = [True] * 4 + [False] * 26
    rows = made_rows(REAL, injected=injected)
    rows = EvaluationRows(rows.part, rows.samples, rows.origins, ~np.array(injected), rows.injected, {})
    scores = made_scores(rows, LOGITS)
    summary = summarise(scores, made_context())
    assert (summary["count"], summary["real"], summary["bogus"]) == (26, 6, 20)
    # The reals of the headline are 5 to 10: 5.5 beats one of them.
    assert summary["auc"] == pytest.approx(1 - 1 / 120)
    assert summary["injections"] == injection_metrics(scores)
    # The injections are 1 to 4: 2.5 beats two of them, 5.5 all four.
    assert summary["injections"]["real"] == 4
    assert summary["injections"]["auc"] == pytest.approx(1 - 6 / 80)
    assert summary["injections"]["fpr_at_tpr90"] == 0.1


def test_an_injection_that_is_no_real_does_not_count_as_one() -> None:
    rows = made_rows([True, False, False], injected=[False, True, False])
    assert injection_metrics(made_scores(rows, [1.0, 0.0, -1.0])) is None


def test_thresholds_of_the_card_are_measured_on_these_rows(rows: EvaluationRows) -> None:
    card = CARD | {"operating_points": {"tpr90": {"threshold": 5.0}}}
    point = summarise(made_scores(rows, LOGITS, card=card), made_context())["at_card_thresholds"]["tpr90"]
    assert (point["threshold"], point["kept"], point["passed"]) == (5.0, 6, 1)
    assert (point["tpr"], point["fpr"]) == (0.6, 0.05)


def test_a_missing_temperature_is_one(rows: EvaluationRows) -> None:
    assert made_scores(rows, LOGITS, card=CARD | {"temperature": None}).calibration.temperature == 1
    assert made_scores(rows, LOGITS).calibration.temperature == 2
    assert made_scores(rows, LOGITS).calibration.share == 0.25


def test_baselines_are_measured_on_the_same_rows(rows: EvaluationRows) -> None:
    perfect = np.where(REAL, 1.0, 0.0)
    summary = summarise(made_scores(rows, LOGITS, baselines={"S/N alone": perfect}), made_context())
    assert summary["baselines"] == {"S/N alone": {"auc": 1.0, "fpr_at_tpr90": 0.0}}
    best = summary["best_untrained"]
    assert (best["name"], best["auc"]) == ("S/N alone", 1.0)
    assert best["lead"] == pytest.approx(-7 / 200)


def test_rates_of_baselines_and_of_a_second_model_are_at_a_tpr_of_nine_tenths() -> None:
    """The lowest of ten reals is below one bogus: at TPR 0.9 none passes, at any higher rate one does."""
    rows = made_rows([True] * 10 + [False] * 10)
    second = np.array([-1.0, *range(1, 10), 0.0, *range(-20, -11)], float)
    # The model lets two bogus pass above its nine highest reals, and loses the tenth real to all of them.
    logits = np.array([-50.0, *range(1, 10), 20.0, 19.0, *range(-10, -2)], float)
    scores = made_scores(rows, logits.tolist(), baselines={"other": second}, untrained=["other"], against="other")
    summary = summarise(scores, made_context())
    assert summary["baselines"]["other"]["fpr_at_tpr90"] == 0.0
    assert summary["fpr_at_tpr90"] == 0.2
    assert summary["against"]["fpr_at_tpr90_ratio"][0] == pytest.approx(0.5 / 2.5)


def test_calibration_is_at_equal_priors_after_the_temperature() -> None:
    """Logits of 2 log 3 at temperature 2 are odds of 3, at temperature 1 of 9."""
    real = ([True] * 3 + [False]) * 15
    for temperature, odds in ((2.0, 3.0), (1.0, 9.0)):
        card = CARD | {"temperature": temperature}
        summary = summarise(made_scores(made_rows(real), [2 * np.log(3)] * 60, card=card), made_context())
        probabilities = np.tile([1 / (1 + odds), odds / (1 + odds)], (60, 1))
        assert summary["ece"] == pytest.approx(measures.ece(probabilities, np.array(real, int)))
        perfect = measures.perfect_ece(probabilities, np.random.default_rng(0))
        assert summary["ece_of_perfect"] == pytest.approx(perfect.value)


def test_the_packets_own_classifier_is_no_untrained_score(rows: EvaluationRows) -> None:
    perfect, constant = np.where(REAL, 1.0, 0.0), np.zeros(30)
    scores = made_scores(
        rows,
        LOGITS,
        baselines={"S/N alone": constant, "the packet's rb": perfect},
        untrained=["S/N alone", "the packet's rb"],
    )
    assert summarise(scores, made_context())["best_untrained"]["name"] == "S/N alone"


def test_a_second_model_is_compared_on_the_same_rows(rows: EvaluationRows) -> None:
    second = np.array(LOGITS)
    second[12] = 20.0  # a third bogus passes
    scores = made_scores(rows, LOGITS, baselines={"S/N alone": np.zeros(30), "other 3": second}, against="other 3")
    compared = compare_models(scores, "other 3")
    assert compared["model"] == "other 3"
    assert compared["fpr_at_tpr90_ratio"][0] == pytest.approx(3.5 / 2.5)
    assert compared["auc_difference"][0] == pytest.approx(10 / 200)
    assert summarise(scores, made_context())["against"] == compared


def test_few_groups_have_no_interval() -> None:
    rows = made_rows(REAL, groups=[f"cell {row % 5}" for row in range(30)])
    summary = summarise(made_scores(rows, LOGITS), made_context())
    assert summary["auc_low"] is None
    assert summary["fpr_at_tpr90_high"] is None


def test_the_night_keeps_more_the_more_bogus_may_pass(rows: EvaluationRows) -> None:
    night = summarise(made_scores(rows, LOGITS), made_context())["tpr_at_night_candidates"]
    assert list(night) == ["40", "400", "4000"]
    # A millionth of twenty bogus is none: the threshold is above the highest, 5.5, which 6 to 10 exceed.
    assert list(night.values()) == [0.5, 0.5, 0.5]
    assert all(math.isfinite(share) for share in night.values())
