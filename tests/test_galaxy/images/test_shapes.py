"""Shapes: ellipses measure what geometry says of them, wherever and however they lie in the frame."""

import numpy as np
import pytest
from photutils.segmentation import SegmentationImage, SourceCatalog
from scipy.special import ellipe

from galaxy.images.shapes import (
    AT_EDGE,
    BLEND,
    LEAST_SMOOTHING_PX,
    NO_LIGHT,
    SMALL,
    SMOOTHING_OF_SIDE,
    measure_shapes,
    outline_shape,
)

HUBBLE = {"E0": (1.0, 1.000, 1.00), "E3": (0.7, 0.954, 1.43), "E7": (0.3, 0.616, 3.33)}  # axis ratio, measures
SKY, PEAK = 20, 150


def circularity_of(axis_ratio):
    """Of an ellipse, whose perimeter is 4 a E(1 - (b/a)^2)."""
    return 4 * np.pi**2 * axis_ratio / (4 * ellipe(1 - axis_ratio**2)) ** 2


def turned(size, angle_deg, at, over=1):
    """Coordinates along and across an axis through a point of the frame, `over` samples a pixel each way."""
    grid = (np.arange(size * over) + 0.5) / over - size / 2
    x, y = grid[None, :] - at[0], grid[:, None] - at[1]
    turn = np.radians(angle_deg)
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def image_of(light):
    """The image of light between 0 and 1."""
    return np.repeat(np.rint(SKY + PEAK * light).clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def ellipse(axis_ratio, angle_deg=0.0, at=(0.0, 0.0), size=128, half_axis=40.0, over=8):
    """A uniform ellipse; a pixel on its rim has the covered share."""
    along, across = turned(size, angle_deg, at, over)
    inside = (along / half_axis) ** 2 + (across / (half_axis * axis_ratio)) ** 2 <= 1
    return image_of(inside.reshape(size, over, size, over).mean(axis=(1, 3)))


def gaussian(axis_ratio, angle_deg=0.0, at=(0.0, 0.0), size=128, width=14.0):
    along, across = turned(size, angle_deg, at)
    return np.exp(-0.5 * ((along / width) ** 2 + (across / (width * axis_ratio)) ** 2))


@pytest.mark.parametrize("name", HUBBLE)
@pytest.mark.parametrize("direction", [1, -1])
def test_an_outline_of_many_corners_has_the_ellipse_s_measures(name, direction):
    axis_ratio, circularity, aspect_ratio = HUBBLE[name]
    angle = np.linspace(0, direction * 2 * np.pi, 4001)
    x, y = np.cos(angle), axis_ratio * np.sin(angle)
    points = np.stack([0.8 * x - 0.6 * y + 70, 0.6 * x + 0.8 * y - 9], axis=1)
    assert circularity_of(axis_ratio) == pytest.approx(circularity, abs=5e-4)
    assert outline_shape(points) == pytest.approx((circularity_of(axis_ratio), 1 / axis_ratio), rel=1e-5)
    assert outline_shape(points)[1] == pytest.approx(aspect_ratio, abs=5e-3)


def test_an_outline_of_four_corners_has_the_rectangle_s_measures():
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0], [0.0, 1.0]])
    assert outline_shape(corners) == pytest.approx((4 * np.pi * 3 / 8**2, 3.0))


@pytest.mark.parametrize("name", HUBBLE)
@pytest.mark.parametrize(("angle_deg", "at"), [(0, (0, 0)), (45, (0.5, 0.25)), (100, (-3.3, 2.1))])
def test_uniform_ellipses_measure_what_they_are(name, angle_deg, at):
    axis_ratio, circularity, aspect_ratio = HUBBLE[name]
    found = measure_shapes(ellipse(axis_ratio, angle_deg, at)[None])
    assert found.reason.tolist() == [""]
    # Smoothing rounds the tips of an E7 by a few per cent, and rounder ones by less.
    assert found.circularity[0] == pytest.approx(circularity, rel=0.03)
    assert found.aspect_ratio[0] == pytest.approx(aspect_ratio, rel=0.04)
    if name != "E7":
        assert found.circularity[0] == pytest.approx(circularity, abs=3e-3)
        assert found.aspect_ratio[0] == pytest.approx(aspect_ratio, rel=0.01)


@pytest.mark.parametrize("axis_ratio", [0.3, 0.5, 0.8, 1.0])
def test_a_gaussian_galaxy_is_as_round_as_the_smoothing_makes_it(axis_ratio):
    size, width = 160, 16.0
    smoothing = max(LEAST_SMOOTHING_PX, SMOOTHING_OF_SIDE * size)
    expected = np.hypot(width, smoothing) / np.hypot(width * axis_ratio, smoothing)
    found = measure_shapes(image_of(gaussian(axis_ratio, 30, (1.2, -0.6), size, width))[None])
    assert found.aspect_ratio[0] == pytest.approx(expected, rel=0.01)
    assert found.circularity[0] == pytest.approx(circularity_of(1 / expected), rel=0.005)


@pytest.mark.parametrize("radius", [5, 10, 20, 40])
def test_a_disc_has_no_bias_of_pixel_steps_where_walking_along_pixels_has(radius):
    disc = ellipse(1.0, half_axis=radius, at=(0.3, -0.2))
    assert measure_shapes(disc[None]).circularity[0] == pytest.approx(1, abs=0.01)
    if radius >= 20:
        mask = disc[..., 0] > SKY + PEAK / 2
        walked = SourceCatalog(mask.astype(float), SegmentationImage(mask.astype(int)))[0]
        assert 0.90 < 4 * np.pi * mask.sum() / walked.perimeter.value**2 < 0.95


def test_noise_of_the_sky_leaves_the_shape():
    rng = np.random.default_rng(0)
    light = gaussian(0.4, 70)
    noisy = np.array([image_of(light + rng.normal(0, 0.02, light.shape)) for _ in range(20)])
    clean, found = measure_shapes(image_of(light)[None]), measure_shapes(noisy)
    assert (found.reason == "").all()
    np.testing.assert_allclose(found.aspect_ratio, clean.aspect_ratio[0], rtol=0.06)
    np.testing.assert_allclose(found.circularity, clean.circularity[0], rtol=0.05)


def test_a_brighter_and_larger_neighbour_and_a_hole_change_nothing():
    alone = gaussian(0.5, 20, width=6)
    neighbour = 0.95 * gaussian(1.0, at=(38, 38), width=9)
    star = gaussian(1.0, at=(12, -10), width=1.5)
    holed = ellipse(0.7)
    holed[60:68, 76:84] = SKY
    found = measure_shapes(
        np.array([image_of(0.4 * alone + more) for more in (0, neighbour, star)] + [holed, ellipse(0.7)])
    )
    assert (found.reason == "").all()
    np.testing.assert_allclose(found.aspect_ratio[1:3], found.aspect_ratio[0], rtol=0.02)
    assert found.aspect_ratio[3] == pytest.approx(found.aspect_ratio[4], rel=1e-9)


def test_what_cannot_be_measured_has_a_reason_and_costs_one_row():
    blank = np.full((128, 128, 3), 37, np.uint8)
    beside = image_of(gaussian(1.0, at=(50, 0), width=4))
    across = ellipse(0.3, half_axis=90)
    speck = blank.copy()
    speck[63:65, 63:65] = 200
    blend = image_of(0.2 * gaussian(1.0, width=8) + gaussian(1.0, at=(16, 0), width=8))
    found = measure_shapes(np.array([blank, beside, across, speck, blend, ellipse(0.7)]))
    assert found.reason.tolist() == [NO_LIGHT, NO_LIGHT, AT_EDGE, SMALL, BLEND, ""]
    assert np.isnan(found.circularity).tolist() == [True, True, True, True, True, False]
    assert np.isnan(found.aspect_ratio).tolist() == np.isnan(found.circularity).tolist()


def test_no_images_have_no_shapes():
    assert len(measure_shapes(np.empty((0, 32, 32, 3), np.uint8)).reason) == 0
