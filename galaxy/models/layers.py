"""Keras layers of the galaxy networks, registered by name so that a saved model loads without pickle.

Images are (n, height, width, channel), north up; sizes in px.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

PACKAGE = "galaxy"
"""Keras knows the layers by this package and their class names: saved models load only under both."""

# Rec. 601: what "grey" means in JPEG and in Pillow's mode L.
LUMINANCE = (0.299, 0.587, 0.114)

VIEWS = 8


@keras.saving.register_keras_serializable(PACKAGE)
class CentreCrop(keras.layers.Layer):
    """Crop the centre: (n, h, w, c) to (n, size_px, size_px, c); h, w and size_px have one parity."""

    def __init__(self, size_px: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.size_px = size_px

    def call(self, images: Any) -> Any:
        """Return the centre of each image in the layer's precision."""
        images = ops.cast(images, self.compute_dtype)  # oneDNN does not slice uint8 images and logs it at length
        top = (images.shape[1] - self.size_px) // 2
        start = (images.shape[2] - self.size_px) // 2
        return images[:, top : top + self.size_px, start : start + self.size_px]

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape after the crop."""
        return (shape[0], self.size_px, self.size_px, shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the settings for a saved model."""
        return {**super().get_config(), "size_px": self.size_px}


@keras.saving.register_keras_serializable(PACKAGE)
class Luminance(keras.layers.Layer):
    """Replace colour by its luminance in all three channels: (n, h, w, 3) to (n, h, w, 3)."""

    def call(self, images: Any) -> Any:
        """Return grey images in the layer's precision."""
        weights = ops.convert_to_tensor(LUMINANCE, dtype=self.compute_dtype)
        grey = ops.sum(ops.cast(images, self.compute_dtype) * weights, axis=-1, keepdims=True)
        return ops.repeat(grey, 3, axis=-1)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the input's shape."""
        return shape


@keras.saving.register_keras_serializable(PACKAGE)
class DihedralViews(keras.layers.Layer):
    """Turn and mirror square images: (n, s, s, c) to (8 n, s, s, c), one block of n for each symmetry."""

    def call(self, images: Any) -> Any:
        """Return the eight views, the unchanged image first, the mirrored ones last."""
        mirrored = ops.flip(images, axis=2)
        turned = [ops.rot90(view, k=turns, axes=(1, 2)) for view in (images, mirrored) for turns in range(4)]
        return ops.concatenate(turned, axis=0)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the views."""
        return (None if shape[0] is None else VIEWS * shape[0], *shape[1:])


@keras.saving.register_keras_serializable(PACKAGE)
class ViewMean(keras.layers.Layer):
    """Average a network's outputs over the eight views of an image: (8 n, k) to (n, k).

    `mirrored` holds, for each output, the position of the output that a mirrored view has in its place; None: the same.
    """

    def __init__(self, mirrored: Sequence[int] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.mirrored = None if mirrored is None else list(mirrored)

    def call(self, outputs: Any) -> Any:
        """Return the mean over the views."""
        views = ops.reshape(outputs, (VIEWS, -1, outputs.shape[-1]))
        if self.mirrored is not None:
            exchanged = ops.take(views[VIEWS // 2 :], ops.convert_to_tensor(self.mirrored, "int32"), axis=-1)
            views = ops.concatenate([views[: VIEWS // 2], exchanged], axis=0)
        return ops.mean(views, axis=0)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the mean."""
        return (None if shape[0] is None else shape[0] // VIEWS, shape[1])

    def get_config(self) -> dict[str, Any]:
        """Return the settings for a saved model."""
        return {**super().get_config(), "mirrored": self.mirrored}


@keras.saving.register_keras_serializable(PACKAGE)
class Resized(keras.layers.Layer):
    """Resize square images by bilinear interpolation: (n, s, s, c) to (n, size_px, size_px, c).

    Where images become smaller, the interpolation averages over the pixels that fall into one (a triangle as wide as
    two of the new pixels), so that nothing is skipped. Rows and columns are each one matrix product, which every
    backend and ONNX have.
    """

    def __init__(self, size_px: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.size_px = size_px

    def call(self, images: Any) -> Any:
        """Return the resized images in the layer's precision."""
        images = ops.cast(images, self.compute_dtype)
        if images.shape[1] == self.size_px:
            return images
        matrix = ops.convert_to_tensor(resizing_matrix(images.shape[1], self.size_px), self.compute_dtype)
        rows = ops.einsum("yh,nhwc->nywc", matrix, images)
        return ops.einsum("xw,nywc->nyxc", matrix, rows)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape of the resized images."""
        return (shape[0], self.size_px, self.size_px, shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the settings for a saved model."""
        return {**super().get_config(), "size_px": self.size_px}


def resizing_matrix(length: int, new_length: int) -> NDArray[np.float32]:
    """Return the weights (new_length, length) of the pixels in each pixel of a resized row; rows sum to 1."""
    reach = max(length / new_length, 1.0)
    centres = (np.arange(new_length) + 0.5) * length / new_length - 0.5
    weights = np.maximum(1 - np.abs(centres[:, None] - np.arange(length)) / reach, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@keras.saving.register_keras_serializable(PACKAGE)
class Gelu(keras.layers.Layer):
    """Apply x P(X < x), X normal, by the error function; Keras's own takes its complement, which ONNX lacks."""

    def call(self, inputs: Any) -> Any:
        """Return the activation in the layer's precision."""
        return inputs * 0.5 * (1 + ops.erf(inputs / math.sqrt(2)))

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the input's shape."""
        return shape


@keras.saving.register_keras_serializable(PACKAGE)
class PositionedTokens(keras.layers.Layer):
    """Put a learned class token before the tokens and add learned positions: (n, t, width) to (n, 1 + t, width).

    Weights, in order: ``token`` (1, 1, width) and ``positions`` (1, 1 + t, width).
    """

    def build(self, shape: tuple) -> None:
        """Add the weights."""
        tokens, width = shape[1:]
        self.token = self.add_weight(shape=(1, 1, width), initializer="zeros", name="token")
        scatter = keras.initializers.TruncatedNormal(stddev=0.02)
        self.positions = self.add_weight(shape=(1, 1 + tokens, width), initializer=scatter, name="positions")

    def call(self, tokens: Any) -> Any:
        """Return the tokens with their positions, the class token first."""
        token = ops.broadcast_to(ops.cast(self.token, tokens.dtype), (ops.shape(tokens)[0], 1, tokens.shape[-1]))
        return ops.concatenate([token, tokens], axis=1) + ops.cast(self.positions, tokens.dtype)

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape with the class token."""
        return (shape[0], 1 + shape[1], shape[2])
