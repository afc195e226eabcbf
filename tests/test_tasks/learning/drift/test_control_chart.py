"""Control charts: limits of a binomial where nights scatter no more, wider ones where they do, and the two rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tasks.learning.drift.control_chart import ChartSettings, NightCount, control_chart, estimate_correlation

QUIET = [f"q{number}" for number in range(20)]


def quiet_nights(successes: int = 80, trials: int = 100) -> list[NightCount]:
    return [NightCount(name, successes + (-1) ** number, trials) for number, name in enumerate(QUIET)]


def test_without_more_scatter_than_a_binomial_s_the_limits_are_its_own() -> None:
    chart = control_chart([*quiet_nights(), NightCount("new", 80, 100)], QUIET)
    assert (chart.state, chart.correlation, chart.centre) == ("charted", 0.0, 0.8)
    point = chart.points[-1]
    # The centre is of 2,000 trials, so the limits are hardly wider.
    assert point.low == pytest.approx(binom.ppf(0.00135, 100, 0.8) / 100, abs=0.02)
    assert point.high == pytest.approx(binom.isf(0.00135, 100, 0.8) / 100, abs=0.02)


def test_the_correlation_of_a_beta_binomial_is_found() -> None:
    rng = np.random.default_rng(0)
    trials = rng.integers(50, 150, 4000)
    rates = rng.beta(0.7 * 19, 0.3 * 19, 4000)  # correlation 1 / (13.3 + 5.7 + 1)
    assert estimate_correlation(rng.binomial(trials, rates), trials.astype(float)) == pytest.approx(0.05, abs=0.005)
    assert estimate_correlation(rng.binomial(trials, 0.7), trials.astype(float)) == pytest.approx(0.0, abs=0.002)
    assert estimate_correlation(np.zeros(5), np.full(5, 9.0)) == 0


def test_a_night_beyond_a_limit_is_named_and_is_no_slide_of_the_nights_after_it() -> None:
    nights = [*quiet_nights(), NightCount("poor", 30, 100), *(NightCount(f"n{i}", 80, 100) for i in range(5))]
    chart = control_chart(nights, QUIET)
    assert {point.night: point.outside for point in chart.outside} == {"poor": "limit"}


def test_a_slow_slide_within_the_limits_is_found() -> None:
    nights = [*quiet_nights(), *(NightCount(f"n{number:02d}", 74, 100) for number in range(14))]
    chart = control_chart(nights, QUIET)
    rules = [point.outside for point in chart.points]
    assert "limit" not in rules
    assert rules[-1] == "slide"
    assert rules[len(QUIET)] is None


def test_quiet_nights_that_scatter_more_than_a_binomial_rarely_alarm() -> None:
    alarms = judged = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rates = rng.beta(40, 10, 13)
        nights = [NightCount(f"{i}", int(rng.binomial(80, rate)), 80) for i, rate in enumerate(rates.tolist())]
        quiet = [night.night for night in nights[:12]]
        alarms += control_chart(nights, quiet).points[-1].outside == "limit"
        judged += 1
        binomial = 0.8 + np.array([-3, 3]) * np.sqrt(0.8 * 0.2 / 80)
    # 0.27 % if the scatter were known; a dozen nights tell it to a fifth.
    assert alarms / judged <= 0.05
    beyond = [not binomial[0] <= rate <= binomial[1] for rate in np.random.default_rng(0).beta(40, 10, 2000)]
    assert np.mean(beyond) > 0.01, "limits of a binomial would alarm more often than they say"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=20), st.integers(0, 20))
def test_limits_enclose_the_centre_and_no_count_is_an_error(pairs: list[tuple[int, int]], quiet: int) -> None:
    nights = [NightCount(f"{i}", min(pair), max(pair)) for i, pair in enumerate(pairs)]
    chart = control_chart(nights, [night.night for night in nights[:quiet]], ChartSettings(least_nights=2))
    assert len(chart.points) == len(nights)
    for point in chart.points:
        if chart.state == "not_enough_quiet_nights" or point.trials == 0:
            assert point.outside is None
        else:
            assert point.low <= point.high
            assert point.low >= 0
            assert point.high <= 1


def test_few_quiet_nights_and_few_trials_are_shown_and_not_judged() -> None:
    chart = control_chart([NightCount(f"{i}", 9, 10) for i in range(7)] + [NightCount("x", 0, 10)], list("0123456"))
    assert (chart.state, chart.outside) == ("not_enough_quiet_nights", [])
    assert [point.rate for point in chart.points] == [0.9] * 7 + [0.0]
    nights = [*quiet_nights(), NightCount("few", 0, 4), NightCount("none", 0, 0)]
    assert control_chart(nights, QUIET).outside == []
    summary = control_chart(nights, QUIET).to_summary()
    assert (summary["rate"], summary["low"], summary["quiet_nights"]) == (None, None, 20)


def test_impossible_and_repeated_nights_are_refused() -> None:
    with pytest.raises(ValueError, match="night a: 3 successes of 2 trials"):
        control_chart([NightCount("a", 3, 2)], [])
    with pytest.raises(ValueError, match="night a comes twice"):
        control_chart([NightCount("a", 1, 2), NightCount("a", 1, 2)], [])
