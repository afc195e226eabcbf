"""Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929): self-attention among the patches of an image.

The class token's last state is the feature. Layer normalisation and GELU are those of the published weights (epsilon
1e-6; the exact error function, as in vit-keras and timm).
"""

import re
from typing import Any

from keras import layers

from galaxy.models.layers import Gelu, PositionedTokens
from galaxy.models.network_settings import VitSettings

EPSILON = 1e-6
MLP_FACTOR = 4
"""Width of a block's hidden dense layer over that of its tokens."""


def body(images: Any, settings: VitSettings, precision: str) -> Any:
    """Return the features (n, width) of images (n, input_px, input_px, 3) scaled to -1 to 1."""
    width, patch, patches = settings.width, settings.patch_px, (settings.input_px // settings.patch_px) ** 2
    tokens = layers.Conv2D(width, patch, strides=patch, dtype=precision, name="embedding")(images)
    tokens = layers.Reshape((patches, width), dtype=precision, name="patches")(tokens)
    tokens = PositionedTokens(dtype=precision, name="positions")(tokens)  # (n, 1 + patches, width)
    for block in range(settings.depth):
        tokens = _encoder_block(tokens, settings, f"block_{block}", precision)
    tokens = _normalised(tokens, "encoder_normalisation", precision)
    first = layers.Cropping1D((0, patches), dtype=precision, name="class_token")(tokens)
    return layers.Flatten(dtype=precision, name="features")(first)


def block_of(layer: str) -> str | None:
    """Return the encoder block of a layer, or None."""
    found = re.match(r"block_\d+", layer)
    return None if found is None else found[0]


def _encoder_block(tokens: Any, settings: VitSettings, name: str, precision: str) -> Any:
    """Attention and a dense network of one hidden layer, each normalised before and added to its input."""
    inner = _normalised(tokens, f"{name}_attention_normalisation", precision)
    inner = layers.MultiHeadAttention(
        settings.heads, settings.width // settings.heads, dtype=precision, name=f"{name}_attention"
    )(inner, inner)
    tokens = layers.Add(dtype=precision, name=f"{name}_attention_sum")([tokens, inner])
    inner = _normalised(tokens, f"{name}_dense_normalisation", precision)
    hidden = MLP_FACTOR * settings.width
    inner = layers.Dense(hidden, dtype=precision, name=f"{name}_hidden")(inner)
    inner = Gelu(dtype=precision, name=f"{name}_gelu")(inner)
    inner = layers.Dense(settings.width, dtype=precision, name=f"{name}_dense")(inner)
    return layers.Add(dtype=precision, name=f"{name}_dense_sum")([tokens, inner])


def _normalised(tokens: Any, name: str, precision: str) -> Any:
    return layers.LayerNormalization(epsilon=EPSILON, dtype=precision, name=name)(tokens)
