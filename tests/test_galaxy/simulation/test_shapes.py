"""Properties of simulated galaxies against their class, and independence of the class where it is promised."""

import numpy as np
import pytest

from galaxy.simulation.shapes import CLASS_SHARES, DISC, EDGE_ON, SERSIC_INDICES, SMOOTH, STAR, draw_shapes

COUNT = 20_000


@pytest.fixture(scope="module")
def shapes() -> dict[str, np.ndarray]:
    return draw_shapes(np.arange(COUNT), np.random.default_rng(0))


def test_classes_have_their_shares_and_kinds(shapes) -> None:
    assert sum(CLASS_SHARES.values()) == pytest.approx(1)
    for name, share in CLASS_SHARES.items():
        of_class = shapes["truth"] == name
        assert of_class.mean() == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / COUNT))
        kind = {"edge_on": EDGE_ON, "artifact": STAR}.get(name, SMOOTH if name.startswith("E") else DISC)
        assert set(shapes["kind"][of_class]) == {kind}


def test_axis_ratio_and_bulge_follow_the_class_and_overlap(shapes) -> None:
    ratio = {name: shapes["axis_ratio"][shapes["truth"] == name] for name in ("E0", "E3", "E7", "edge_on")}
    means = {name: values.mean() for name, values in ratio.items()}
    assert means == pytest.approx({"E0": 0.91, "E3": 0.69, "E7": 0.39, "edge_on": 0.17}, abs=0.02)
    assert ratio["E3"].max() > ratio["E0"].min()
    bulge = [shapes["prominence"][shapes["truth"] == f"S{letter}"].mean() for letter in "abcd"]
    assert bulge == pytest.approx([0.88, 0.63, 0.37, 0.10], abs=0.02)
    assert shapes["axis_ratio"].min() >= 0.1
    assert shapes["axis_ratio"].max() <= 1


def test_values_are_within_their_limits(shapes) -> None:
    for name, low, high in (
        ("r90_arcsec", 4, 60),
        ("redshift", 0.004, 0.24),
        ("psf_fwhm_arcsec", 0.9, 1.9),
        ("prominence", 0, 1),
        ("bulge_fraction", 0, 1),
        ("position_angle_deg", 0, 180),
        ("arm_contrast", 0, 1),
        ("extinction_r", 0, 0.6),
    ):
        assert low <= shapes[name].min() <= shapes[name].max() <= high, name
    assert set(shapes["sersic_n"]) <= set(SERSIC_INDICES)
    assert (shapes["r50_arcsec"] < shapes["r90_arcsec"]).all()


def test_smooth_galaxies_and_stars_have_no_structure(shapes) -> None:
    smooth = np.isin(shapes["kind"], (SMOOTH, STAR))
    for name in ("arm_contrast", "flocculence", "clumps", "bar_strength", "dust", "ring"):
        assert not shapes[name][smooth].any(), name
    assert (shapes["odd"][shapes["kind"] == STAR] == "none").all()
    assert (shapes["bulge_fraction"][shapes["kind"] == STAR] == 1).all()


def test_bars_are_strong_where_the_class_has_one(shapes) -> None:
    barred = np.char.startswith(shapes["truth"], "SB")
    assert shapes["bar_strength"][barred].min() >= 0.2
    assert shapes["bar_strength"][~barred].max() <= 0.25


def test_brightness_does_not_depend_on_the_class(shapes) -> None:
    for name in ("r_mag", "redshift", "psf_fwhm_arcsec"):
        values = [shapes[name][shapes["kind"] == kind].mean() for kind in (SMOOTH, DISC)]
        assert values[0] == pytest.approx(values[1], rel=0.03), name


def test_companions_in_the_same_group_share_the_redshift_in_six_of_ten() -> None:
    host = np.repeat(np.arange(0, COUNT, 2), 2)
    redshift = draw_shapes(host, np.random.default_rng(1))["redshift"]
    near = np.abs(redshift[1::2] / redshift[::2] - 1) < 0.03
    assert near.mean() == pytest.approx(0.6, abs=0.05)


def test_the_same_seed_draws_the_same_galaxies(shapes) -> None:
    again = draw_shapes(np.arange(COUNT), np.random.default_rng(0))
    assert all(np.array_equal(again[name], values) for name, values in shapes.items())
