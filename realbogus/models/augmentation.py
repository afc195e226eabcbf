"""Random views of candidates: rotated and mirrored, shifted by a fraction of a pixel, with a little added noise.

The class of a candidate depends neither on its orientation and parity nor on the sub-pixel position of its centre.
"""

import numpy as np
import tensorflow as tf
from pydantic import BaseModel, ConfigDict

from realbogus.models.layers import FillMissing, measure_sky
from realbogus.simulation.redrawing import SYMMETRIES, apply_symmetries

SHIFT_STREAM, NOISE_STREAM, OFFSET_STREAM, STRONG_STREAM = ((0, number << 20) for number in range(1, 5))
"""Added to the seed of a step, (step, seed of the fit), for each kind of draw but that of the symmetries."""


class StampAugmentation(BaseModel):
    """Strengths of the random alterations of a stamp."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symmetries: bool = False
    """Apply one of the eight symmetries of the square, with equal probabilities."""
    shift_px: float = 0.0
    """Largest shift along each axis, pixels below 1; bilinear, with repeated border pixels."""
    noise: float = 0.0
    """Standard deviation of white noise added to each plane, in units of the plane's own noise."""
    offset: float = 0.0
    """Largest constant added to each plane, of either sign, in units of the plane's own noise."""

    @property
    def alters_pixels(self) -> bool:
        """Whether pixel values change and not only their positions, so that the views depend on the units."""
        return bool(self.shift_px or self.noise or self.offset)


STRONG = StampAugmentation(symmetries=True, shift_px=0.5, noise=0.3, offset=0.3)
"""The strong views of the consistency loss."""


def random_view(stamps: tf.Tensor, seed: tf.Tensor, settings: StampAugmentation) -> tf.Tensor:
    """Return a random view of each triplet.

    Parameters
    ----------
    stamps : (n, y, x, c) float32, square
        In raw units, NaN for missing pixels; in any units if only symmetries are applied.
    seed : (2,) int32
        The same seed gives the same views.
    settings : StampAugmentation

    Returns
    -------
    (n, y, x, c) float32
        In the same units; missing pixels are filled unless only symmetries are applied.
    """
    if settings.alters_pixels:
        stamps = FillMissing()(stamps)
    if settings.symmetries:
        stamps = _apply_random_symmetries(stamps, seed)
    if settings.shift_px:
        stamps = _shift_randomly(stamps, tf.add(seed, SHIFT_STREAM), settings.shift_px)
    if settings.noise or settings.offset:
        _, sigma = measure_sky(stamps, clips=1)
        noise = settings.noise * tf.random.stateless_normal(tf.shape(stamps), tf.add(seed, NOISE_STREAM))
        of_planes = (tf.shape(stamps)[0], 1, 1, tf.shape(stamps)[3])
        offset = settings.offset * tf.random.stateless_uniform(of_planes, tf.add(seed, OFFSET_STREAM), -1, 1)
        stamps += sigma * (noise + offset)
    return stamps


def _apply_random_symmetries(stamps: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Apply a random symmetry of the square to each stamp (n, y, x, c)."""
    size, planes = int(stamps.shape[1]), int(stamps.shape[3])
    pixel_numbers = np.arange(size * size).reshape(1, size, size, 1)
    orders = apply_symmetries(np.repeat(pixel_numbers, SYMMETRIES, axis=0), np.arange(SYMMETRIES))
    orders = orders.reshape(SYMMETRIES, -1)
    symmetry = tf.random.stateless_uniform((tf.shape(stamps)[0],), seed, 0, SYMMETRIES, tf.int32)
    pixels = tf.reshape(stamps, (-1, size * size, planes))
    return tf.reshape(tf.gather(pixels, tf.gather(tf.constant(orders), symmetry), batch_dims=1), tf.shape(stamps))


def _shift_randomly(stamps: tf.Tensor, seed: tf.Tensor, shift_px: float) -> tf.Tensor:
    """Shift each stamp (n, y, x, c) by its own random fraction of a pixel along both axes."""
    moves = tf.random.stateless_uniform((2, tf.shape(stamps)[0], 1, 1, 1), seed, -shift_px, shift_px)
    for axis, move in ((1, moves[0]), (2, moves[1])):
        first = tf.concat([tf.gather(stamps, [0], axis=axis), stamps], axis)
        last = tf.concat([stamps, tf.gather(stamps, [stamps.shape[axis] - 1], axis=axis)], axis)
        before = first[:, :-1] if axis == 1 else first[:, :, :-1]
        after = last[:, 1:] if axis == 1 else last[:, :, 1:]
        neighbour = tf.where(move > 0, before, after)
        stamps += tf.abs(move) * (neighbour - stamps)
    return stamps
