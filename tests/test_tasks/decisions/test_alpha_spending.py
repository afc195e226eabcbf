"""A month's error probability is divided among its looks, and months of equal models rarely change the champion."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tasks.decisions.alpha_spending import Look, next_look
from tasks.decisions.decision import Decision
from tasks.decisions.gate import Situation, judge, last_change
from tasks.decisions.gate_figures import Errors
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.paired_comparison import ComparedRows

NOON = datetime(2026, 6, 1, 3, tzinfo=UTC)


def looked(night: str, challenger: str, champion: str = "one", holdout: str = "rows", **more: Any) -> Decision:
    values: dict[str, Any] = {
        "figures": {"look": {"number": 1}},
        "digests": {"champion": champion, "challenger": challenger, "holdout": holdout},
    }
    values |= {"kind": "gate", "verdict": "HOLD", "by": "nightly-retrain", "reasons": ("why",), "night": night}
    return Decision(NOON, "realbogus", **values | more)


def look_after(history: list[Decision], night: str = "2026-05-20", challenger: str = "new") -> Look:
    compared = {"champion": "one", "challenger": challenger, "holdout": "rows"}
    return next_look(history, night, compared, planned=31, alpha=0.05)


@given(st.integers(1, 60), st.integers(1, 80), st.floats(0.001, 0.5))
def test_the_levels_of_a_month_sum_to_alpha_and_no_further(planned: int, looks: int, alpha: float) -> None:
    levels = [Look("2026-05", number, planned, alpha).level for number in range(1, looks + 1)]
    assert min(levels) >= 0
    assert sum(levels) == pytest.approx(alpha * min(looks / planned, 1))
    assert all(level == 0 for level in levels[planned:])
    assert Look("2026-05", looks, planned, alpha).spent == pytest.approx(sum(levels))


def test_looks_are_counted_in_the_nights_month_on_the_same_rows() -> None:
    history = [
        looked("2026-05-01", "a"),
        looked("2026-05-02", "b"),
        looked("2026-04-30", "c"),
        looked("2026-05-03", "d", holdout="other rows"),
        looked("2026-05-04", "e", figures={}),  # decided without the figure
        looked("2026-05-05", "f", kind="promote"),
    ]
    assert look_after(history).number == 3
    assert look_after(history, "2026-06-01").number == 1


def test_the_same_comparison_is_no_further_look() -> None:
    history = [looked("2026-05-01", "a"), looked("2026-05-02", "b"), looked("2026-05-03", "a")]
    assert look_after(history, challenger="a").number == 1
    assert look_after(history, challenger="b").number == 2
    assert look_after(history).number == 3
    assert look_after([looked("2026-05-01", "new", champion="another")]).number == 2


def month_of_equals(seed: int, settings: GateSettings, noise: float) -> list[Decision]:
    """Thirty nights with another challenger each, all as good as the first champion and correlated with it."""
    rng = np.random.default_rng(seed)
    rows, cells = 300, 30
    labels, groups = rng.integers(2, size=rows), rng.integers(cells, size=rows).astype(str)
    shown = labels + rng.normal(0, 0.6, rows)  # what every model sees alike

    def outputs() -> np.ndarray:
        seen = shown + noise * rng.normal(size=rows)
        return np.stack([0.5 - seen, seen - 0.5], axis=1)

    champion, name, history = outputs(), "first", []
    for number in range(30):
        night, challenger = (date(2026, 5, 1) + timedelta(days=number)).isoformat(), outputs()
        digests = {"champion": name, "challenger": str(number), "holdout": "rows"}
        look = next_look(history, night, digests, settings.looks, settings.alpha)
        compared = ComparedRows(np.arange(rows).astype(str), groups, labels, champion, challenger, np.ones(rows))
        situation = Situation(date.fromisoformat(night), look, last_change=last_change(history))
        found = judge(compared, Errors(("faint", "bright")), settings, situation, rng)
        champion_after = str(number) if found.verdict == "PROMOTE" else name
        changed = {"verdict": found.verdict, "champion_before": name, "champion_after": champion_after}
        history.append(looked(night, str(number), name, figures=found.figures, **changed))
        if champion_after != name:
            champion, name = challenger, champion_after
    return history


def promotions(history: list[Decision]) -> int:
    return sum(decision.verdict == "PROMOTE" for decision in history)


@pytest.mark.parametrize("noise", [0.15, 0.6])
def test_months_of_equal_challengers_promote_no_oftener_than_alpha(noise: float) -> None:
    settings = GateSettings(alpha=0.25, looks=30, repeats=600, margin=0, cooldown_nights=0)
    months = 24
    changed = sum(promotions(month_of_equals(seed, settings, noise)) > 0 for seed in range(months))
    assert changed <= binom.ppf(0.99, months, settings.alpha)


@pytest.mark.parametrize("seed", range(6))
def test_thirty_nights_of_no_better_challengers_change_the_champion_at_most_twice(seed: int) -> None:
    history = month_of_equals(seed, GateSettings(repeats=3100), noise=0.4)
    assert promotions(history) <= 2
    numbers = [decision.figures["look"]["number"] for decision in history]
    assert numbers == list(range(1, 31))
