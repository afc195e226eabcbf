"""Layers of the backbones: resizing, the exact GELU, the class token and the positions."""

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.special import erf

from galaxy.models.layers import Gelu, PositionedTokens, Resized, resizing_matrix


@pytest.mark.parametrize(("length", "new_length"), [(424, 128), (64, 224), (7, 3), (1, 5)])
def test_a_constant_stays_constant_and_a_row_s_weights_sum_to_one(length: int, new_length: int) -> None:
    matrix = resizing_matrix(length, new_length)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(matrix[::-1, ::-1], matrix, atol=1e-6)


@pytest.mark.parametrize("new_px", [16, 24, 64, 100])
def test_resizing_is_pillow_s_bilinear(new_px: int) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (40, 40)).astype(np.float32)
    expected = np.asarray(Image.fromarray(image).resize((new_px, new_px), Image.Resampling.BILINEAR))
    found = Resized(new_px)(np.repeat(image[None, :, :, None], 2, axis=-1))
    np.testing.assert_allclose(found[0, :, :, 1], expected, atol=1e-3)


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 3), dtype=np.uint8)
    found = Resized(9)(image)
    np.testing.assert_array_equal(found, image)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_gelu_is_the_error_function_s() -> None:
    x = np.linspace(-4, 4, 81).astype(np.float32)
    np.testing.assert_allclose(Gelu()(x), x * (1 + erf(x / np.sqrt(2))) / 2, atol=1e-6)


def test_the_class_token_comes_first_and_every_token_has_its_position() -> None:
    layer = PositionedTokens()
    tokens = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    layer.build(tokens.shape)
    token, positions = np.full((1, 1, 4), 7, np.float32), np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    layer.set_weights([token, positions])
    expected = np.concatenate([np.repeat(token, 2, axis=0), tokens], axis=1) + positions
    np.testing.assert_array_equal(layer(tokens), expected)
