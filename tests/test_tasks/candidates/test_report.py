"""Tables, figures and sentences of a real/bogus report, on scores that are counted by hand."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from realbogus.records import GALAXY_INJECTION
from tasks.candidates.figures import efficiency_curves, efficiency_figures, evaluation_figures
from tasks.candidates.metrics import CandidateEvaluation, CandidateScores, summarise
from tasks.candidates.report import (
    baselines_table,
    evaluation_page,
    points_table,
    probability_table,
    review_text,
    threshold_slider,
)
from tasks.learning.operating_points import threshold_for_tpr
from tests.small_scores import CARD, made_context, made_rows, made_scores

REAL = [True] * 10 + [False] * 20
LOGITS = [*range(1, 11), 2.5, 5.5, *(-0.5 - step for step in range(18))]


def scores(**more: Any) -> CandidateScores:
    return made_scores(made_rows(REAL), LOGITS, **more)


def test_a_point_that_few_bogus_pass_shows_an_upper_limit() -> None:
    card = CARD | {"operating_points": {"tpr99": {"threshold": -10.0}}}
    summary = summarise(scores(card=card), made_context())
    here, on_validation = points_table(summary, "origin").rows[0], points_table(summary, "origin").rows[-1]
    assert here[:4] == ["set here, 90 % kept", "2.000", "0.900", 10]
    limit = summary["points"]["tpr90"]["fpr_limit"]
    assert here[4:] == [f"< {limit:.3%}", "not resolved", 2, 20]
    # At -10 and above are 2 + 10 bogus: enough to resolve the rate.
    assert on_validation[0] == "set on validation for 99 %"
    assert (on_validation[4], on_validation[6]) == ("60.000%", 12)


def test_the_table_of_baselines_counts_the_bogus_that_pass() -> None:
    perfect = np.where(REAL, 1.0, 0.0)
    table = baselines_table(scores(baselines={"perfect": perfect}, untrained=["perfect"]), "origin")
    assert table.columns[-1] == "bogus passed of 20"
    assert table.rows == [
        ["majority class", None, None, "0.333 real"],
        ["perfect", "1.0000", "0.000%", 0],
        ["this model", "0.9650", "10.000%", 2],
    ]


def test_probabilities_are_given_at_two_priors() -> None:
    rows = probability_table(scores(card=CARD | {"temperature": 1.0, "training_real_share": 0.5})).rows
    # At an even mix 0.9 is odds of 9; a prior of 0.001 multiplies them by 1/999.
    assert rows[1][:2] == ["0.9", f"{9 / 999 / (1 + 9 / 999):.3g}"]
    # Logits above log 9 = 2.197: the reals 3 to 10 and two bogus.
    assert rows[1][2:] == [10, "0.8000"]
    assert rows[0][2:] == [12, f"{10 / 12:.4f}"]
    assert rows[3][2:] == [4, "1.0000"]


def test_a_threshold_that_nothing_reaches_has_no_share() -> None:
    rows = probability_table(made_scores(made_rows([True, False]), [0.1, -5.0])).rows
    assert rows[3][2:] == [0, None]


def test_the_sentence_on_reviews_says_what_to_do_or_what_was_found() -> None:
    assert "truth" in review_text(None)
    open_table = review_text({"table": "reports/a.csv", "asked": 7})
    assert "7 bogus" in open_table
    assert "reports/a.csv" in open_table
    counts = {"asked": 7, "right": 3, "wrong": 2, "unsure": 2}
    rate = {"fpr_at_tpr90": 0.05, "fpr_at_tpr90_low": 0.01, "fpr_at_tpr90_high": 0.1}
    found = review_text(counts | rate)
    assert "classified 2 as real and 3 as bogus, and were unsure of 2" in found
    assert "rate is 5.00% (1.00% to 10.00%)" in found
    assert review_text(counts | dict.fromkeys(rate)).endswith("unsure of 2: no bogus remains.")


def injections(count: int = 60) -> tuple[pa.Table, CandidateScores]:
    """Injections near galaxies of 18 to 21 mag; the brighter half is found, of which every second one is kept."""
    found = [row < count // 2 for row in range(count)]
    columns = {
        "kind": [GALAXY_INJECTION] * count,
        "found": found,
        "chance_match": [False] * count,
        "injected_mag": np.linspace(18, 21, count).tolist(),
        "group": ["cell"] * count,
    }
    ledger = made_rows([True] * count, columns=columns).samples
    kept = count // 2
    rows = made_rows([True] * kept + [False] * 20, groups=["cell"] * (kept + 20))
    logits = [1.0 if row % 2 == 0 else -1.0 for row in range(kept)] + [-5.0] * 20
    return ledger, made_scores(rows, logits)


def test_efficiencies_fall_where_nothing_is_found() -> None:
    ledger, made = injections()
    curves = efficiency_curves(ledger, made, 0.0)
    assert list(curves) == ["injected_mag"]
    assert list(curves["injected_mag"]) == ["hosted: detection", "hosted: classification", "hosted: completeness"]
    detection = [rate.value for _, rate in curves["injected_mag"]["hosted: detection"]]
    completeness = [rate.value for _, rate in curves["injected_mag"]["hosted: completeness"]]
    assert (detection[0], detection[-1]) == (1.0, 0.0)
    assert completeness[0] == pytest.approx(0.5, abs=0.1)
    classification = curves["injected_mag"]["hosted: classification"]
    assert len(classification) < 7  # what was not found is not classified


def test_few_injections_have_no_efficiency() -> None:
    ledger, made = injections()
    assert efficiency_curves(ledger.slice(0, 19), made, 0.0) == {}
    assert efficiency_curves(ledger.slice(0, 20), made, 0.0) != {}


def test_injections_of_other_groups_do_not_count() -> None:
    ledger, made = injections()
    elsewhere = ledger.set_column(ledger.column_names.index("group"), "group", pa.array(["other"] * 60))
    assert efficiency_curves(elsewhere, made, 0.0) == {}


NONE_NEAR = np.empty(0, np.int64), np.empty((0, 21, 21, 3), np.float32)


def test_the_slider_s_rates_are_shares_from_each_threshold_on() -> None:
    made, real = scores(), np.array(REAL)
    threshold = threshold_for_tpr(np.array(LOGITS)[real], 0.9)
    slider = threshold_slider(made, threshold, (np.array([11]), np.ones((1, 21, 21, 3), np.float32)))
    assert list(slider.thresholds) == sorted(slider.thresholds, reverse=True)
    assert slider.start in slider.thresholds
    for at, fpr, tpr in zip(slider.thresholds, *slider.readings.values(), strict=True):
        assert tpr == np.mean(np.array(LOGITS)[real] >= at)
        assert fpr == np.mean(np.array(LOGITS)[~real] >= at)
    (stamp,) = slider.stamps
    assert stamp.score == LOGITS[11]
    assert stamp.name == f"bogus {made.rows.part.ids[11]}"


def test_the_page_shows_what_there_is() -> None:
    columns = {"snr": [6.0] * 30, "detector": ["one", "two"] * 15}
    made = made_scores(made_rows(REAL, columns=columns, origins=["supernova"] * 10 + ["residual"] * 20), LOGITS)
    context = made_context(history={"train_loss": [1.0, 0.5], "validation_loss": [1.0, 0.6]}, notes=["a note"])
    evaluation = CandidateEvaluation(
        context, made, injections()[0], {"bogus": (np.array([11]), np.ones((1, 21, 21, 3)))}, NONE_NEAR
    )
    summary = summarise(made, context) | {"verdicts": None}
    figures, efficiencies = evaluation_figures(evaluation, summary), efficiency_figures(evaluation, summary)
    assert list(figures) == ["roc", "precision", "scores", "training", "bogus"]
    assert efficiencies == {}  # the injections are of another group
    html = evaluation_page(evaluation, summary, figures, efficiencies)
    for shown in ("a title", "a note", "By origin in the simulation", "By S/N", "By detector", "supernova", "made@1"):
        assert shown in html
    assert ">Efficiencies</h2>" not in html


def test_without_truth_snr_and_detectors_the_page_has_fewer_tables() -> None:
    made, context = scores(), made_context()
    evaluation = CandidateEvaluation(context, made, made.rows.samples, {}, NONE_NEAR)
    summary = summarise(made, context) | {"verdicts": None}
    html = evaluation_page(evaluation, summary, evaluation_figures(evaluation, summary), {})
    for absent in ("By origin in the simulation", "By S/N,", "By detector,", ">Training</h2>"):
        assert absent not in html
    assert "By surroundings and kind" in html
