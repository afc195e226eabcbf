"""Keras layers of the real/bogus networks, registered by name so that saved models load without pickle.

Stamps are (n, h, w, c) float32, channels new, reference, difference.
"""

from typing import Any

import keras
from keras import ops

from realbogus.models.preprocessing import Normalisation
from realbogus.stamps import CENTRAL_PX, centre_pixel

PACKAGE = "realbogus"
"""Keras knows the layers by this package and their class names: saved models load only under both."""
VIEWS = 8
DIFFERENCE = 2
"""Channel of the difference."""
EPSILON = 1e-6
ASINH_SCALE = 4.0
"""The arcsinh of the S/N is divided by this."""
_NORM_SCALE = 10.0
"""Pixels of a plane of its norm are of order 1 / side; this brings both kinds of planes to the same order."""
_CLIP_SIGMA = 2.5
_BORDER_PX = 3
_LARGEST = 1e18
"""Largest argument of the arcsinh; its square is finite."""
_STEEP = 1e30
"""Slope of a clipped line that replaces the sign function."""


@keras.saving.register_keras_serializable(PACKAGE)
class FillMissing(keras.layers.Layer):
    """Replace NaN by the mean of the plane's other pixels, or 0 if there are none; stored stamps have no infinities."""

    def call(self, stamps: Any) -> Any:
        """Return stamps (n, h, w, c) without NaN."""
        stamps = ops.cast(stamps, self.compute_dtype)
        missing = ops.isnan(
            stamps
        )  # exactly this condition: the converter to ONNX recognises it as one that guards NaN
        zero_filled = ops.where(missing, ops.zeros_like(stamps), stamps)
        weights = ops.cast(missing, self.compute_dtype)
        count = ops.sum(1.0 - weights, axis=(1, 2), keepdims=True)
        return zero_filled + weights * ops.sum(zero_filled, axis=(1, 2), keepdims=True) / ops.maximum(count, 1.0)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape, which stays."""
        return shape


@keras.saving.register_keras_serializable(PACKAGE)
class ExchangeFainter(keras.layers.Layer):
    """Exchange new and reference, and negate the difference, of sources that are fainter in the new image.

    As `realbogus.stamps.exchange_fainter`, whose rule it has, for stamps (n, h, w, 3) without NaN.
    """

    def call(self, stamps: Any) -> Any:
        """Return stamps (n, h, w, 3) whose central 5 x 5 pixels of the difference have no negative sum."""
        stamps = ops.cast(stamps, self.compute_dtype)
        first = centre_pixel(int(stamps.shape[1])) - CENTRAL_PX // 2
        core = stamps[:, first : first + CENTRAL_PX, first : first + CENTRAL_PX, DIFFERENCE]
        fainter = ops.sum(core, axis=(1, 2)) < 0
        exchanged = ops.stack([stamps[..., 1], stamps[..., 0], -stamps[..., DIFFERENCE]], axis=-1)
        return ops.where(fainter[:, None, None, None], exchanged, stamps)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape, which stays."""
        return shape


@keras.saving.register_keras_serializable(PACKAGE)
class Normalise(keras.layers.Layer):
    """Normalise stamps (n, h, w, c) to values of order one, each plane independently.

    ========================  ========================================================================================
    ``sky-asinh``             asinh((x - level) / noise) / 4, level and noise from a border of 3 px, clipped twice at
                              2.5 sigma; it preserves the S/N of pixels
    ``sky-mean``              the same without clipping, for a fast network
    ``min-max``               (x - min) / (max - min), as in Takahashi et al. 2022
    ``asinh-min-max``         asinh(x / 2), then min-max
    ``standard-asinh``        six channels: (x - mean) / std, and asinh(x / 2)
    ``l2``                    divided by the norm of the plane, as in braai
    ``sky-asinh-l2``          six channels: ``sky-asinh``, and ten times ``l2``
    ========================  ========================================================================================

    A constant plane becomes 0 (with the norm constant), never NaN.
    """

    def __init__(self, how: Normalisation, **settings: Any) -> None:
        super().__init__(**settings)
        self.how = how

    def call(self, stamps: Any) -> Any:
        """Return normalised stamps, (n, h, w, c) or (n, h, w, 2 c)."""
        stamps = ops.cast(stamps, self.compute_dtype)
        if self.how in ("sky-asinh", "sky-mean"):
            return scale_by_sky(stamps, clips=2 if self.how == "sky-asinh" else 0)
        if self.how == "min-max":
            return scale_min_max(stamps)
        if self.how == "asinh-min-max":
            return scale_min_max(arcsinh(stamps / 2))
        if self.how == "standard-asinh":
            mean = ops.mean(stamps, axis=(1, 2), keepdims=True)
            variance = ops.mean(ops.square(stamps - mean), axis=(1, 2), keepdims=True)
            return ops.concatenate([(stamps - mean) / ops.sqrt(variance + EPSILON), arcsinh(stamps / 2)], axis=-1)
        if self.how == "sky-asinh-l2":
            return ops.concatenate([scale_by_sky(stamps, clips=2), _NORM_SCALE * scale_by_norm(stamps)], axis=-1)
        return scale_by_norm(stamps)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape after normalising."""
        return (*shape[:3], shape[3] * channels_per_plane(self.how))

    def get_config(self) -> dict[str, Any]:
        """Return what a saved model keeps."""
        return {**super().get_config(), "how": self.how}


def channels_per_plane(how: Normalisation) -> int:
    """Return how many channels a normalisation makes of a plane."""
    return 2 if how in ("standard-asinh", "sky-asinh-l2") else 1


def scale_by_sky(stamps: Any, clips: int) -> Any:
    """Return asinh((x - level) / noise) / 4 of stamps (n, h, w, c), with `measure_sky` of each plane."""
    level, noise = measure_sky(stamps, clips)
    return arcsinh((stamps - level) / noise) / ASINH_SCALE


def scale_by_norm(stamps: Any) -> Any:
    """Return stamps (n, h, w, c), each plane divided by its norm."""
    norm = ops.sqrt(ops.sum(ops.square(stamps), axis=(1, 2), keepdims=True))
    return stamps / ops.maximum(norm, EPSILON)


def measure_sky(stamps: Any, clips: int) -> tuple[Any, Any]:
    """Return level and noise of each plane of stamps (n, h, w, c), both (n, 1, 1, c).

    They are mean and standard deviation of a border of 3 px, clipped `clips` times at 2.5 sigma.
    """
    size = int(stamps.shape[1])
    inner, edge = size - 2 * _BORDER_PX, _BORDER_PX
    strips = (
        stamps[:, :edge],
        stamps[:, size - edge :],
        stamps[:, edge : edge + inner, :edge],
        stamps[:, edge : edge + inner, size - edge :],
    )
    channels = int(stamps.shape[3])
    border = ops.concatenate(
        [ops.reshape(strip, (-1, strip.shape[1] * strip.shape[2], channels)) for strip in strips], axis=1
    )
    level = ops.mean(border, axis=1, keepdims=True)
    noise = ops.sqrt(ops.mean(ops.square(border - level), axis=1, keepdims=True))
    for _ in range(clips):
        weights = ops.cast(ops.abs(border - level) <= _CLIP_SIGMA * noise, border.dtype)
        count = ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1.0)
        level = ops.sum(weights * border, axis=1, keepdims=True) / count
        noise = ops.sqrt(ops.sum(weights * ops.square(border - level), axis=1, keepdims=True) / count)
    floor = EPSILON + EPSILON * ops.abs(level)
    return level[:, :, None], ops.maximum(noise, floor)[:, :, None]


def arcsinh(values: Any) -> Any:
    """Return the inverse hyperbolic sine of values, of their shape, as sign(x) log(|x| + sqrt(x^2 + 1)).

    The error is below 2e-7 up to 1e18. The operators of TensorFlow and ONNX Runtime are not vectorised and several
    times slower, as is ONNX Runtime's Sign.
    """
    size = ops.minimum(ops.abs(values), _LARGEST)
    return ops.clip(values * _STEEP, -1.0, 1.0) * ops.log(size + ops.sqrt(ops.square(size) + 1.0))


def scale_min_max(stamps: Any) -> Any:
    """Return (x - min) / (max - min) of each plane of stamps (n, h, w, c); a constant plane becomes 0."""
    low = ops.min(stamps, axis=(1, 2), keepdims=True)
    span = ops.max(stamps, axis=(1, 2), keepdims=True) - low
    return (stamps - low) / ops.where(span > 0, span, 1.0)


@keras.saving.register_keras_serializable(PACKAGE)
class FilterResponse(keras.layers.Layer):
    """Filter response normalisation with a thresholded linear unit: (n, h, w, c) to (n, h, w, c).

    max(gamma x / sqrt(nu + eps) + beta, tau) with nu the mean of x^2 over a map (Singh & Krishnan 2020, 1911.09737)
    and eps = 1e-6. With ``summed``, as in the public code of Takahashi et al. 2022, nu is the sum of x^2 and
    eps = 1e-6 + softplus(e) with e learned, initially 0.
    """

    def __init__(self, summed: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.summed = summed

    def build(self, shape: tuple) -> None:
        """Create gamma, beta, tau and, if ``summed``, e, each (c,)."""
        channels = shape[-1]
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        self.tau = self.add_weight(shape=(channels,), initializer="zeros", name="tau")
        if self.summed:
            self.e = self.add_weight(shape=(channels,), initializer="zeros", name="e")

    def call(self, maps: Any) -> Any:
        """Return normalised and thresholded maps (n, h, w, c)."""
        squares = ops.square(maps)
        if self.summed:
            nu, eps = ops.sum(squares, axis=(1, 2), keepdims=True), EPSILON + ops.softplus(self.e)
        else:
            nu, eps = ops.mean(squares, axis=(1, 2), keepdims=True), EPSILON
        return ops.maximum(self.gamma * maps * ops.rsqrt(nu + eps) + self.beta, self.tau)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape, which stays."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return what a saved model keeps."""
        return {**super().get_config(), "summed": self.summed}


@keras.saving.register_keras_serializable(PACKAGE)
class SqueezeExcitation(keras.layers.Layer):
    """Concurrent spatial and channel squeeze and excitation: a x + b x, (n, h, w, c) to (n, h, w, c).

    a (n, h, w, 1) is the sigmoid of a 1x1 convolution; b (n, 1, 1, c) is the sigmoid of two dense layers, the first
    with c / 2 units, of the mean over the map (Roy et al. 2018, 1803.02579).
    """

    def build(self, shape: tuple) -> None:
        """Create the layers of the gates."""
        channels = shape[-1]
        self.space = keras.layers.Conv2D(1, 1, activation="sigmoid", dtype=self.dtype_policy, name="space")
        self.inner = keras.layers.Dense(channels // 2, activation="relu", dtype=self.dtype_policy, name="inner")
        self.channel = keras.layers.Dense(channels, activation="sigmoid", dtype=self.dtype_policy, name="channel")
        self.space.build(shape)
        self.inner.build((shape[0], channels))
        self.channel.build((shape[0], channels // 2))

    def call(self, maps: Any) -> Any:
        """Return maps (n, h, w, c) times the sum of both gates."""
        gates = self.channel(self.inner(ops.mean(maps, axis=(1, 2))))
        return maps * (self.space(maps) + gates[:, None, None, :])

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape, which stays."""
        return shape


@keras.saving.register_keras_serializable(PACKAGE)
class CentrePool(keras.layers.Layer):
    """Pool maps over all pixels and over the centre, where the candidate is: (n, h, w, c) to (n, 2 c)."""

    def call(self, maps: Any) -> Any:
        """Return the mean over all pixels, and that over the central one or two rows and columns."""
        size = int(maps.shape[1])
        first, end = (size - 1) // 2, size // 2 + 1
        centre = maps[:, first:end, first:end]
        return ops.concatenate([ops.mean(maps, axis=(1, 2)), ops.mean(centre, axis=(1, 2))], axis=-1)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the pooled features."""
        return (shape[0], 2 * shape[3])


@keras.saving.register_keras_serializable(PACKAGE)
class CentreCut(keras.layers.Layer):
    """Cut the centre: (n, h, w, c) to (n, size_px, size_px, c); h, w and size_px are all odd or all even."""

    def __init__(self, size_px: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.size_px = size_px

    def call(self, stamps: Any) -> Any:
        """Return the centre of each stamp, (n, size_px, size_px, c)."""
        first = (int(stamps.shape[1]) - self.size_px) // 2
        return stamps[:, first : first + self.size_px, first : first + self.size_px]

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape after the cut."""
        return (shape[0], self.size_px, self.size_px, shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return what a saved model keeps."""
        return {**super().get_config(), "size_px": self.size_px}


@keras.saving.register_keras_serializable(PACKAGE)
class SymmetryViews(keras.layers.Layer):
    """Apply the symmetries of the square: (n, s, s, c) to (8 n, s, s, c), one block of n for each symmetry."""

    def call(self, stamps: Any) -> Any:
        """Return the eight views, (8 n, s, s, c), unchanged stamps first."""
        mirrored = ops.flip(stamps, axis=2)
        turned = [ops.rot90(view, k=turns, axes=(1, 2)) for view in (stamps, mirrored) for turns in range(4)]
        return ops.concatenate(turned, axis=0)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the views."""
        return (None if shape[0] is None else VIEWS * shape[0], *shape[1:])


@keras.saving.register_keras_serializable(PACKAGE)
class SymmetryMean(keras.layers.Layer):
    """Average a network's outputs over the eight views: (8 n, k) to (n, k)."""

    def call(self, outputs: Any) -> Any:
        """Return the mean over the views, (n, k)."""
        return ops.mean(ops.reshape(outputs, (VIEWS, -1, outputs.shape[-1])), axis=0)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the mean."""
        return (None if shape[0] is None else shape[0] // VIEWS, shape[1])
