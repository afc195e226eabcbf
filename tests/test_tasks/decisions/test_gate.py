"""The gate promotes what wins, holds what is not shown, and rejects what is broken, worse, or lost on a stratum."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from tasks.decisions.alpha_spending import Look
from tasks.decisions.decision import Decision
from tasks.decisions.gate import Judgement, Situation, judge, last_change
from tasks.decisions.gate_figures import Errors, FalsePositives
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.paired_comparison import ComparedRows, compare
from tasks.learning.operating_points import fpr_at_tpr

REALS, BOGUS, CELLS = 200, 1000, 50
LABELS = (np.arange(REALS + BOGUS) < REALS).astype(np.int64)
SETTINGS = GateSettings(alpha=0.05, looks=10, repeats=1000)
FIGURE = FalsePositives(0.9)
NIGHT = date(2026, 5, 20)


def logits(passed: int, seed: int = 0, real: float = 5.0) -> NDArray[np.float64]:
    """Logits of a model that passes exactly so many bogus, spread over the cells, at any true-positive rate."""
    rng = np.random.default_rng(seed)
    values = np.where(LABELS == 1, real, -5.0) + rng.uniform(-1, 1, len(LABELS))
    values[REALS : REALS + passed] = real + 2
    return values


def compared(
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    strata: Mapping[str, NDArray[np.str_]] | None = None,
    **more: Any,
) -> ComparedRows:
    count = len(champion)
    values: dict[str, Any] = {
        "ids": np.array([f"c{row}" for row in range(count)]),
        "groups": np.array([f"cell {row % CELLS}" for row in range(count)]),
        "labels": LABELS[:count],
        "champion": champion,
        "challenger": challenger,
        "weights": np.ones(count),
        "strata": strata or {},
    }
    return ComparedRows(**values | more)


def situation(**more: Any) -> Situation:
    values: dict[str, Any] = {"night": NIGHT, "look": Look("2026-05", 3, 10, 0.05)}
    return Situation(**values | more)


def judged(rows: ComparedRows, settings: GateSettings = SETTINGS, **more: Any) -> Judgement:
    return judge(rows, FIGURE, settings, situation(**more), np.random.default_rng(1))


BETTER = compared(logits(100), logits(30))


def test_a_clear_gain_is_promoted_and_the_reason_has_its_numbers() -> None:
    found = judged(BETTER)
    assert found.verdict == "PROMOTE"
    (reason,) = found.reasons
    assert reason.startswith(
        "The false-positive rate at a true-positive rate of 0.9 goes from 0.1000 (100 of 1000) to 0.0300 (30)."
    )
    assert "look 3 of 10 in 2026-05" in reason
    figure = found.figures["figure"]
    assert figure["ratio"] == pytest.approx(0.3)
    assert figure["ratio_low"] < 0.3 < figure["ratio_high"] < 1
    assert found.figures["look"] == {
        **{"month": "2026-05", "number": 3, "planned": 10, "alpha": 0.05},
        "level": pytest.approx(0.005),
        "spent": pytest.approx(0.015),
    }


def test_the_same_rows_and_stream_give_the_same_judgement() -> None:
    assert judged(BETTER) == judged(BETTER)


def test_a_gain_that_luck_explains_is_held() -> None:
    found = judged(compared(logits(40), logits(36)))
    assert found.verdict == "HOLD"
    assert "a win is not shown" in found.reasons[0]


def test_a_certain_gain_below_the_margin_is_held() -> None:
    champion = logits(100)
    found = judged(compared(champion, logits(80)), GateSettings(looks=10, repeats=1000, margin=0.3))
    assert found.verdict == "HOLD"
    assert found.reasons[0].endswith("The gain of 20.0% is below the margin of 30.0%.")


def test_a_worse_challenger_is_rejected() -> None:
    found = judged(compared(logits(30), logits(100)))
    assert found.verdict == "REJECT"
    assert found.reasons[0].endswith("the challenger is worse.")


def test_validation_and_the_champion_itself_need_no_comparison() -> None:
    failed = judged(BETTER, validation_passed=False)
    assert (failed.verdict, failed.figures) == ("REJECT", {})
    same = judged(BETTER, same_model=True)
    assert (same.verdict, same.figures) == ("HOLD", {})


def test_a_broken_model_is_named() -> None:
    broken = logits(30)
    broken[7] = np.nan
    found = judged(compared(logits(100), broken))
    assert found.verdict == "REJECT"
    assert found.reasons == (
        "The challenger's output is not finite for 1 of 1200 rows, such as c7: the challenger is broken.",
    )
    assert "look" not in found.figures
    assert judged(compared(broken, logits(30))).verdict == "HOLD"


@pytest.mark.parametrize(
    ("reals", "bogus", "cells", "says"),
    [
        (49, 1000, 50, "There are 49 real with truth or verdict, in 49 groups: at least 50 in 10 groups"),
        (200, 49, 50, "There are 49 bogus with"),
        (200, 0, 50, "There are 0 bogus with"),
        (200, 1000, 9, "There are 200 real with truth or verdict, in 9 groups"),
    ],
)
def test_too_few_rows_are_held(reals: int, bogus: int, cells: int, says: str) -> None:
    rows = np.r_[:reals, REALS : REALS + bogus]
    all_rows = compared(logits(100), logits(30), groups=np.array([f"{row % cells}" for row in range(1200)]))
    few = ComparedRows(
        *(getattr(all_rows, name)[rows] for name in ("ids", "groups", "labels", "champion", "challenger", "weights"))
    )
    found = judged(few)
    assert found.verdict == "HOLD"
    assert found.reasons[0].startswith(says)
    assert "look" not in found.figures


def test_no_rows_are_held() -> None:
    none = np.empty(0)
    nobody = ComparedRows(np.empty(0, str), np.empty(0, str), np.empty(0, int), none, none, none)
    assert judged(nobody).reasons[0].startswith("There are 0 real with truth or verdict")
    pictures = ComparedRows(np.empty(0, str), np.empty(0, str), np.empty(0, int), *[np.empty((0, 2))] * 2, none)
    found = judge(pictures, Errors(("a", "b")), SETTINGS, situation(), np.random.default_rng(0))
    assert found.reasons[0].startswith("There are 0 objects")


def test_a_handful_of_wrong_rows_resolves_nothing() -> None:
    found = judged(compared(logits(9), logits(0)))
    assert found.verdict == "HOLD"
    assert "fewer than 10, the ratio is not resolved" in found.reasons[0]


@pytest.mark.parametrize(
    ("changed", "verdict"), [("2026-05-20", "HOLD"), ("2026-05-15", "HOLD"), ("2026-05-14", "PROMOTE")]
)
def test_a_change_of_the_champion_is_followed_by_five_quiet_nights(changed: str, verdict: str) -> None:
    found = judged(BETTER, last_change=date.fromisoformat(changed))
    assert found.verdict == verdict
    assert ("cool-down" in found.reasons[0]) == (verdict == "HOLD")
    assert "look" in found.figures, "a held comparison was looked at all the same"


def test_a_past_night_does_not_overrule_a_later_change() -> None:
    found = judged(BETTER, last_change=date(2026, 5, 28))
    assert found.verdict == "HOLD"
    assert "after this night" in found.reasons[0]


def test_a_challenger_serves_its_nights_in_shadow_first() -> None:
    settings = GateSettings(looks=10, repeats=1000, shadow_nights=3)
    held = judged(BETTER, settings, nights_in_shadow=2)
    assert held.verdict == "HOLD"
    assert held.reasons == ("The challenger has scored beside the champion on 2 of 3 nights.",)
    assert judged(BETTER, settings, nights_in_shadow=3).verdict == "PROMOTE"


def test_more_looks_than_planned_promote_nothing() -> None:
    found = judged(BETTER, look=Look("2026-05", 11, 10, 0.05))
    assert found.verdict == "HOLD"
    assert "This is look 11 of 2026-05 at the holdout, 10 are planned" in found.reasons[0]


def by_detector(hot: int) -> dict[str, NDArray[np.str_]]:
    """The first `hot` bogus are of detector ``hot``, the others of ``cold``."""
    return {"detector": np.where(LABELS == 1, "", np.where(np.arange(len(LABELS)) < REALS + hot, "hot", "cold"))}


def losing(hot: int) -> ComparedRows:
    """A challenger that gains on all bogus, and passes all those of the detector ``hot``."""
    challenger = logits(0)
    challenger[REALS : REALS + hot] = 9.0
    champion = logits(0)
    champion[REALS + hot : REALS + hot + 300] = 9.0
    return compared(champion, challenger, by_detector(hot))


def test_a_gain_that_a_detector_pays_for_is_rejected() -> None:
    found = judged(losing(80))
    assert found.verdict == "REJECT"
    assert found.reasons == (
        "On detector hot (80 rows) the share decided wrongly goes from 0.0000 to 1.0000: the loss is at least 1.0000, "
        "more than the tolerance 0.02.",
    )


def test_a_stratum_of_few_rows_does_not_count() -> None:
    found = judged(losing(49))
    assert found.verdict == "PROMOTE"
    (hot,) = [stratum for stratum in found.figures["strata"] if stratum["stratum"] == "hot"]
    assert (hot["rows"], hot["counts"], hot["loss"]) == (49, False, 1.0)


def test_a_loss_within_the_tolerance_or_not_shown_is_no_loss() -> None:
    assert judged(losing(80), GateSettings(looks=10, repeats=1000, tolerance=0.999999)).verdict == "REJECT"
    champion, challenger = logits(150), logits(150, seed=0)
    challenger[REALS : REALS + 80] = -9.0  # the gain, all within the cold detector's rows
    challenger[REALS + 900 : REALS + 903] = 9.0  # three more of the other
    strata = {"detector": np.where(LABELS == 1, "", np.where(np.arange(len(LABELS)) < REALS + 800, "cold", "other"))}
    found = judged(compared(champion, challenger, strata))
    assert found.verdict == "PROMOTE"
    (other,) = [stratum for stratum in found.figures["strata"] if stratum["stratum"] == "other"]
    assert other["loss"] == pytest.approx(3 / 200)
    assert other["loss_low"] < 0.015


def test_recall_is_lost_at_each_models_own_threshold() -> None:
    faint = np.where((LABELS == 1) & (np.arange(len(LABELS)) < 60), "faint", np.where(LABELS == 1, "bright", ""))
    champion, challenger = logits(100), logits(30)
    champion[:60] = 6.0  # the champion's threshold lies among the bright
    challenger[:16] = -6.0  # fewer than a tenth of all reals, but a quarter of the faint
    found = judged(compared(champion, challenger, {"magnitude": faint}))
    assert found.verdict == "REJECT"
    (stratum,) = [each for each in found.figures["strata"] if each["stratum"] == "faint"]
    assert stratum["challenger"] >= 16 / 60
    assert stratum["champion"] == 0


def test_true_losses_are_covered_together_in_most_repetitions() -> None:
    settings = GateSettings(alpha=0.5, looks=1, repeats=400, least_events=50)
    false_alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = rng.integers(2, size=1200)
        shown = labels + rng.normal(0, 0.6, 1200)
        champion, challenger = (
            np.stack([0.5 - seen, seen - 0.5], axis=1) for seen in (shown + rng.normal(0, 0.5, (2, 1200)))
        )
        rows = compared(champion, challenger, {"cut": (np.arange(1200) // 100).astype(str)}, labels=labels)
        strata = compare(rows, Errors(("a", "b")), settings, 0.5, rng).strata
        assert len(strata) == 12
        false_alarms += any(stratum.low > 0 for stratum in strata)  # equal models: every true loss is 0
    assert false_alarms <= 6  # binomial, 5 % of 40


def test_weights_stand_for_rows_that_were_not_chosen() -> None:
    """A row of weight 3 gives the figures of three rows."""
    rng = np.random.default_rng(3)
    champion, challenger = rng.normal(LABELS * 2.0, 1), rng.normal(LABELS * 2.0, 1)
    weights = np.where(np.arange(len(LABELS)) % 7 == 0, 3.0, 1.0)
    times = weights.astype(int)
    weighted = compare(compared(champion, challenger, weights=weights), FIGURE, SETTINGS, 0.01, rng)
    for value, scores in ((weighted.champion, champion), (weighted.challenger, challenger)):
        assert value == pytest.approx(fpr_at_tpr(np.repeat(scores, times), np.repeat(LABELS == 1, times), 0.9))


@given(st.integers(0, 2**32 - 1))
def test_the_figure_is_the_false_positive_rate_of_each_model(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(LABELS * 2.0, 1), 1)  # many ties
    wrong = FIGURE.wrong(scores, LABELS, np.ones((1, len(LABELS))))[0]
    assert wrong[LABELS == 0].mean() == pytest.approx(fpr_at_tpr(scores, LABELS == 1, 0.9))


def test_exchanging_the_models_inverts_the_ratio() -> None:
    there, back = (
        compare(compared(*models), FIGURE, SETTINGS, 0.025, np.random.default_rng(0))
        for models in ((logits(100), logits(30)), (logits(30), logits(100)))
    )
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.high >= there.ratio >= there.low
    assert there.high == pytest.approx(1 / back.low, rel=0.1)


def test_galaxies_are_judged_by_their_errors() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=1200)
    right = np.eye(3)[labels]
    champion, challenger = right.copy(), right.copy()
    champion[:200], challenger[:60] = np.roll(right[:200], 1, axis=1), np.roll(right[:60], 1, axis=1)
    rows = compared(champion, challenger, labels=labels)
    found = judge(rows, Errors(("a", "b", "c")), SETTINGS, situation(), rng)
    assert found.verdict == "PROMOTE"
    assert found.reasons[0].startswith("The error rate goes from 0.1667 (200 of 1200) to 0.0500 (60).")
    alone = compared(champion, challenger, labels=np.full(1200, 2))
    held = judge(alone, Errors(("a", "b", "c")), SETTINGS, situation(), rng)
    assert held.reasons == ("All 1200 labelled objects are of class c: two classes are needed.",)


def test_too_few_resamples_for_the_level_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"repeats=500 leave 0\.8 resamples .* give repeats=3100"):
        GateSettings(repeats=500)


def change(night: str | None, kind: Any = "gate", before: str | None = "1", after: str | None = "2") -> Decision:
    at = datetime(2026, 5, 3, tzinfo=UTC)
    return Decision(at, "realbogus", kind, "PROMOTE", "x", ("why",), night, before, after)


def test_the_last_change_of_the_champion_is_by_night_whoever_made_it() -> None:
    history = [
        change("2026-05-09", "rollback"),
        change("2026-05-07"),
        change("2026-05-11", after="1"),
        change("2026-05-12", after=None),
        change("2026-05-30", "first", before=None),
    ]
    assert last_change(history) == date(2026, 5, 9)
    assert last_change([*history, change(None, "promote")]) == date(2026, 5, 9)
    assert last_change([change(None, "promote")]) == date(2026, 5, 3)
    assert last_change([]) is None
