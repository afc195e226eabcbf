"""Random views of candidates: turned and mirrored, moved by part of a pixel, with a little noise more.

What a candidate is depends neither on its angle nor on its handedness, nor on where in the pixel its centre lies.
"""

import numpy as np
import tensorflow as tf
from pydantic import BaseModel, ConfigDict

from realbogus.models.layers import FillMissing, measure_sky
from realbogus.simulation.redrawing import SYMMETRIES, apply_symmetries


class StampAugmentation(BaseModel):
    """How far a stamp may be altered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symmetries: bool = False
    """One of the eight flips and rotations, each as likely."""
    shift_px: float = 0.0
    """Moved along each axis by up to this much, bilinear; the border continues."""
    noise: float = 0.0
    """White noise is added to each plane, its standard deviation this share of the plane's own."""

    @property
    def alters_pixels(self) -> bool:
        """Values change, not only their places, so that it matters in what units they are."""
        return bool(self.shift_px or self.noise)


def random_view(stamps: tf.Tensor, seed: tf.Tensor, settings: StampAugmentation) -> tf.Tensor:
    """Return a random view of each triplet.

    Parameters
    ----------
    stamps : (n, s, s, c) float32
        Raw units, NaN where there is nothing; for the symmetries alone any.
    seed : (2,) int32
        The same seed gives the same views.
    settings : StampAugmentation

    Returns
    -------
    (n, s, s, c) float32 in the same units; without NaN where anything but the symmetries is asked.
    """
    if settings.alters_pixels:
        stamps = FillMissing()(stamps)
    if settings.symmetries:
        stamps = _turned(stamps, seed)
    if settings.shift_px:
        stamps = _shifted(stamps, tf.add(seed, (1, 0)), settings.shift_px)
    if settings.noise:
        _, sigma = measure_sky(stamps, clips=1)
        stamps += settings.noise * sigma * tf.random.stateless_normal(tf.shape(stamps), tf.add(seed, (2, 0)))
    return stamps


def _turned(stamps: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Take the pixels of each stamp in the order of one of the eight symmetries, each as likely."""
    side, planes = int(stamps.shape[1]), int(stamps.shape[3])
    places = np.arange(side * side).reshape(1, side, side, 1)
    orders = apply_symmetries(np.repeat(places, SYMMETRIES, axis=0), np.arange(SYMMETRIES)).reshape(SYMMETRIES, -1)
    chosen = tf.random.stateless_uniform((tf.shape(stamps)[0],), seed, 0, SYMMETRIES, tf.int32)
    pixels = tf.reshape(stamps, (-1, side * side, planes))
    return tf.reshape(tf.gather(pixels, tf.gather(tf.constant(orders), chosen), batch_dims=1), tf.shape(stamps))


def _shifted(stamps: tf.Tensor, seed: tf.Tensor, shift_px: float) -> tf.Tensor:
    """Move each stamp by a fraction of a pixel of its own, less than one, along both axes."""
    moves = tf.random.stateless_uniform((2, tf.shape(stamps)[0], 1, 1, 1), seed, -shift_px, shift_px)
    for axis, move in ((1, moves[0]), (2, moves[1])):
        first = tf.concat([tf.gather(stamps, [0], axis=axis), stamps], axis)
        last = tf.concat([stamps, tf.gather(stamps, [stamps.shape[axis] - 1], axis=axis)], axis)
        before = first[:, :-1] if axis == 1 else first[:, :, :-1]
        after = last[:, 1:] if axis == 1 else last[:, :, 1:]
        neighbour = tf.where(move > 0, before, after)
        stamps += tf.abs(move) * (neighbour - stamps)
    return stamps
