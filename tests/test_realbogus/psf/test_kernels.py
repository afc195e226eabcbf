"""Polynomials over a chip, tiles and varying kernels: each against its definition."""

import numpy as np
import pytest

from realbogus.psf.kernels import Tiles, VaryingKernel, evaluate_map, polynomial_powers, polynomial_terms


def test_powers_rise_by_degree():
    assert polynomial_powers(0) == [(0, 0)]
    assert polynomial_powers(2) == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]


def test_the_outermost_pixels_are_at_minus_one_and_one():
    terms = polynomial_terms(np.array([0, 20, 10]), np.array([0, 10, 5]), (11, 21), 1)
    assert terms.tolist() == [[1, -1, -1], [1, 1, 1], [1, 0, 0]]
    assert polynomial_terms(np.array([15]), np.array([0]), (11, 21), 2).tolist() == [[1, 0.5, -1, 0.25, -0.5, 1]]
    assert polynomial_terms(np.array([0]), np.array([0]), (1, 1), 1).tolist() == [[1, -1, -1]]


@pytest.mark.parametrize("order", [0, 1, 3])
def test_a_map_is_the_polynomial_at_each_pixel(order):
    rng = np.random.default_rng(0)
    coefficients = rng.standard_normal(len(polynomial_powers(order)))
    y, x = np.mgrid[:7, :9]
    expected = polynomial_terms(x.ravel(), y.ravel(), (7, 9), order) @ coefficients
    np.testing.assert_allclose(evaluate_map(coefficients, order, (7, 9)), expected.reshape(7, 9), atol=1e-5)


@pytest.mark.parametrize(("halo", "size"), [(5, 128), (32, 128), (40, 160)])
def test_at_least_half_of_a_tile_is_result(halo, size):
    tiles = Tiles((300, 500), halo)
    assert (tiles.size_px, tiles.step_px) == (size, size - 2 * halo)
    assert tiles.step_px >= size / 2
    rows, columns = tiles.counts
    assert (rows - 1) * tiles.step_px < 300 <= rows * tiles.step_px
    assert (columns - 1) * tiles.step_px < 500 <= columns * tiles.step_px


def test_centres_are_the_middles_of_tiles_within_the_image():
    x, y = Tiles((118, 250), 5).centres()  # steps of 118 pixels
    assert x.tolist() == [59, 177, 249]
    assert y.tolist() == [59, 59, 59]
    x, y = Tiles((119, 60), 5).centres()
    assert (x.tolist(), y.tolist()) == ([59, 59], [59, 118])


def convolve_directly(image, kernel):
    """Convolve pixel by pixel; beyond the image is 0."""
    radius = len(kernel) // 2
    padded = np.pad(image, radius)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    return (windows * kernel[::-1, ::-1]).sum(axis=(2, 3))


def test_tiles_taken_apart_and_put_together_give_the_image():
    image = np.random.default_rng(1).standard_normal((130, 240)).astype(np.float32)
    tiles = Tiles(image.shape, 5)
    transforms = tiles.transform(image)
    assert transforms.shape == (2, 3, 128, 65)
    np.testing.assert_allclose(tiles.assemble(transforms), image, atol=1e-5)


def test_one_kernel_for_all_tiles_and_one_for_each():
    rng = np.random.default_rng(2)
    image, kernel = rng.standard_normal((130, 140)).astype(np.float32), rng.standard_normal((7, 7))
    tiles = Tiles(image.shape, 5)
    transforms = tiles.transform(image)
    convolved = tiles.assemble(transforms * tiles.transform_kernels(kernel))
    np.testing.assert_allclose(convolved, convolve_directly(image, kernel), atol=1e-4)
    each = np.arange(1, 5)[:, None, None] * kernel
    convolved = tiles.assemble(transforms * tiles.transform_kernels(each))
    expected = convolve_directly(image, kernel)
    for (row, column), factor in zip(((0, 0), (0, 1), (1, 0), (1, 1)), (1, 2, 3, 4), strict=True):
        part = np.s_[118 * row : 118 * row + 118, 118 * column : 118 * column + 118]
        np.testing.assert_allclose(convolved[part], factor * expected[part], atol=1e-3)


def test_a_varying_kernel_is_its_polynomial():
    rng = np.random.default_rng(3)
    kernel = VaryingKernel(rng.standard_normal((3, 5, 5)), 1, (21, 31))
    assert kernel.radius_px == 2
    at = kernel.at(np.array([0, 15]), np.array([20, 10]))
    first, across, up = kernel.coefficients
    np.testing.assert_allclose(at[0], first - across + up)
    np.testing.assert_allclose(at[1], first)
    sums = kernel.coefficients.sum(axis=(1, 2))
    np.testing.assert_allclose(kernel.sums()[20, 0], sums[0] - sums[1] + sums[2], rtol=1e-5)
    image = rng.standard_normal((21, 31)).astype(np.float32)
    convolved = kernel.convolve(image)
    for x, y in ((0, 0), (15, 10), (30, 4)):
        own = kernel.at(np.array([x]), np.array([y]))[0]
        assert convolved[y, x] == pytest.approx(convolve_directly(image, own)[y, x], abs=1e-4)


@pytest.mark.parametrize(("wing", "radius"), [(0.0, 0), (0.0099, 0), (0.0101, 1), (0.5, 1)])
def test_the_core_holds_all_but_a_hundredth_of_the_weight(wing, radius):
    image = np.zeros((7, 7))
    image[3, 3], image[2, 3] = 1 - wing, -wing
    assert VaryingKernel(image[None], 0, (20, 20)).core_radius_px() == radius
