"""The light of a simulated pair by origin, from which the true origin of a detection follows as a share of its flux."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

_DENSE_ABOVE = 0.1
_SPLINE_PX = 8


@dataclass(frozen=True)
class LightByOrigin:
    """Noise-free light by origin; a pixel is the sum of its origins, the sky and noise.

    Attributes
    ----------
    new : mapping of str to (y, x) float32, counts of the new frame
        transient, flare, variable (the change since the reference), asteroid, star, galaxy, detector, particle, trail,
        ghost; origins without light are absent, those with few lit pixels sparse. Light lost to saturation is
        subtracted from the stars.
    reference : mapping of str to (y, x) float32, counts of the reference
        star, galaxy, detector (including the reference's holes), particle, asteroid, ghost.
    shift_px : (x, y)
        Position in the new frame minus position in the reference.
    """

    new: Mapping[str, np.ndarray | sparse.csr_array]
    reference: Mapping[str, np.ndarray | sparse.csr_array]
    shift_px: tuple[float, float]

    @property
    def names(self) -> tuple[str, ...]:
        """Origins with light in either frame."""
        return tuple(dict.fromkeys([*self.new, *self.reference]))

    def stamp(self, x: float, y: float, half: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Cut stamps of every origin around the pixel nearest to a position (x, y) of the new frame.

        Returns
        -------
        dict of str to (new, reference)
            Both float32 of shape (2 half + 1, 2 half + 1) on the pixels of the new frame, 0 outside the frames. The
            reference's light is in the reference's counts, resampled by cubic splines.
        """
        column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        reference_x, reference_y = column - self.shift_px[0], row - self.shift_px[1]
        blank = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
        stamps = {}
        for name in self.names:
            new, reference = blank, blank
            if name in self.new:
                new = _cut(self.new[name], column, row, half)
            if name in self.reference:
                reference = _resample(self.reference[name], reference_x, reference_y, half)
            stamps[name] = (new, reference)
        return stamps


def pack_light(image: np.ndarray) -> np.ndarray | sparse.csr_array | None:
    """Return an image of shape (y, x) in compact form: sparse if at most a tenth is lit, None if nothing is."""
    lit = np.count_nonzero(image)
    if not lit:
        return None
    return image if lit > _DENSE_ABOVE * image.size else sparse.csr_array(image)


def _cut(image: np.ndarray | sparse.csr_array, column: int, row: int, half: int) -> np.ndarray:
    """Cut a stamp (2 half + 1, 2 half + 1) centred on a pixel of an image (y, x); 0 outside the image."""
    height, width = image.shape
    size = 2 * half + 1
    stamp = np.zeros((size, size), np.float32)
    first_x, first_y = column - half, row - half
    columns = slice(max(first_x, 0), max(min(first_x + size, width), 0))
    rows = slice(max(first_y, 0), max(min(first_y + size, height), 0))
    if columns.start < columns.stop and rows.start < rows.stop:
        part = image[rows, columns]
        dense = part if isinstance(part, np.ndarray) else part.toarray()
        stamp[rows.start - first_y : rows.stop - first_y, columns.start - first_x : columns.stop - first_x] = dense
    return stamp


def _resample(image: np.ndarray | sparse.csr_array, x: float, y: float, half: int) -> np.ndarray:
    """Cut a stamp (2 half + 1, 2 half + 1) centred on a position between pixels, by cubic splines."""
    column, row = int(np.floor(x)), int(np.floor(y))
    wide = _cut(image, column, row, half + _SPLINE_PX)
    if wide.any() and (x != column or y != row):
        wide = ndimage.shift(wide, (row - y, column - x), order=3, mode="nearest")
    return wide[_SPLINE_PX:-_SPLINE_PX, _SPLINE_PX:-_SPLINE_PX]
