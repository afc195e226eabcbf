"""Baselines: scalars of drawn galaxies are what was drawn, and forests keep the classes' order."""

import numpy as np
import pytest

from galaxy.models import baselines
from galaxy.models.baselines import IMAGE_SCALARS, forest, image_scalars, majority, without_color


def drawn(size=128, axis_ratio=1.0, angle_deg=0.0, color=(1.0, 1.0, 1.0), sigma=10.0, noise=2.0, at=(0.0, 0.0), seed=0):
    """A Gaussian galaxy of known axis ratio and colour on a noisy sky, as a batch of one."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - (size - 1) / 2
    y, x = y - at[0], x - at[1]
    turn = np.radians(angle_deg)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    light = 150 * np.exp(-0.5 * ((along / sigma) ** 2 + (across / (sigma * axis_ratio)) ** 2))
    image = 20 + light[..., None] * np.array(color) + rng.normal(0, noise, (size, size, 3))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)[None]


def scalar(images, name):
    return image_scalars(images)[:, IMAGE_SCALARS.index(name)]


def test_every_scalar_has_a_name():
    assert image_scalars(drawn()).shape == (1, len(IMAGE_SCALARS))


@pytest.mark.parametrize("axis_ratio", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("angle_deg", [0, 35, 90])
def test_axis_ratio_is_the_drawn_one_at_any_angle(axis_ratio, angle_deg):
    assert scalar(drawn(axis_ratio=axis_ratio, angle_deg=angle_deg), "axis_ratio")[0] == pytest.approx(
        axis_ratio, abs=0.05
    )


def test_concentration_of_a_gaussian():
    # The radius that holds a share f of a round Gaussian is sigma sqrt(-2 ln(1 - f)).
    expected = 2.5 * np.log10(np.log(1 - 0.8) / np.log(1 - 0.2))
    assert scalar(drawn(sigma=14), "concentration")[0] == pytest.approx(expected, abs=0.1)


def test_ring_colors_are_the_drawn_ones():
    scalars = image_scalars(drawn(color=(1.0, 0.6, 0.4)))
    assert scalars[0, IMAGE_SCALARS.index("red_ring_0")] == pytest.approx(0.5, abs=0.02)
    assert scalars[0, IMAGE_SCALARS.index("blue_ring_0")] == pytest.approx(0.2, abs=0.02)
    gray = image_scalars(without_color(drawn(color=(1.0, 0.6, 0.4))))
    assert gray[0, IMAGE_SCALARS.index("red_ring_0")] == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_image_changes_no_scalar(turns):
    image = drawn(axis_ratio=0.5, angle_deg=20, color=(1.0, 0.7, 0.5))
    turned = np.rot90(image, turns, axes=(1, 2))
    np.testing.assert_allclose(image_scalars(turned), image_scalars(image), atol=2e-3)


def test_a_neighbour_is_not_part_of_the_galaxy():
    neighbour = drawn(sigma=4, at=(35, 40), noise=0, seed=1).astype(int) - 20
    both = np.clip(drawn(axis_ratio=0.5).astype(int) + neighbour, 0, 255).astype(np.uint8)
    assert scalar(both, "axis_ratio")[0] == pytest.approx(scalar(drawn(axis_ratio=0.5), "axis_ratio")[0], abs=0.01)


def test_empty_sky_has_no_shape():
    scalars = dict(zip(IMAGE_SCALARS, image_scalars(np.full((1, 64, 64, 3), 20, np.uint8))[0], strict=True))
    assert np.isnan(scalars["axis_ratio"])
    assert np.isnan(scalars["concentration"])
    assert scalars["area"] == 0


def test_each_image_is_measured_alone():
    images = np.concatenate([drawn(axis_ratio=ratio, seed=number) for number, ratio in enumerate((0.3, 0.7, 1.0))])
    together = image_scalars(images)
    apart = np.concatenate([image_scalars(image[None]) for image in images])
    np.testing.assert_allclose(together, apart, rtol=1e-5)


def test_majority_always_predicts_the_largest_class():
    probabilities = majority(np.array([2, 0, 2, 1, 2]), 4, 3)
    np.testing.assert_allclose(probabilities, np.tile([0.2, 0.2, 0.6], (4, 1)))


def test_a_forest_learns_what_is_there_and_keeps_absent_classes_at_zero(monkeypatch):
    monkeypatch.setattr(baselines, "FOREST_TREES", 30)
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 2], 300)
    scalars = np.column_stack([labels + rng.normal(0, 0.3, 300), rng.normal(0, 1, 300)]).astype(np.float32)
    scalars[::7, 1] = np.nan
    probabilities = forest(scalars[:200], labels[:200], scalars[200:], 3, seed=1)
    assert probabilities.shape == (100, 3)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.mean(probabilities.argmax(axis=1) == labels[200:]) > 0.9
    np.testing.assert_array_equal(probabilities, forest(scalars[:200], labels[:200], scalars[200:], 3, seed=1))
