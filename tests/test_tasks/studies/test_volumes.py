"""Learning curves: which volumes they have, and the exponent of a rate that is a power of the volume."""

import numpy as np
import pytest

from tasks.learning.intervals import Interval
from tasks.reports.page import Figure, Table
from tasks.reports.power_law_figure import fit_power_law
from tasks.studies.report import LEAST_RATE, StudyScores
from tasks.studies.volumes import Volume, fit_exponents, volume_blocks, volume_curves, volume_rows


def test_either_number_varies_beside_all_of_the_other_and_both_together() -> None:
    curves = volume_curves([400, 100], [300, 900])
    assert curves == {
        "reals": {100: Volume(100, 900), 400: Volume(400, 900)},
        "bogus": {300: Volume(400, 300), 900: Volume(400, 900)},
        "both": {400: Volume(100, 300), 1300: Volume(400, 900)},
    }
    names, rows = volume_rows(curves, "simple", [0, 1])
    assert names == ["100 reals, 300 bogus", "400 reals, 300 bogus", "100 reals, 900 bogus", "400 reals, 900 bogus"]
    assert [(row.name, row.seed) for row in rows] == [(name, seed) for seed in (0, 1) for name in names]
    assert all(row.name == f"{row.train_reals} reals, {row.train_bogus} bogus" for row in rows)


@pytest.mark.parametrize(
    ("reals", "bogus", "message"),
    [
        ([1, 2], [1, 2, 3], "as many numbers of each, all different"),
        ([1, 1, 2], [1, 2, 3], "as many numbers of each, all different"),
        ([1], [2], "a curve has at least two points"),
    ],
)
def test_lists_that_make_no_curve_are_refused(reals: list[int], bogus: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        volume_curves(reals, bogus)


@pytest.mark.parametrize(("exponent", "scale"), [(0.5, 3.0), (0.0, 0.02), (1.2, 40.0)])
def test_an_exact_power_law_comes_back(exponent: float, scale: float) -> None:
    sizes = [100, 250, 1000, 7000]
    rates = [scale * size**-exponent for size in sizes]
    assert fit_power_law(sizes, rates) == pytest.approx((exponent, scale), abs=1e-9)


def scores_of(passed: dict[str, int], bogus: int = 4000, seeds: int = 2) -> StudyScores:
    """Scores of 1,000 reals and the bogus, of which by name so many pass the threshold of a TPR of 0.9."""
    rng = np.random.default_rng(0)
    order = rng.permutation(1000 + bogus)
    reals = np.repeat([1.0, 3.0], [100, 900])
    logits = {
        name: np.tile(np.concatenate([reals, np.repeat([4.0, 0.0], [count, bogus - count])])[order], (seeds, 1))
        for name, count in passed.items()
    }
    real = (np.arange(1000 + bogus) < 1000)[order]
    origins = np.where(real, "transient", "noise")
    return StudyScores(logits, real, [f"cell {row % 40}" for row in range(len(real))], origins)


def test_the_exponents_are_those_of_the_rates_at_tpr_90() -> None:
    """Four times the reals halve the rate, four times the bogus let it fall to a quarter."""
    curves = volume_curves([100, 400], [100, 400])
    passed = {
        "100 reals, 100 bogus": 800,
        "400 reals, 100 bogus": 400,
        "100 reals, 400 bogus": 200,
        "400 reals, 400 bogus": 100,
    }
    scores = scores_of(passed)
    fitted = fit_exponents(scores, curves)
    assert {name: of["exponent"] for name, of in fitted.items()} == pytest.approx(
        {"reals": 0.5, "bogus": 1.0, "both": 1.5}, abs=1e-3
    )
    for name, points in curves.items():
        of = fitted[name]
        assert of["exponent_low"] <= of["exponent"] <= of["exponent_high"]
        for number, volume in points.items():
            assert of["scale"] * number ** -of["exponent"] == pytest.approx(
                passed[volume.name] / 4000 + LEAST_RATE, rel=1e-6
            )
    rows = np.arange(len(scores.real))
    compared = {name: Interval(scores.rate(name, rows), 0.001, 0.5).to_summary("fpr_at_tpr90") for name in passed}
    blocks = volume_blocks(curves, compared, fitted, "simulated pixels, truth labels")
    [table] = [block for block in blocks if isinstance(block, Table)]
    assert [line[:3] for line in table.rows] == [
        ["reals", "100 to 400", "0.50"],
        ["bogus", "100 to 400", "1.00"],
        ["both", "200 to 800", "1.50"],
    ]
    [figure] = [block for block in blocks if isinstance(block, Figure)]
    assert figure.pixels.startswith(b"\x89PNG")
