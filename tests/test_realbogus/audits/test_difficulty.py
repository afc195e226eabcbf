"""A survey's difficulty and its ledger's give-aways, on tables whose shares and overlaps are drawn to known values."""

import numpy as np
import pyarrow as pa
import pytest

from realbogus.audits.difficulty import (
    DIFFERENCE_SCALARS,
    SCALARS,
    check_brightness,
    check_difficulty,
    check_metadata,
    check_origins,
    check_second_injections,
    check_separability,
)

ROWS, BATCHES = 400, 40
ORIGINS = ("star", "detector", "galaxy", "noise", "particle")


def draw_candidates(seed=0, *, apart=0.7, shares=(0.6, 0.2, 0.1, 0.05, 0.05), near=0.15, chip_of_reals=False):
    """Return candidates, half of them real, whose scalars differ by `apart` standard deviations."""
    rng = np.random.default_rng(seed)
    real = rng.random(ROWS) < 0.5
    batch = rng.integers(0, BATCHES, ROWS)
    columns = {name: rng.normal(0, 1, ROWS) for name in SCALARS}
    columns["fwhm_px"] += apart * real
    columns["axis_ratio"] += apart * real
    columns["snr"] = 5 + rng.exponential(5, ROWS)
    columns["galaxy_separation_re"] = np.where(rng.random(ROWS) < near, 1.0, 8.0)
    origin = np.where(real, "injection", rng.choice(ORIGINS, ROWS, p=shares))
    x, y = rng.uniform(0, 2000, (2, ROWS))
    return pa.table(
        {
            **columns,
            "x_px": x,
            "y_px": y,
            "injected_x_px": np.where(real, x, np.nan),
            "injected_y_px": np.where(real, y, np.nan),
            "label": np.where(real, "real", "bogus"),
            "truth": np.where(real, "real", "bogus"),
            "origin": origin,
            "reason": pa.nulls(ROWS, pa.string()),
            "group": [f"cell{number}" for number in batch],
            "batch": [f"visit{number}" for number in batch],
            "detector": [
                f"chip{number % 8 if not chip_of_reals else int(r)}" for number, r in zip(batch, real, strict=True)
            ],
            "night": [f"{number // 10:05d}" for number in batch],
            "visit": (batch % 10).astype(np.int32),
            "seeing_fwhm_arcsec": 3 + 0.01 * batch,
            "finite_fraction": np.ones(ROWS),
        }
    )


def by_name(checks):
    return {check.name: check for check in checks}


@pytest.fixture(scope="module")
def hard():
    return by_name(check_difficulty(draw_candidates(), 29, 0))


def test_a_hard_survey_passes(hard):
    assert [name for name, check in hard.items() if not check.passed] == []
    assert hard["origins"].figure == len(ORIGINS)
    assert hard["brightness"].figure == pytest.approx(0.5, abs=0.1)


def test_shares_are_those_drawn_with_their_intervals(hard):
    for name, share in (("pure noise", 0.05), ("near galaxies", 0.15)):
        assert hard[name].figure == pytest.approx(share, abs=0.03)
        assert hard[name].low < hard[name].figure < hard[name].high


def test_artefacts_that_do_not_overlap_with_reals_fail():
    checks = by_name(check_separability(draw_candidates(1, apart=8), 0))
    assert checks["tidy artefacts"].passed is False
    assert checks["catalogue"].passed is False


@pytest.mark.parametrize(
    ("easy", "check"),
    [
        ({"shares": (0.97, 0.015, 0.005, 0.005, 0.005)}, "origins"),
        ({"shares": (0.5, 0.1, 0.1, 0.25, 0.05)}, "pure noise"),
        ({"near": 0.01}, "near galaxies"),
    ],
)
def test_bogus_of_one_making_fail(easy, check):
    assert by_name(check_origins(draw_candidates(1, **easy)))[check].passed is False


def test_a_detector_with_injections_alone_gives_them_away():
    assert check_metadata(draw_candidates(1, chip_of_reals=True), 0).passed is False


def test_brightness_is_evaluated_with_the_better_sign():
    table = draw_candidates(2)
    real = np.array(table["label"].to_pylist()) == "real"
    for sign in (1, -1):
        snr = pa.array(20 + 3.0 * sign * real + np.random.default_rng(0).normal(0, 1, ROWS))
        brighter = table.set_column(table.schema.get_field_index("snr"), "snr", snr)
        check = check_brightness(brighter, 0)
        assert check.figure > 0.95
        assert check.low <= check.figure <= check.high
        assert check.passed is False


def test_second_injections_are_counted_by_stamp():
    """An injection that was not recovered is 10 px from every fourth bogus: that share of bogus stamps contains one."""
    table = draw_candidates(3)
    bogus = [row for row in range(ROWS) if table["label"][row].as_py() == "bogus"][::4]
    unrecovered = table.take(pa.array(bogus))
    for name, source in (("injected_x_px", "x_px"), ("injected_y_px", "y_px")):
        shifted = pa.array(unrecovered[source].to_numpy() + 10.0)
        unrecovered = unrecovered.set_column(unrecovered.schema.get_field_index(name), name, shifted)
    unrecovered = unrecovered.set_column(
        unrecovered.schema.get_field_index("reason"), "reason", pa.array(["not_detected"] * len(bogus))
    )
    checks = by_name(check_second_injections(pa.concat_tables([table.cast(unrecovered.schema), unrecovered]), 29))
    share = len(bogus) / sum(label == "bogus" for label in table["label"].to_pylist())
    assert checks["second injection, bogus"].figure == pytest.approx(share, abs=0.01)
    assert checks["second injection, bogus"].passed is False
    assert checks["second injection, real"].figure < 0.02


def test_injections_of_another_round_are_in_no_stamp():
    """Every real has another one 10 px away; in one frame all their stamps are crowded, in two rounds none is."""
    table = draw_candidates(3)
    reals = table.filter(pa.array([label == "real" for label in table["label"].to_pylist()]))
    moved = reals
    for name in ("x_px", "y_px", "injected_x_px", "injected_y_px"):
        moved = moved.set_column(moved.schema.get_field_index(name), name, pa.array(reals[name].to_numpy() + 10.0))
    both = pa.concat_tables([reals, moved])
    for rounds, crowded in (([1, 1], 1.0), ([1, 2], 0.0)):
        numbers = pa.array(np.repeat(rounds, len(reals)))
        checks = by_name(check_second_injections(both.append_column("injection_round", numbers), 29))
        assert checks["second injection, real"].figure == pytest.approx(crowded, abs=0.02)


def test_the_hidden_truth_precedes_the_label():
    """True reals with the label bogus count as real; the origins are those of true bogus."""
    table = draw_candidates(4)
    labels = table["label"].to_pylist()
    swapped = [i for i, label in enumerate(labels) if label == "real"][::10]
    for i in swapped:
        labels[i] = "bogus"
    table = table.set_column(table.schema.get_field_index("label"), "label", pa.array(labels))
    checks = by_name(check_origins(table))
    assert checks["origins"].count == sum(truth == "bogus" for truth in table["truth"].to_pylist())
    assert "injection" not in checks["origins"].remark
    truly = pa.array([10.0 if truth == "real" else 5.0 for truth in table["truth"].to_pylist()])
    separated = table.set_column(table.schema.get_field_index("snr"), "snr", truly)
    assert check_brightness(separated, 0).figure == 1


def test_a_dataset_without_truth_has_the_checks_that_need_none():
    table = draw_candidates(5)
    for name in ("truth", "origin"):
        table = table.set_column(table.schema.get_field_index(name), name, pa.nulls(ROWS, pa.string()))
    assert check_origins(table) == []
    assert len(check_second_injections(table, 29)) == 2


def test_too_few_cells_are_named():
    table = draw_candidates(6)
    few = table.set_column(table.schema.get_field_index("group"), "group", pa.array(["a", "b"] * (ROWS // 2)))
    with pytest.raises(ValueError, match="2 sky cells"):
        check_metadata(few, 0)


def test_three_numbers_are_among_the_ten():
    assert len(SCALARS) == 10
    assert set(DIFFERENCE_SCALARS) <= set(SCALARS)
