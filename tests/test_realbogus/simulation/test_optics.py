"""Optics and point spread functions: interpolation between nodes, transforms, and growth off axis."""

import galsim
import numpy as np
import pytest
from scipy import fft

from realbogus.simulation.optics import TABLE_PX, Optics, PsfField, draw_optics

PLAIN = Optics(1.2, (0, 0), (0, 0), (0, 0), (0, 0), (0, 0))
SHAPE = (101, 201)


def field(optics=PLAIN, seeing=3.4, focus=0.0):
    return PsfField(optics, seeing, focus, (0.0, 0.0), 1.189, SHAPE)


@pytest.mark.parametrize(
    ("x", "y", "node"), [(0, 0, 0), (100, 0, 1), (200, 0, 2), (0, 50, 3), (100, 50, 4), (200, 100, 8)]
)
def test_at_a_node_its_weight_is_one(x, y, node):
    weights = field().weigh_nodes(np.array([x]), np.array([y]))
    assert weights.dtype == np.float32
    assert weights[0].tolist() == [float(number == node) for number in range(9)]


def test_weights_reproduce_biquadratic_functions():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 200, 50), rng.uniform(0, 100, 50)

    def function(s, t):
        return 1 + 2 * s - 3 * t + s * t + 4 * s**2 - 5 * t**2 * s

    nodes = np.array([function(s, t) for t in (-1, 0, 1) for s in (-1, 0, 1)])
    weights = field().weigh_nodes(x, y)
    np.testing.assert_allclose(weights @ nodes, function(x / 100 - 1, y / 50 - 1), atol=1e-4)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_beyond_the_chip_the_weights_are_those_of_its_edge():
    beyond = field().weigh_nodes(np.array([-30.0, 260.0]), np.array([50.0, 140.0]))
    np.testing.assert_array_equal(beyond, field().weigh_nodes(np.array([0.0, 200.0]), np.array([50.0, 100.0])))


@pytest.mark.parametrize("seeing", [1.6, 3.4])
def test_the_table_is_the_transform_of_the_pixelised_profile(seeing):
    """In sharp seeing aliases are needed: the drawn image is sampled once per pixel."""
    psf = field(seeing=seeing)
    expected = galsim.ImageF(galsim.BoundsI(0, TABLE_PX - 1, 0, TABLE_PX - 1), scale=1.0)
    profile = galsim.Convolve(psf.profiles[4], galsim.Pixel(1.0))
    profile.drawImage(expected, method="no_pixel", center=galsim.PositionD(TABLE_PX // 2, TABLE_PX // 2))
    total = sum(table[4] for _, table in psf.tables)
    image = np.roll(fft.irfft2(total, s=(TABLE_PX, TABLE_PX)), (TABLE_PX // 2, TABLE_PX // 2), (0, 1))
    middle = slice(TABLE_PX // 2 - 10, TABLE_PX // 2 + 11)
    np.testing.assert_allclose(image[middle, middle], expected.array[middle, middle], atol=2e-4 * image.max())
    assert image.sum() == pytest.approx(1, abs=2e-3)


def test_aliases_are_included_in_sharp_seeing_only():
    assert [alias for alias, _ in field(seeing=6.0).tables] == [(0, 0)]
    assert [alias for alias, _ in field(PLAIN, seeing=1.2).tables] == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_wings_fall_with_the_distance():
    wings = field().measure_wings((1, 4, 16))
    assert wings[0] > wings[1] > wings[2] > 0
    peak = field().measure_wings((0,))[0]
    assert peak > wings[0]


def test_defocus_adds_in_quadrature_with_the_tilt_along_the_chip():
    optics = Optics(3.0, (4.0, 0.0), (0, 0), (0, 0), (0, 0), (0, 0))
    widths = [optics.profile(s, 0, 0.0).drawImage(scale=0.1).calculateFWHM() for s in (0, 1)]
    assert widths[0] == pytest.approx(3.0, rel=0.02)
    assert widths[1] == pytest.approx(5.0, rel=0.02)


def test_coma_leaves_the_centroid_at_the_position():
    optics = Optics(1.5, (0, 0), (0, 0), (0, 0), (0, 0), (1.0, -0.6))
    profile = optics.profile(0.3, -0.2, 0.0)
    assert profile.centroid.x == pytest.approx(0, abs=1e-9)
    assert profile.centroid.y == pytest.approx(0, abs=1e-9)
    assert profile.flux == pytest.approx(1)


def test_aberrations_grow_off_axis_along_the_radius():
    """Without diversity: blur 1.1 + 0.8 q, coma 1.4 q and astigmatism 0.12 q with q = (radius / 4.5)^2."""
    rng = np.random.default_rng(0)
    near, east, north = (draw_optics(rng, place, 0.0) for place in ((0.0, 0.0), (4.5, 0.0), (0.0, 4.5)))
    assert near.blur_arcsec == pytest.approx(1.1)
    assert east.blur_arcsec == north.blur_arcsec == pytest.approx(1.9)
    assert near.coma_arcsec == pytest.approx((0, 0))
    assert east.coma_arcsec == pytest.approx((-1.4, 0), abs=1e-9)
    assert north.coma_arcsec == pytest.approx((0, 1.4), abs=1e-9)
    assert east.shear == pytest.approx((0.12, 0), abs=1e-9)
    assert north.shear == pytest.approx((-0.12, 0), abs=1e-9)
    assert east.tilt_arcsec == (0.35, 0.2)
    assert east.shear_slope_s == east.shear_slope_t == (0.02, 0.02)


def test_diversity_scales_the_random_part():
    middle = draw_optics(np.random.default_rng(1), (1.0, 2.0), 0.0)
    once, twice = (draw_optics(np.random.default_rng(1), (1.0, 2.0), scale) for scale in (1.0, 2.0))
    for name in ("tilt_arcsec", "shear", "shear_slope_s", "shear_slope_t", "coma_arcsec"):
        base, one, two = (np.array(getattr(optics, name)) for optics in (middle, once, twice))
        assert (one != base).all()
        np.testing.assert_allclose(two - base, 2 * (one - base))
    assert np.log(twice.blur_arcsec / middle.blur_arcsec) == pytest.approx(
        2 * np.log(once.blur_arcsec / middle.blur_arcsec)
    )
