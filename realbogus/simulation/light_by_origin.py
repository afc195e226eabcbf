"""The light of each origin in a simulated pair, kept apart so that the truth of a detection is a share of flux."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

_DENSE_ABOVE = 0.1
_SPLINE_PX = 8


@dataclass(frozen=True)
class Origins:
    """Noise-free light by origin; what a pixel holds beyond their sum is sky and noise.

    Attributes
    ----------
    new : mapping of str to (y, x) array, counts of the new frame
        transient, flare, variable (the change since the reference), asteroid, star, galaxy, detector, particle, trail,
        ghost; an origin without light is missing. What saturation clips is taken from the stars. Rarely lit ones are
        sparse.
    reference : mapping of str to (y, x) array, counts of the reference
        star, galaxy, detector (its holes included), particle, asteroid, ghost.
    shift_px : (x, y)
        Position in the new frame minus position in the reference.
    """

    new: Mapping[str, np.ndarray | sparse.csr_array]
    reference: Mapping[str, np.ndarray | sparse.csr_array]
    shift_px: tuple[float, float]

    @property
    def names(self) -> tuple[str, ...]:
        """Origins that have light in either frame."""
        return tuple(dict.fromkeys([*self.new, *self.reference]))

    def stamp(self, x: float, y: float, half: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Cut all origins around the pixel nearest to a position of the new frame.

        Returns
        -------
        dict of str to (new, reference)
            Each (2 half + 1, 2 half + 1) float32 on the pixels of the new frame: the reference's light in its own
            counts, brought there by cubic splines; 0 beyond the frames.
        """
        column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        there = column - self.shift_px[0], row - self.shift_px[1]
        blank = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
        stamps = {}
        for name in self.names:
            new = _cut(self.new[name], column, row, half) if name in self.new else blank
            old = _cut_between(self.reference[name], *there, half) if name in self.reference else blank
            stamps[name] = (new, old)
        return stamps


def pack_light(image: np.ndarray) -> np.ndarray | sparse.csr_array | None:
    """Return an origin's image as it is kept: whole, sparse where most pixels are dark, None where all are."""
    lit = np.count_nonzero(image)
    if not lit:
        return None
    return image if lit > _DENSE_ABOVE * image.size else sparse.csr_array(image)


def _cut(image: np.ndarray | sparse.csr_array, column: int, row: int, half: int) -> np.ndarray:
    height, width = image.shape
    side = 2 * half + 1
    stamp = np.zeros((side, side), np.float32)
    left, top = column - half, row - half
    columns = slice(max(left, 0), max(min(left + side, width), 0))
    rows = slice(max(top, 0), max(min(top + side, height), 0))
    if columns.start < columns.stop and rows.start < rows.stop:
        part = image[rows, columns]
        dense = part if isinstance(part, np.ndarray) else part.toarray()
        stamp[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = dense
    return stamp


def _cut_between(image: np.ndarray | sparse.csr_array, x: float, y: float, half: int) -> np.ndarray:
    """Cut at a position between pixels."""
    column, row = int(np.floor(x)), int(np.floor(y))
    wide = _cut(image, column, row, half + _SPLINE_PX)
    if wide.any() and (x != column or y != row):
        wide = ndimage.shift(wide, (row - y, column - x), order=3, mode="nearest")
    return wide[_SPLINE_PX:-_SPLINE_PX, _SPLINE_PX:-_SPLINE_PX]
