"""Drift: what stays the same under permutation and scale, what grows with a shift, and what is no drift at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tasks.learning.drift.check import ALL, RATE, DriftCheck, DriftSettings, Finding, check_drift
from tasks.learning.drift.label_shift import estimate_share, move_share
from tasks.learning.drift.night_features import NightFeatures, read_features, write_features

DETECTORS = ("a", "b", "c", "d")
FEATURES = ("fwhm", "snr")
ROWS, NIGHTS, VISITS = 12, 10, 3
NIGHT_SCATTER = 0.4
"""Of what all rows of a night share, in units of the rows' own scatter."""


def draw_night(rng: np.random.Generator, name: str, **shift: float) -> NightFeatures:
    """Draw a night whose rows share a deviation; `shift` moves the values of detectors, or of all by ``everywhere``."""
    of_night = {feature: rng.normal(0, NIGHT_SCATTER) for feature in FEATURES}
    strata = np.repeat(DETECTORS, rng.poisson(ROWS * rng.lognormal(0, 0.2), len(DETECTORS)))
    move = np.array([shift.get("everywhere", 0.0) + shift.get(name, 0.0) for name in strata])
    offsets = np.array([DETECTORS.index(name) for name in strata])
    values = {feature: rng.normal(offsets + of_night[feature], 1) + move for feature in FEATURES}
    return NightFeatures(name, strata, values, visits=dict.fromkeys(DETECTORS, VISITS))


def draw_nights(seed: int, **shift: float) -> tuple[NightFeatures, list[NightFeatures]]:
    rng = np.random.default_rng(seed)
    return draw_night(rng, "n", **shift), [draw_night(rng, f"quiet {number}") for number in range(NIGHTS)]


def find(check: DriftCheck, stratum: str, feature: str) -> Finding:
    return next(found for found in check.findings if (found.stratum, found.feature) == (stratum, feature))


def centred(night: NightFeatures) -> np.ndarray:
    """Return a feature without the detectors' own offsets."""
    return np.array(night.values["fwhm"] - [DETECTORS.index(name) for name in night.strata])


def test_quiet_nights_rarely_alarm_though_a_test_over_rows_would_nearly_always() -> None:
    """Of n nights at 5 % at most; Kolmogorov and Smirnov's test over rows takes the night's own shift for drift."""
    from scipy.stats import ks_2samp

    alarms = by_rows = 0
    count = 60
    for seed in range(count):
        tonight, quiet = draw_nights(seed)
        alarms += check_drift(tonight, quiet).verdict == "drifted"
        new, *old = (centred(night) for night in (tonight, *quiet))
        by_rows += ks_2samp(new, np.concatenate(old)).pvalue < 0.05
    assert alarms <= 7, "more than 7 of 60 at 5 % each have a probability of 1 %"
    assert by_rows > count / 4


def test_a_shift_of_one_detector_is_found_there_and_not_elsewhere() -> None:
    tonight, quiet = draw_nights(0, c=3.0)
    check = check_drift(tonight, quiet)
    assert check.verdict == "drifted"
    assert {(found.stratum, found.feature) for found in check.drifted} == {("c", name) for name in FEATURES}
    # Tonight's other rows are the quiet ones' own: the distance of the shifted ones is the shift, in their scatter.
    assert find(check, "c", "fwhm").effect == pytest.approx(3.0, abs=0.8)
    assert "c fwhm: " in str(find(check, "c", "fwhm"))


def test_a_shift_of_all_detectors_is_found_over_all_of_them() -> None:
    elsewhere = 0
    for seed in range(10):
        drifted = {(found.stratum, found.feature) for found in check_drift(*draw_nights(seed, everywhere=3.0)).drifted}
        assert drifted >= {(ALL, name) for name in FEATURES}
        elsewhere += len(drifted) > len(FEATURES)
    assert elsewhere <= 3, "a detector moved as the others did"


def test_a_larger_shift_is_a_larger_effect_and_a_smaller_p_value() -> None:
    checks = [check_drift(*draw_nights(2, b=shift)) for shift in (1.0, 2.0, 3.0, 4.0)]
    effects = [find(check, "b", "snr").effect for check in checks]
    p_values = [find(check, "b", "snr").p_value for check in checks]
    assert effects == sorted(effects)
    assert p_values == sorted(p_values, reverse=True)


def same(first: DriftCheck, second: DriftCheck, names: dict[str, str] | None = None) -> None:
    named = {(found.stratum, found.feature): found for found in second.findings}
    assert len(first.findings) == len(second.findings)
    for found in first.findings:
        other = named[(names or {}).get(found.stratum, found.stratum), found.feature]
        assert (found.state, found.rows, found.nights, found.drifted) == (
            other.state,
            other.rows,
            other.nights,
            other.drifted,
        )
        np.testing.assert_allclose([found.effect, found.p_value], [other.effect, other.p_value], rtol=1e-7, atol=1e-12)


def test_the_order_of_rows_and_nights_does_not_matter() -> None:
    tonight, quiet = draw_nights(3, a=2.0)
    order = np.random.default_rng(0).permutation(len(tonight.strata))
    shuffled = replace(
        tonight,
        strata=tonight.strata[order],
        values={name: values[order] for name, values in tonight.values.items()},
        weights=tonight.weights[order],
    )
    same(check_drift(tonight, quiet), check_drift(shuffled, quiet[::-1]))


def test_the_names_of_strata_do_not_matter() -> None:
    names = dict(zip(DETECTORS, ("z", "y", "x", "w"), strict=True))

    def rename(night: NightFeatures) -> NightFeatures:
        return replace(
            night,
            strata=np.array([names[name] for name in night.strata]),
            visits={names[name]: count for name, count in night.visits.items()},
        )

    tonight, quiet = draw_nights(4, d=2.0)
    same(check_drift(tonight, quiet), check_drift(rename(tonight), [rename(night) for night in quiet]), names)


def test_units_do_not_matter() -> None:
    def in_other_units(night: NightFeatures) -> NightFeatures:
        return replace(night, values={name: 1000 + 3600 * values for name, values in night.values.items()})

    tonight, quiet = draw_nights(5, a=1.0)
    same(check_drift(tonight, quiet), check_drift(in_other_units(tonight), [in_other_units(night) for night in quiet]))


def test_a_small_effect_is_no_drift_however_sure() -> None:
    rng = np.random.default_rng(6)

    def steady(shift: float) -> NightFeatures:
        return NightFeatures("n", np.repeat(DETECTORS, 4000), {"x": rng.normal(shift, 1, 4 * 4000)})

    tonight, quiet = steady(0.15), [steady(0.0) for _ in range(NIGHTS)]
    found = find(check_drift(tonight, quiet), ALL, "x")
    assert found.p_value < 1e-4
    assert not found.drifted
    assert find(check_drift(tonight, quiet, DriftSettings(least_effect=0.1)), ALL, "x").drifted


def test_too_few_quiet_nights_never_alarm() -> None:
    tonight, quiet = draw_nights(7, a=30.0)
    check = check_drift(tonight, quiet[:7])
    assert (check.verdict, check.findings, check.quiet_nights) == ("not_enough_quiet_nights", (), 7)
    assert check.to_summary()["drifted"] == []
    assert check_drift(tonight, quiet[:8]).verdict == "drifted"


def test_a_new_detector_a_missing_feature_and_too_few_rows_are_named_and_no_drift() -> None:
    tonight, quiet = draw_nights(8)
    new = replace(
        tonight,
        strata=np.concatenate([tonight.strata, ["new"] * 9, ["late"] * 9]),
        values={name: np.concatenate([values, np.full(18, 9.0)]) for name, values in tonight.values.items()},
        weights=np.ones(len(tonight.strata) + 18),
        visits={**tonight.visits, "new": 3, "late": 3},
    )
    few = new.values["snr"].copy()
    few[np.flatnonzero(new.strata == "a")[2:]] = np.nan
    new = replace(new, values={"fwhm": new.values["fwhm"], "snr": few, "colour": np.zeros(len(few))})
    late = NightFeatures("q", np.array(["late"] * 5), {"fwhm": np.arange(5.0)}, visits={"late": 1})
    check = check_drift(new, [*quiet, late])
    states = {(found.stratum, found.feature): found.state for found in check.findings}
    assert {feature: states["new", feature] for feature in (*FEATURES, RATE)} == dict.fromkeys(
        (*FEATURES, RATE), "unknown"
    )
    assert (states["late", "fwhm"], states["late", RATE]) == ("few_nights", "few_nights")
    assert states["a", "snr"] == "few_rows"
    assert {states[name, "colour"] for name in (ALL, *DETECTORS)} == {"unknown"}
    assert check.verdict == "quiet"
    assert check.to_summary()["unknown"] == ["a", "b", "c", "d", "late", "new"]
    gone = check_drift(replace(tonight, values={"fwhm": tonight.values["fwhm"]}), quiet)
    assert {found.state for found in gone.findings if found.feature == "snr"} == {"few_rows"}


def test_a_constant_feature_is_neither_drift_nor_an_error() -> None:
    tonight, quiet = draw_nights(9)

    def with_constant(night: NightFeatures, value: float) -> NightFeatures:
        return replace(night, values={**night.values, "gain": np.full(len(night.strata), value)})

    same_gain = check_drift(with_constant(tonight, 2.0), [with_constant(night, 2.0) for night in quiet])
    other_gain = check_drift(with_constant(tonight, 3.0), [with_constant(night, 2.0) for night in quiet])
    for check in (same_gain, other_gain):
        assert {found.state for found in check.findings if found.feature == "gain"} == {"constant"}
        assert not any(found.drifted for found in check.findings if found.feature == "gain")
    assert (find(other_gain, "a", "gain").tonight, find(other_gain, "a", "gain").quiet) == (3.0, 2.0)


def test_a_night_without_samples_is_judged_by_its_rate() -> None:
    _, quiet = draw_nights(10)
    empty = NightFeatures("e", np.empty(0, str), {}, visits=dict.fromkeys(DETECTORS, VISITS))
    check = check_drift(empty, quiet)
    assert {found.feature for found in check.drifted} == {RATE}
    nothing = check_drift(NightFeatures("e", np.empty(0, str), {}), quiet)
    assert nothing.verdict == "quiet"


def test_many_more_samples_of_one_detector_are_found_as_its_rate() -> None:
    tonight, quiet = draw_nights(11)
    more = np.concatenate([np.arange(len(tonight.strata)), *[np.flatnonzero(tonight.strata == "d")] * 4])
    flooded = replace(
        tonight,
        strata=tonight.strata[more],
        values={name: values[more] for name, values in tonight.values.items()},
        weights=tonight.weights[more],
    )
    found = find(check_drift(flooded, quiet), "d", RATE)
    assert found.drifted
    before = find(check_drift(tonight, quiet), "d", RATE)
    assert found.tonight == pytest.approx(5 * before.tonight)
    assert abs(found.effect - np.log(5)) < before.effect + 0.1


def draw_mixed(rng: np.random.Generator, share: float) -> NightFeatures:
    """Draw a night of bogus and of a share of reals, of which those called bogus are compared as a champion would."""
    threshold = 0.0
    bogus = rng.poisson(160)
    real = rng.poisson(160 * share / (1 - share))
    score = np.concatenate([rng.normal(-1.3, 1, bogus), rng.normal(1.3, 1, real)])  # TPR 0.9 at the threshold
    logit = 2.6 * score
    feature = np.concatenate([rng.normal(rng.normal(0, 0.1), 1, bogus), rng.normal(2, 1, real)])
    strata = rng.choice(DETECTORS, len(score))
    probability = expit(logit)
    weights = 1 - move_share(probability, 0.5, estimate_share(probability, 0.5))
    kept = logit < threshold
    return NightFeatures(
        "m",
        strata[kept],
        {"feature": feature[kept], "logit": logit[kept]},
        weights[kept],
        dict.fromkeys(DETECTORS, VISITS),
    )


def test_three_times_as_many_reals_alone_are_no_drift() -> None:
    """Reals differ from bogus by two scatters in the feature: of all detections the mean would move by half a one."""
    alarms = 0
    for seed in range(25):
        rng = np.random.default_rng([12, seed])
        quiet = [draw_mixed(rng, 0.15) for _ in range(NIGHTS)]
        alarms += check_drift(draw_mixed(rng, 0.45), quiet).verdict == "drifted"
    assert alarms <= 4, "more than 4 of 25 at 5 % each have a probability of 1 %"


def test_findings_come_as_a_table_and_as_a_summary() -> None:
    check = check_drift(*draw_nights(0, c=3.0))
    table = check.to_table()
    assert table.num_rows == len(check.findings) == (len(DETECTORS) + 1) * (len(FEATURES) + 1)
    assert table["stratum"][0].as_py() == ALL
    summary: dict[str, Any] = check.to_summary()
    assert (summary["verdict"], summary["compared"], summary["not_compared"]) == ("drifted", table.num_rows, {})
    assert {(found["stratum"], found["feature"]) for found in summary["drifted"]} == {("c", name) for name in FEATURES}


def test_features_survive_a_file(tmp_path: Path) -> None:
    night, _ = draw_nights(13)
    night.values["fwhm"][3] = np.nan
    write_features(tmp_path / "n.parquet", night)
    again = read_features(tmp_path / "n.parquet")
    assert (again.night, dict(again.visits)) == (night.night, dict(night.visits))
    for name in FEATURES:
        np.testing.assert_array_equal(again.values[name], night.values[name])
    np.testing.assert_array_equal(again.strata, night.strata)
    np.testing.assert_array_equal(again.weights, night.weights)


def test_features_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="night x: fwhm has 2 values for 3 samples"):
        NightFeatures("x", np.array(["a"] * 3), {"fwhm": np.zeros(2)})
