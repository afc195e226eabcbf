"""A point-spread function that varies over a chip, drawn at any sub-pixel position.

It is stored as the transform of a stamp with the aliases that sampling folds onto it, so that a shift is a change of
phase, exact at every sub-pixel position.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import fft

from realbogus.psf.kernels import polynomial_terms

_DRAW_CHUNK = 256


class PsfError(ValueError):
    """The point-spread function of a frame cannot be measured."""


class Psf(Protocol):
    """A point-spread function: draws a point source of unit flux anywhere on a chip."""

    @property
    def size(self) -> int:
        """Width of a stamp in pixels, odd."""

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return stamps, (n, size, size) float32, centred on the pixels that hold (x, y), (n,) each."""


@dataclass(frozen=True)
class PsfModel:
    """An empirical point-spread function, convolved with the pixel.

    It sums to 1 within `radius_px` of the centre, so that fluxes are those within that radius.

    Attributes
    ----------
    spectra : ndarray of shape (terms, size, size // 2 + 1) complex128
        Transforms of the polynomial's coefficients below the pixels' own Nyquist frequency.
    aliases : ndarray of shape (3, size, size // 2 + 1) complex128
        The function's transform one sampling frequency away in y, in x and in both; constant over the chip.
    order : int
        Of the polynomial in the position.
    shape : (height, width) of the chip
    size : int
        Width of a stamp in pixels, odd.
    radius_px : float
    fwhm_px : float
        At the chip's middle.
    stars : int
        Number of stars fitted.
    jackknife : ndarray of shape (k, terms, size, size // 2 + 1) complex128
        `spectra` with each of k groups of stars left out, their scatter scaled to the model's standard error.
    """

    spectra: np.ndarray
    aliases: np.ndarray
    order: int
    shape: tuple[int, int]
    size: int
    radius_px: float
    fwhm_px: float
    stars: int
    jackknife: np.ndarray

    def at(self, x: np.ndarray, y: np.ndarray, realisation: int | None = None) -> np.ndarray:
        """Draw point sources of unit flux.

        Parameters
        ----------
        x, y : ndarray of shape (n,), pixels
            The stamp's centre is the pixel ``floor(x + 0.5), floor(y + 0.5)``.
        realisation : int or None
            Row of `jackknife` to draw from instead of the model itself.

        Returns
        -------
        ndarray of shape (n, size, size) float32
        """
        x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        spectra = self.spectra if realisation is None else self.jackknife[realisation]
        single = replace(self, spectra=spectra.astype(np.complex64), aliases=self.aliases.astype(np.complex64))
        stamps = np.empty((len(x), self.size, self.size), np.float32)
        for start in range(0, len(x), _DRAW_CHUNK):
            rows = slice(start, start + _DRAW_CHUNK)
            stamps[rows] = to_stamps(single.transform(x[rows], y[rows]))
        return stamps

    def transform(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the transforms of the stamps at each position, (n, size, size // 2 + 1) complex128."""
        terms = polynomial_terms(x, y, self.shape, self.order).astype(self.spectra.real.dtype)
        spectra_at = (terms @ self.spectra.reshape(len(self.spectra), -1)).reshape(-1, *self.spectra.shape[1:])
        along_y, along_x, base_y, base_x = (part.astype(spectra_at.dtype) for part in shift_phases(x, y, self.size))
        spectra_at += along_y[:, :, None] * self.aliases[0]
        spectra_at += along_x[:, None, None] * self.aliases[1]
        spectra_at += (along_y * along_x[:, None])[:, :, None] * self.aliases[2]
        spectra_at *= base_y[:, :, None]
        spectra_at *= base_x[:, None, :]
        return spectra_at

    def draw(
        self, x: np.ndarray, y: np.ndarray, flux: np.ndarray, shape: tuple[int, int], realisation: int | None = None
    ) -> np.ndarray:
        """Draw n sources into an image of this shape, (y, x) float32; light beyond its edges is lost."""
        radius = self.size // 2
        x, y, flux = (np.atleast_1d(np.asarray(values, float)) for values in (x, y, flux))
        near = (x > -radius) & (y > -radius) & (x < shape[1] + radius) & (y < shape[0] + radius)
        stamps = self.at(x[near], y[near], realisation) * flux[near, None, None].astype(np.float32)
        return add_stamps(stamps, x[near], y[near], shape)


def add_stamps(stamps: np.ndarray, x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Add stamps, (n, size, size), centred on the pixels that hold (x, y), into an image of this shape, (y, x) float32.

    No stamp may be entirely outside of the image.
    """
    size = stamps.shape[-1]
    image = np.zeros((shape[0] + 2 * size, shape[1] + 2 * size), np.float32)
    first = size - size // 2
    columns, rows = (find_pixels(x) + first).tolist(), (find_pixels(y) + first).tolist()
    for stamp, column, row in zip(stamps, columns, rows, strict=True):
        image[row : row + size, column : column + size] += stamp
    return image[size:-size, size:-size]


def constant_psf(stamp: np.ndarray, shape: tuple[int, int]) -> PsfModel:
    """Return a model that is the same over the chip, from a stamp centred on its middle pixel.

    Parameters
    ----------
    stamp : ndarray of shape (k, k), k odd
        Sampled at the frame's pixels; normalised to a sum of 1.
    shape : (height, width) of the chip

    Raises
    ------
    PsfError
        The stamp is not square and odd, or its sum is not positive.
    """
    if stamp.ndim != 2 or stamp.shape[0] != stamp.shape[1] or stamp.shape[0] % 2 == 0:
        raise PsfError(f"the stamp of a PSF is {stamp.shape}, expected a square of odd width")
    if not np.isfinite(stamp).all() or stamp.sum() <= 0:
        raise PsfError(f"the stamp of a PSF sums to {stamp.sum()}, expected a positive sum and no NaN")
    size = stamp.shape[0]
    spectra = fft.rfft2(fft.ifftshift(stamp.astype(float) / stamp.sum()))[None]
    aliases = np.zeros((3, *spectra.shape[1:]), complex)
    model = PsfModel(spectra, aliases, 0, shape, size, size / 2, 0.0, 0, spectra[None])
    return replace(model, fwhm_px=measure_fwhm(model))


def cut_stamps(image: np.ndarray, x: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Return stamps, (n, size, size), around the pixels that hold (x, y); they must lie within the image."""
    reach = np.arange(size) - size // 2
    return image[find_pixels(y)[:, None, None] + reach[:, None], find_pixels(x)[:, None, None] + reach]


def find_pixels(position: np.ndarray) -> np.ndarray:
    """Return the row or column of the pixel that holds each position, (n,) int."""
    return np.floor(np.asarray(position) + 0.5).astype(int)


def make_disc(size: int, radius: float) -> np.ndarray:
    """Return which pixels of a stamp are within a radius of its centre, shape (size, size) bool."""
    reach = np.arange(size) - size // 2
    return np.hypot(reach[:, None], reach) <= radius


def shift_phases(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return phase factors of n stars' sub-pixel positions.

    Returns
    -------
    along_y, along_x : ndarray of shape (n, size) and (n,)
        Of the aliases. The alias of a positive frequency is negative and the reverse; a half transform has rows of both
        signs and columns of positive frequency.
    base_y, base_x : ndarray of shape (n, size) and (n, size // 2 + 1)
        Of the shift itself.
    """
    across, up = x - find_pixels(x), y - find_pixels(y)
    wave_y, wave_x = fft.fftfreq(size), fft.rfftfreq(size)
    along_y = np.exp(2j * np.pi * np.where(wave_y >= 0, 1, -1) * up[:, None])
    along_x = np.exp(2j * np.pi * across)
    base_y = np.exp(-2j * np.pi * wave_y * up[:, None])
    base_x = np.exp(-2j * np.pi * wave_x * across[:, None])
    return along_y, along_x, base_y, base_x


def to_stamps(transforms: np.ndarray) -> np.ndarray:
    """Return stamps, (n, size, size), centred on their middle pixel from transforms centred on the first pixel."""
    size = transforms.shape[-2]
    return fft.fftshift(fft.irfft2(transforms, s=(size, size)), axes=(-2, -1))


def measure_fwhm(model: PsfModel) -> float:
    """Return the diameter of a disc with the area above half of the maximum, on eight times finer pixels."""
    finer, size = 8, model.size
    middle = np.array([float(model.shape[1] // 2)]), np.array([float(model.shape[0] // 2)])
    spectrum = model.transform(*middle)[0]
    wide = np.zeros((size * finer, size * finer // 2 + 1), complex)
    half = size // 2
    wide[: half + 1, : half + 1] = spectrum[: half + 1]
    wide[-half:, : half + 1] = spectrum[-half:]
    drawn = fft.irfft2(wide, s=(size * finer, size * finer))
    return float(2 * np.sqrt((drawn > 0.5 * drawn.max()).sum() / np.pi) / finer)
