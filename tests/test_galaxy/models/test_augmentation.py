"""Random views: exact where they can be, within their bounds, and decided by their seed."""

import numpy as np
import pytest
import tensorflow as tf

from galaxy.models.augmentation import ImageAugmentation, centre_view, mirrored_targets, random_view

SIZE = 24


def seed(number: int) -> tf.Tensor:
    return tf.constant([number, 0])


def images(count: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def disc(count: int) -> np.ndarray:
    """A smooth round spot at the centre, the same from every side."""
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    spot = 200 * np.exp(-(x**2 + y**2) / 18)
    return np.repeat(np.repeat(spot[None, ..., None], 3, axis=-1), count, axis=0).astype(np.float32)


@pytest.mark.parametrize("size_px", [SIZE, 12])
def test_without_freedom_the_view_is_the_centre(size_px: int) -> None:
    view = random_view(images(), seed(1), ImageAugmentation(), size_px)
    np.testing.assert_array_equal(view, centre_view(images(), size_px))
    assert view.dtype == tf.uint8


def test_mirrored_views_are_the_image_or_its_mirror_image_half_and_half() -> None:
    seen = images(400)
    views = random_view(seen, seed(1), ImageAugmentation(mirror=True), SIZE).numpy()
    kept = (views == seen).all(axis=(1, 2, 3))
    mirrored = (views == seen[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 150 < kept.sum() < 250  # five standard deviations of a fair coin


def test_a_round_galaxy_looks_the_same_from_every_side() -> None:
    views = random_view(disc(32), seed(2), ImageAugmentation(rotation_deg=180, mirror=True), SIZE).numpy()
    np.testing.assert_allclose(views, disc(32), atol=5)  # 2.5 % of the peak: bilinear interpolation


def test_shifts_stay_within_their_bound_and_use_it() -> None:
    views = random_view(disc(300), seed(3), ImageAugmentation(shift=0.2), SIZE).numpy()[..., 0]
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    for axis in (x, y):
        offsets = (views * axis).sum(axis=(1, 2)) / views.sum(axis=(1, 2))
        assert np.abs(offsets).max() < 0.2 * SIZE + 0.5
        assert np.ptp(offsets) > 1.5 * 0.2 * SIZE


def test_zoom_changes_the_size_within_its_bound() -> None:
    views = random_view(disc(300), seed(4), ImageAugmentation(zoom=0.3), SIZE).numpy()[..., 0]
    areas = (views > 100).sum(axis=(1, 2)) / (disc(1)[..., 0] > 100).sum()
    assert areas.min() > np.exp(-2 * 0.3) * 0.8
    assert areas.max() < np.exp(2 * 0.3) * 1.2
    assert areas.max() / areas.min() > 2


def test_the_seed_decides() -> None:
    settings = ImageAugmentation(rotation_deg=40, shift=0.2, zoom=0.1, mirror=True)
    first = random_view(images(), seed(5), settings, SIZE)
    np.testing.assert_array_equal(first, random_view(images(), seed(5), settings, SIZE))
    assert (first.numpy() != random_view(images(), seed(6), settings, SIZE).numpy()).any()


@pytest.mark.parametrize("mirror", [True, False])
def test_targets_are_exchanged_for_the_views_that_are_mirrored(mirror: bool) -> None:
    settings, seen = ImageAugmentation(mirror=mirror), images()
    views = random_view(seen, seed(1), settings, SIZE).numpy()
    is_mirrored = np.array([not (view == image).all() for view, image in zip(views, np.asarray(seen), strict=True)])
    assert is_mirrored.any() == mirror
    assert not is_mirrored.all()
    targets = tf.random.stateless_uniform((len(views), 3), [1, 2])
    found = mirrored_targets(targets, seed(1), settings, [2, 1, 0]).numpy()
    expected = np.where(is_mirrored[:, None], targets.numpy()[:, ::-1], targets.numpy())
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size_px", [SIZE, 13])
def test_views_are_tensorflow_s_own_transformation(size_px: int) -> None:
    """Rotated, mirrored, shifted and zoomed images are those of ``ImageProjectiveTransformV3``."""
    settings = ImageAugmentation(rotation_deg=180, shift=0.3, zoom=0.3, mirror=True)
    seen = images(8)
    angle, zoom, mirror, *shift = tf.random.stateless_uniform((5, 8), seed(7), -1.0, 1.0).numpy()
    cosine, sine = (np.exp(0.3 * zoom) * of(np.pi * angle) for of in (np.cos, np.sin))
    handed = np.where(mirror < 0, -1, 1)
    entries = ((cosine * handed, -sine), (sine * handed, cosine))
    rows = [
        (a, b, (SIZE - 1) / 2 + 0.3 * SIZE * moved - (a + b) * (size_px - 1) / 2)
        for (a, b), moved in zip(entries, shift, strict=True)
    ]
    transforms = np.stack([*rows[0], *rows[1], 0 * angle, 0 * angle], axis=1).astype(np.float32)
    wanted = tf.raw_ops.ImageProjectiveTransformV3(
        images=seen.astype(np.float32),
        transforms=transforms,
        output_shape=[size_px, size_px],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    views = random_view(seen.astype(np.float32), seed(7), settings, size_px)
    np.testing.assert_allclose(views, wanted, atol=0.1)
    np.testing.assert_array_equal(random_view(seen, seed(7), settings, size_px), tf.cast(views, tf.uint8))
