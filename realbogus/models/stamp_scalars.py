"""Scalars that a network measures of its own views and takes beside the features of its convolutions.

Views are (n, h, w, c) of a normalisation whose first three planes, new, reference and difference, are
asinh(S/N) / 4 of the pixels; see `realbogus.models.layers.Normalise`. Every scalar is of order one and invariant under
the symmetries of the square.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from realbogus.models.layers import ASINH_SCALE, PACKAGE, arcsinh
from realbogus.models.preprocessing import Normalisation

SCALARS = (
    "peak of the difference",
    "deepest pixel of the difference",
    "S/N of the difference in the aperture",
    "S/N of the difference in the core",
    "width of the difference",
    "width of the new image",
    "dipole moment of the difference",
    "negative share of the difference",
    "peak of the reference",
    "peak of the new image",
)
"""In their order; `measure_scalars` defines them."""
KEEPING_SNR: frozenset[Normalisation] = frozenset({"sky-asinh", "sky-mean", "sky-asinh-l2"})
"""Normalisations whose first planes give the S/N of the pixels."""
CORE_PX, APERTURE_PX, OUTER_PX = 2.0, 5.0, 7.0
"""Radii about the centre: of peaks, of fluxes, and of moments."""
_MOST_VIEW = 2.5
"""A pixel's view at an S/N of 11,000, at which it is cut: sums of its square stay finite."""
_FAR = 1e3
_LEAST_SNR, _LEAST_SQUARE = 1e-3, 1e-12
"""Added to sums of S/N and to squares, so that an empty stamp has finite scalars and gradients."""


def measure_scalars(views: Any) -> Any:
    """Return the scalars (n, 10) of views (n, h, w, c), in the order of `SCALARS`.

    With s the S/N of a pixel, r its distance from the centre in px, and A a disc about it: peaks are max asinh(s) / 4
    in the core, the deepest pixel is max asinh(-s) / 4 in the aperture, an S/N is asinh(sum s / sqrt(pixels)) / 4, a
    width is sqrt(sum r^2 s^2 / sum s^2) over the outer disc in units of the aperture's radius, the dipole moment is
    |sum s (x, y)| / sum |s| over the outer disc in units of its radius, and the negative share is
    sum max(-s, 0) / sum |s| in the aperture.
    """
    views = ops.clip(views[..., :3], -_MOST_VIEW, _MOST_VIEW)
    x, y = _offsets(int(views.shape[2])), _offsets(int(views.shape[1]))[:, None]
    core, aperture, outer = (_disc(x, y, radius) for radius in (CORE_PX, APERTURE_PX, OUTER_PX))
    new, reference, difference = (views[..., plane] for plane in range(3))
    snr = _snr(difference)
    size = _sum(outer, ops.abs(snr)) + _LEAST_SNR
    moment = ops.square(_sum(outer * x, snr)) + ops.square(_sum(outer * y, snr))
    return ops.stack(
        [
            _peak(core, difference),
            _peak(aperture, -difference),
            arcsinh(_sum(aperture, snr) / float(np.sqrt(aperture.sum()))) / ASINH_SCALE,
            arcsinh(_sum(core, snr) / float(np.sqrt(core.sum()))) / ASINH_SCALE,
            _width(outer, x, y, snr),
            _width(outer, x, y, _snr(new)),
            ops.sqrt(moment + _LEAST_SQUARE) / (OUTER_PX * size),
            _sum(aperture, ops.maximum(-snr, 0.0)) / (_sum(aperture, ops.abs(snr)) + _LEAST_SNR),
            _peak(core, reference),
            _peak(core, new),
        ],
        axis=-1,
    )


def _offsets(size: int) -> NDArray[np.float32]:
    return (np.arange(size) - (size - 1) / 2).astype(np.float32)


def _disc(x: NDArray[np.float32], y: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Return 1 within the radius and 0 outside, (h, w)."""
    return (x**2 + y**2 <= radius**2).astype(np.float32)


def _snr(plane: Any) -> Any:
    """Return sinh(4 v), the S/N of pixels, from their views v (n, h, w)."""
    return (ops.exp(ASINH_SCALE * plane) - ops.exp(-ASINH_SCALE * plane)) / 2


def _sum(weights: NDArray[np.float32], plane: Any) -> Any:
    return ops.sum(weights * plane, axis=(1, 2))


def _peak(disc: NDArray[np.float32], plane: Any) -> Any:
    return ops.max(plane - _FAR * (1 - disc), axis=(1, 2))


def _width(disc: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32], snr: Any) -> Any:
    squares = ops.square(snr)
    second = _sum(disc * (x**2 + y**2), squares) / (_sum(disc, squares) + _LEAST_SNR**2)
    return ops.sqrt(second + _LEAST_SQUARE) / APERTURE_PX


@keras.saving.register_keras_serializable(PACKAGE)
class StampScalars(keras.layers.Layer):
    """Measure the scalars of views: (n, h, w, c) to (n, 10).

    While fitting, all scalars of a candidate are 0 at the rate `dropped`, so that the features of the convolutions are
    learned too. The others are not scaled up: the layers behind see them as they are when scoring.
    """

    def __init__(self, dropped: float = 0.3, **settings: Any) -> None:
        super().__init__(**settings)
        self.dropped = dropped
        self.seeds = keras.random.SeedGenerator()

    def call(self, views: Any, training: bool = False) -> Any:
        """Return the scalars (n, 10)."""
        scalars = measure_scalars(ops.cast(views, self.compute_dtype))
        if not training:
            return scalars
        draws = keras.random.uniform((ops.shape(scalars)[0], 1), seed=self.seeds)
        return scalars * ops.cast(draws >= self.dropped, scalars.dtype)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the scalars."""
        return (shape[0], len(SCALARS))

    def get_config(self) -> dict[str, Any]:
        """Return what a saved model keeps."""
        return {**super().get_config(), "dropped": self.dropped}
