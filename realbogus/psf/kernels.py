"""Kernels that vary over a chip, and convolution with them in tiles.

A kernel is a polynomial in the position whose coefficients are small images, so that convolution with it is a sum of
ordinary convolutions. Images are cut into overlapping tiles whose transforms fit the processor's cache.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

_TILE_PX = 128


def polynomial_powers(order: int) -> list[tuple[int, int]]:
    """Return the powers of x and y of each term, by rising degree; the first is the constant."""
    return [(degree - power, power) for degree in range(order + 1) for power in range(degree + 1)]


def polynomial_terms(x: np.ndarray, y: np.ndarray, shape: tuple[int, int], order: int) -> np.ndarray:
    """Evaluate the terms of a polynomial over an image.

    Parameters
    ----------
    x, y : ndarray of shape (n,), pixels
    shape : (height, width)
        The centres of the image's outermost pixels are at -1 and 1.
    order : int
        Highest degree.

    Returns
    -------
    ndarray of shape (n, terms) float64
    """
    across, up = _scale(np.asarray(x), shape[1]), _scale(np.asarray(y), shape[0])
    return np.stack([across**i * up**j for i, j in polynomial_powers(order)], axis=-1)


def _scale(position: np.ndarray, length: int) -> np.ndarray:
    return 2 * position / max(length - 1, 1) - 1


@dataclass(frozen=True)
class Tiles:
    """The division of an image into overlapping tiles.

    Attributes
    ----------
    shape : (height, width) of the image
    halo_px : int
        Largest radius of a kernel.
    """

    shape: tuple[int, int]
    halo_px: int

    @property
    def size_px(self) -> int:
        """Width of a tile: the smallest fast transform of which at least half is result."""
        return fft.next_fast_len(max(_TILE_PX, 4 * self.halo_px), real=True)

    @property
    def step_px(self) -> int:
        """Width of the part of a tile inside of the halo: the distance between tiles."""
        return self.size_px - 2 * self.halo_px

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.shape[0] // self.step_px), -(-self.shape[1] // self.step_px)

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of the middle of each tile, shape (rows * columns,) each, whole pixels within the image."""
        middles = [
            np.minimum(np.arange(count) * self.step_px + self.step_px // 2, length - 1)
            for count, length in zip(self.counts, self.shape, strict=True)
        ]
        y, x = np.meshgrid(*middles, indexing="ij")
        return x.ravel(), y.ravel()

    def transform(self, image: np.ndarray) -> np.ndarray:
        """Return the transforms of an image's tiles, shape (rows, columns, size, size // 2 + 1) complex64.

        The image, shape (y, x), is padded with 0.
        """
        rows, columns = self.counts
        halo, step, size = self.halo_px, self.step_px, self.size_px
        padded = np.zeros((rows * step + 2 * halo, columns * step + 2 * halo), np.float32)
        padded[halo : halo + self.shape[0], halo : halo + self.shape[1]] = image
        return fft.rfft2(sliding_window_view(padded, (size, size))[::step, ::step])

    def transform_kernels(self, kernels: np.ndarray) -> np.ndarray:
        """Return the transforms of odd kernels, shape (..., size, size // 2 + 1), centred on the tile's first pixel.

        `kernels` is (k, k), or (rows * columns, k, k) with one per tile in the order of `centres`.
        """
        size = self.size_px
        radius = kernels.shape[-1] // 2
        spread = np.zeros((*kernels.shape[:-2], size, size), np.float32)
        spread[..., : 2 * radius + 1, : 2 * radius + 1] = kernels
        spread = np.roll(spread, (-radius, -radius), axis=(-2, -1))
        transforms = fft.rfft2(spread)
        return transforms if kernels.ndim == 2 else transforms.reshape(*self.counts, size, -1)

    def assemble(self, transforms: np.ndarray) -> np.ndarray:
        """Return the image, shape (y, x) float32, whose tiles have these transforms."""
        rows, columns = self.counts
        halo, step = self.halo_px, self.step_px
        tiles = fft.irfft2(transforms, s=(self.size_px, self.size_px))[..., halo : halo + step, halo : halo + step]
        image = tiles.transpose(0, 2, 1, 3).reshape(rows * step, columns * step)
        return image[: self.shape[0], : self.shape[1]]


@dataclass(frozen=True)
class VaryingKernel:
    """A convolution kernel that is a polynomial of the position.

    Attributes
    ----------
    coefficients : ndarray of shape (terms, k, k) float64
        One odd image per term of `polynomial_powers(order)`.
    order : int
    shape : (height, width) of the chip
    """

    coefficients: np.ndarray
    order: int
    shape: tuple[int, int]

    @property
    def radius_px(self) -> int:
        """Half width, pixels, without the centre."""
        return self.coefficients.shape[-1] // 2

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the kernel at each position, (n, k, k) float64."""
        return np.tensordot(polynomial_terms(x, y, self.shape, self.order), self.coefficients, 1)

    def sums(self) -> np.ndarray:
        """Return the kernel's sum at each pixel, shape (y, x) float32: the ratio of the two images' flux scales."""
        return evaluate_map(self.coefficients.sum(axis=(1, 2)), self.order, self.shape)

    def core_radius_px(self) -> int:
        """Return the half width of the square with 99 % of the absolute weight of the kernel at the chip's middle.

        Pixels closer than this to missing data are unreliable after a convolution.
        """
        middle = np.abs(self.at(np.array([(self.shape[1] - 1) / 2]), np.array([(self.shape[0] - 1) / 2]))[0])
        radius = self.radius_px
        inside = [middle[radius - r : radius + r + 1, radius - r : radius + r + 1].sum() for r in range(radius + 1)]
        return int(np.searchsorted(inside, 0.99 * middle.sum()))

    def convolve(self, image: np.ndarray) -> np.ndarray:
        """Convolve an image of the chip's shape (y, x) with the kernel of each pixel; float32.

        The kernel is that of the output pixel; beyond the image everything is 0.
        """
        tiles = Tiles(self.shape, self.radius_px)
        transforms = tiles.transform(image)
        across, up = (_scale(np.arange(length), length) for length in (self.shape[1], self.shape[0]))
        result = np.zeros(self.shape, np.float32)
        for term, (i, j) in zip(self.coefficients, polynomial_powers(self.order), strict=True):
            part = tiles.assemble(transforms * tiles.transform_kernels(term))
            if i:
                part *= (across**i).astype(np.float32)
            if j:
                part *= (up**j).astype(np.float32)[:, None]
            result += part
        return result


def evaluate_map(coefficients: np.ndarray, order: int, shape: tuple[int, int]) -> np.ndarray:
    """Evaluate a polynomial, coefficients of shape (terms,), at each pixel, shape (y, x) float32."""
    powers = np.zeros((order + 1, order + 1))
    for coefficient, (i, j) in zip(coefficients, polynomial_powers(order), strict=True):
        powers[j, i] = coefficient
    up, across = (np.vander(_scale(np.arange(length), length), order + 1, increasing=True) for length in shape)
    return (up @ powers).astype(np.float32) @ across.T.astype(np.float32)
