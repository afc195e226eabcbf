"""Inputs of a subtraction: signal, variance and usable pixels of each frame, and the residual sky level."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from realbogus.frames import Frame, Mask
from realbogus.psf.kernels import evaluate_map, polynomial_terms
from realbogus.subtraction.significance import estimate_variance

_CELL_PX = 32
_CELL_STEP = 2
_LEVEL_ORDER = 2
_CELLS_PER_TERM = 4


class LevelFitError(ValueError):
    """The level of a difference cannot be fitted."""


@dataclass(frozen=True)
class FitImage:
    """One of the two images of a kernel fit.

    Attributes
    ----------
    signal : ndarray of shape (y, x) float32, counts
        Above the background.
    variance : ndarray of shape (y, x) float32, counts squared
        0 where unusable.
    unusable : ndarray of bool, shape (y, x)
        Without data, defective or saturated.
    fwhm_px : float
    """

    signal: np.ndarray
    variance: np.ndarray
    unusable: np.ndarray
    fwhm_px: float


def make_fit_image(frame: Frame, fwhm_px: float) -> FitImage:
    """Return a frame's inputs to the fit; defects are filled with the mean of their usable neighbours."""
    unusable = find_unusable(frame)
    signal = frame.signal()
    defect = unusable & ~find_empty(frame)
    if defect.any():
        signal[defect] = _interpolate(signal, unusable, np.argwhere(defect))
    saturated = (frame.mask & Mask.SATURATED) > 0
    return FitImage(signal, estimate_variance(frame, signal, unusable), unusable | saturated, fwhm_px)


def _interpolate(signal: np.ndarray, unusable: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the mean of the usable ones among the eight neighbours of each place, (n,); 0 where there is none.

    Only defects are visited: `astropy.convolution.interpolate_replace_nans`, which convolves the whole frame, gives
    the same to float32's last digit in five times the time.
    """
    total, count = np.zeros(len(places), np.float32), np.zeros(len(places), np.float32)
    for step in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        row, column = np.clip(places + step, 0, np.array(signal.shape) - 1).T
        good = ~unusable[row, column]
        total += np.where(good, signal[row, column], 0)
        count += good
    return total / np.maximum(count, 1)


def find_empty(frame: Frame) -> np.ndarray:
    """Return the pixels without data, shape (y, x) bool."""
    return (frame.mask & Mask.NO_DATA) > 0


def find_unusable(frame: Frame) -> np.ndarray:
    """Return the pixels without data and the defects, shape (y, x) bool."""
    return (frame.mask & (Mask.NO_DATA | Mask.DEFECT)) > 0


def dilate_missing(missing: np.ndarray, reach: int) -> np.ndarray:
    """Dilate missing pixels and the image's border by `reach` rows and columns; shape (y, x) bool."""
    near = ndimage.maximum_filter(missing, 2 * reach + 1, mode="constant") if missing.any() else missing.copy()
    if reach:
        near[:reach] = near[-reach:] = True
        near[:, :reach] = near[:, -reach:] = True
    return near


def blank(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return an image of shape (y, x) float32 with NaN at the pixels in `where`, shape (y, x) bool."""
    return np.where(where, np.float32(np.nan), pixels)


def fit_level(residual: np.ndarray) -> np.ndarray:
    """Fit the smooth level of a residual image, both of shape (y, x): a polynomial through the medians of its cells.

    It is measured on the sky, which has a hundred times as many pixels as the stamps of stars; the level in those
    stamps also absorbs the residual wings of the stars. NaN pixels, and cells that are mostly NaN, are left out.
    `photutils.background.Background2D` interpolates cells by splines, which would follow the residual of a single
    galaxy and subtract part of its transient; a polynomial of six terms cannot.

    Returns
    -------
    ndarray of shape (y, x) float32

    Raises
    ------
    LevelFitError
        A cell's median is infinite.
    """
    rows, columns = (length // _CELL_PX for length in residual.shape)
    per_cell = _CELL_PX // _CELL_STEP
    sparse = residual[: rows * _CELL_PX : _CELL_STEP, : columns * _CELL_PX : _CELL_STEP]
    cells = np.sort(sparse.reshape(rows, per_cell, columns, per_cell).transpose(0, 2, 1, 3).reshape(-1, per_cell**2))
    count = np.isfinite(cells).sum(axis=1)  # a sort puts NaN last
    level = np.take_along_axis(cells, count[:, None] // 2, axis=1)[:, 0]
    full = count > per_cell**2 / 2
    if not full.any():
        return np.zeros(residual.shape, np.float32)
    if not np.isfinite(level[full]).all():
        raise LevelFitError("the sky of the difference has no level: its values overflow")
    row, column = np.divmod(np.flatnonzero(full), columns)
    order = _LEVEL_ORDER if full.sum() > _CELLS_PER_TERM * (_LEVEL_ORDER + 1) * (_LEVEL_ORDER + 2) / 2 else 0
    terms = polynomial_terms((column + 0.5) * _CELL_PX, (row + 0.5) * _CELL_PX, residual.shape, order)
    return evaluate_map(np.linalg.lstsq(terms, level[full], rcond=None)[0], order, residual.shape)
