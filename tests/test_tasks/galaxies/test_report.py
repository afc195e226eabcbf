"""Tables and page of a galaxy evaluation, on predictions whose numbers are counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from galaxy.images.shapes import NO_LIGHT, Shapes
from tasks.galaxies.answer import evaluation_answer
from tasks.galaxies.atlas.error_atlas import ErrorAtlas, HeatMaps
from tasks.galaxies.baselines import Baseline
from tasks.galaxies.evaluation import confident_mistakes, predictions_table
from tasks.galaxies.figures import evaluation_figures
from tasks.galaxies.metrics import GalaxyEvaluation, summarise
from tasks.galaxies.report import evaluation_page, evaluation_tables
from tasks.learning import measures
from tasks.learning.measures import Interval
from tasks.learning.predictions import Predictions
from tasks.learning.split_parts import SplitPart
from tasks.training.evaluation_record import EvaluationContext
from tests.accessibility import require_accessible
from tests.browser import CHROMIUM, headless

# Twelve of a (nine right), eight of b (six right); the wrong ones are the least and the most confident.
LABELS = np.array([0] * 12 + [1] * 8, np.int32)
CHOSEN = np.array([0] * 9 + [1] * 3 + [1] * 6 + [0] * 2)
CONFIDENCE = np.linspace(0.6, 0.98, 20)

NOT_MEASURED = np.full(20, np.nan)
UNMEASURED = Shapes(NOT_MEASURED, NOT_MEASURED, np.full(20, NO_LIGHT))
NO_MAPS = HeatMaps(np.empty(0, np.int64), np.empty((0, 4, 4, 3), np.uint8), np.empty((0, 4, 4)))


@pytest.fixture(autouse=True)
def _few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.learning.predictions.BOOTSTRAPS", 30)


def predictions(temperature: float = 1.0, classes: tuple[str, ...] = ("a", "b")) -> Predictions:
    ids = [f"g{row:02d}" for row in range(20)]
    probabilities = np.zeros((20, len(classes)))
    probabilities[np.arange(20), CHOSEN] = CONFIDENCE
    probabilities[np.arange(20), 1 - CHOSEN] = 1 - CONFIDENCE
    return Predictions(SplitPart(ids, np.arange(20), LABELS, ids), list(classes), probabilities, temperature)


def evaluation(model: Predictions, **changes: Any) -> GalaxyEvaluation:
    facts = {"dataset": "sky@2", "pixels": "real", "labels": "votes", "model: classes": ["a", "b"]}
    context = EvaluationContext("a title", 2, "real pixels, votes labels", facts, 3, notes=["a note"])
    mistakes = confident_mistakes(model)
    majority = Baseline("majority class", 20, Interval(0.6, 0.4, 0.8), model_over_this=Interval(0.15, -0.1, 0.4))
    fields: dict[str, Any] = {
        "context": context,
        "model": model,
        "baselines": [majority],
        "views": [],
        "covariates": {},
        "mistakes": mistakes,
        "mistake_images": np.zeros((len(mistakes), 4, 4, 3), np.uint8),
        "atlas": ErrorAtlas(model, context.origin, UNMEASURED, None, {}, NO_MAPS),
    }
    return GalaxyEvaluation(**fields | changes)


def test_the_most_confident_mistake_comes_first() -> None:
    assert confident_mistakes(predictions()).tolist() == [19, 18, 11, 10, 9]


def test_only_so_many_mistakes_are_shown() -> None:
    ids = [f"g{row}" for row in range(50)]
    wrong = np.tile([0.2, 0.8], (50, 1))
    model = Predictions(SplitPart(ids, np.arange(50), np.zeros(50, np.int32), ids), ["a", "b"], wrong)
    assert confident_mistakes(model).tolist() == list(range(18))


def test_the_summary_counts_and_is_free_of_nan() -> None:
    model = predictions(classes=("a", "b", "absent"))
    summary = summarise(evaluation(model))
    assert (summary["count"], summary["overlap_with_training"], summary["accuracy"]) == (20, 3, 0.75)
    assert summary["per_class_recall"] == {"a": 0.75, "b": 0.75, "absent": None}
    assert (summary["accuracy_low"], summary["accuracy_high"]) == measures.wilson(15, 20)
    assert summary["baselines"] == {"majority class": 0.6}
    assert (summary["views"], summary["notes"]) == ({}, ["a note"])
    assert summary["atlas"]["shapes"]["not_measured"] == {NO_LIGHT: 20}
    assert (summary["pixels"], summary["labels"]) == ("real", "votes")
    assert "auc" not in summary


def test_two_classes_have_an_auc() -> None:
    model = predictions()
    summary = summarise(evaluation(model))
    assert summary["auc"] == measures.auc(model.probabilities[:, 1], LABELS == 1)
    assert summary["auc_low"] <= summary["auc"] <= summary["auc_high"]


def test_the_table_of_models_counts_right_ones_and_shows_the_lead() -> None:
    table = evaluation_tables(evaluation(predictions()))["models"]
    assert table.columns == [
        "model",
        "accuracy",
        "95 % interval",
        "right",
        "of",
        "macro-F1",
        "AUC",
        "this model's lead",
    ]
    majority, this = table.rows
    assert majority == ["majority class", "0.600", "0.400–0.800", 12, 20, None, None, "+0.150 [−0.100, +0.400]"]
    assert (this[0], this[1], this[3], this[4], this[7]) == ("this model", "0.750", 15, 20, None)


def test_more_classes_have_no_column_of_auc() -> None:
    table = evaluation_tables(evaluation(predictions(classes=("a", "b", "c"))))["models"]
    assert "AUC" not in table.columns
    assert len(table.rows[0]) == len(table.columns)


def test_a_rate_of_fewer_than_ten_is_not_printed() -> None:
    a, b = evaluation_tables(evaluation(predictions()))["classes"].rows
    assert a[:5] == ["a", 12, 11, 9, "0.750"]
    assert a[6] == f"{9 / 11:.3f}"
    assert b[:6] == ["b", 8, 9, 6, "not resolved", ""]
    assert (b[6], b[8]) == ("not resolved", f"{2 * 6 / (8 + 9):.3f}")


def test_coverage_keeps_the_most_confident() -> None:
    rows = evaluation_tables(evaluation(predictions()))["coverage"].rows
    assert [row[:2] for row in rows] == [["50%", 10], ["80%", 16], ["90%", 18], ["95%", 19], ["100%", 20]]
    # The ten most confident are 10 to 19: of them 12 to 17 are right.
    assert rows[0][3] == "0.600"
    assert rows[0][2] == f"{CONFIDENCE[10]:.3f}"
    assert rows[-1][3] == "0.750"


def test_calibration_is_shown_before_and_after_the_temperature() -> None:
    model = predictions(temperature=2.0)
    before, after = evaluation_tables(evaluation(model))["calibration"].rows
    assert (before[:2], after[:2]) == (["as trained", "1.000"], ["after temperature", "2.000"])
    assert before[4] == f"{measures.nll(model.probabilities, LABELS):.4f}"
    assert after[4] == f"{measures.nll(model.calibrated, LABELS):.4f}"


def test_provenance_holds_every_fact_as_text() -> None:
    rows = evaluation_tables(evaluation(predictions()))["provenance"].rows
    assert ["dataset", "sky@2"] in rows
    assert ["model: classes", '["a", "b"]'] in rows


def test_the_page_has_the_sections_that_have_something_to_show() -> None:
    shown = evaluation(predictions())
    tables, figures = evaluation_tables(shown), evaluation_figures(shown)
    assert set(figures) == {"confusion", "reliability", "accuracy_coverage", "roc", "worst_mistakes"}
    html = evaluation_page(shown, tables, figures)
    assert "20 samples of version 2, real pixels, votes labels" in html
    assert ">a note<" in html
    assert ">Worst mistakes</h2>" in html
    assert ">Structure of the confusions</h2>" in html
    assert ">E7 galaxies</h2>" not in html
    assert ">Training</h2>" not in html


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_is_accessible(tmp_path: Path) -> None:
    shown, path = evaluation(predictions()), tmp_path / "evaluation.html"
    path.write_text(evaluation_page(shown, evaluation_tables(shown), evaluation_figures(shown)), encoding="utf-8")
    with headless(tmp_path / "profile") as browser:
        browser.open(path.as_uri())
        browser.wait_for("document.readyState === 'complete' && document.documentElement.matches('.scripted')")
        require_accessible(browser)


def test_no_mistakes_no_pictures_of_mistakes() -> None:
    none = np.array([], np.int64)
    assert "worst_mistakes" not in evaluation_figures(evaluation(predictions(), mistakes=none))


def test_predictions_are_kept_one_row_a_sample() -> None:
    table = predictions_table(predictions(temperature=2.0))
    assert table.column_names == ["id", "label", "predicted", "probability_a", "probability_b"]
    assert table["predicted"].to_pylist()[8:13] == ["a", "b", "b", "b", "b"]
    both = table["probability_a"].to_numpy() + table["probability_b"].to_numpy()
    np.testing.assert_allclose(both, 1)


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        (Interval(0.15, 0.02, 0.4), "This model is better than the best baseline, majority class: +0.150"),
        (Interval(0.15, -0.1, 0.4), "No lead over the best baseline, majority class, is shown"),
        (Interval(-0.2, -0.4, -0.1), "This model is worse than the best baseline, majority class"),
    ],
)
def test_the_answer_claims_a_lead_where_its_interval_excludes_none(lead: Interval, said: str) -> None:
    baselines = [
        Baseline("worse", 20, Interval(0.3, 0.2, 0.4), model_over_this=Interval(0.5, 0.4, 0.6)),
        Baseline("majority class", 20, Interval(0.6, 0.4, 0.8), model_over_this=lead),
    ]
    answer = evaluation_answer(evaluation(predictions(), baselines=baselines))
    assert said in answer.text
    assert "right for 0.750 (" in answer.evidence
    assert answer.data == "little"
    assert "Fewer than 10 samples have the class b" in answer.advice


def test_without_a_baseline_the_answer_is_the_accuracy() -> None:
    answer = evaluation_answer(evaluation(predictions(), baselines=[]))
    assert answer.text == "This model is right for 75.0%; there is no baseline to compare it with."
