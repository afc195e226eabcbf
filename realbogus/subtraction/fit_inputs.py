"""What a subtraction reads of each of its two frames, and which pixels say something."""

import numpy as np
from scipy import ndimage

from realbogus.frames import Frame, Mask
from realbogus.psf.kernels import evaluate_map, polynomial_terms
from realbogus.subtraction.kernel_fit import FitImage
from realbogus.subtraction.significance import estimate_variance

_CELL_PX = 32
_CELL_STEP = 2
_LEVEL_ORDER = 2
_CELLS_PER_TERM = 4


def read_side(frame: Frame, fwhm_px: float) -> FitImage:
    """Return what the fit reads of a frame; a defect takes the value of the pixels beside it."""
    unusable = find_unusable(frame)
    signal = frame.signal()
    defect = unusable & ~find_empty(frame)
    if defect.any():
        signal[defect] = _interpolate(signal, unusable, np.argwhere(defect))
    saturated = (frame.mask & Mask.SATURATED) > 0
    return FitImage(signal, estimate_variance(frame, signal, unusable), unusable | saturated, fwhm_px)


def _interpolate(signal: np.ndarray, unusable: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the mean of the usable neighbours of each place, (n,); 0 where there is none."""
    total, count = np.zeros(len(places), np.float32), np.zeros(len(places), np.float32)
    for step in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
        row, column = np.clip(places + step, 0, np.array(signal.shape) - 1).T
        good = ~unusable[row, column]
        total += np.where(good, signal[row, column], 0)
        count += good
    return total / np.maximum(count, 1)


def find_empty(frame: Frame) -> np.ndarray:
    """Return the pixels without data, (y, x) bool."""
    return (frame.mask & Mask.NO_DATA) > 0


def find_unusable(frame: Frame) -> np.ndarray:
    """Return the pixels that say nothing of the sky, (y, x) bool: empty or defective."""
    return (frame.mask & (Mask.NO_DATA | Mask.DEFECT)) > 0


def spread_loss(lost: np.ndarray, reach: int) -> np.ndarray:
    """Return the pixels, (y, x) bool, within `reach`, by rows and columns, of a lost one or of the image's border."""
    near = ndimage.maximum_filter(lost, 2 * reach + 1, mode="constant") if lost.any() else lost.copy()
    if reach:
        near[:reach] = near[-reach:] = True
        near[:, :reach] = near[:, -reach:] = True
    return near


def blank(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the pixels with NaN in some places."""
    return np.where(where, np.float32(np.nan), pixels)


def fit_level(residual: np.ndarray) -> np.ndarray:
    """Return the smooth level of a residual image, (y, x) float32: a polynomial through the medians of its cells.

    It is read from the sky, which holds a hundred times as many pixels as the stamps of stars, whose own level also
    takes up what the kernel leaves of the stars' wings. Pixels that are NaN, and cells with mostly such, are left out.
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
    row, column = np.divmod(np.flatnonzero(full), columns)
    order = _LEVEL_ORDER if full.sum() > _CELLS_PER_TERM * (_LEVEL_ORDER + 1) * (_LEVEL_ORDER + 2) / 2 else 0
    terms = polynomial_terms((column + 0.5) * _CELL_PX, (row + 0.5) * _CELL_PX, residual.shape, order)
    return evaluate_map(np.linalg.lstsq(terms, level[full], rcond=None)[0], order, residual.shape)
