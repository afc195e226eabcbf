"""Blocks of candidates: stamps of the size of a model, and the reasons why some cannot be scored.

A stamp is (y, x, channel) with channels new, reference, difference, in the frames' raw units, NaN where there is no
data.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realbogus.readings import Reading
from realbogus.records import SourceError
from realbogus.stamps import centre_pixel, fit_size, stamp_reasons

CONSTANT_PLANE = "constant_plane"
"""Reason of a candidate with a plane of one value: scaled by its noise, only rounding errors would be left."""
PLANES = 3
_CORE_PX = 2


@dataclass(frozen=True)
class CandidateBlock:
    """Candidates that are scored together.

    Attributes
    ----------
    ids : list of str
    stamps : (n, stamp_px, stamp_px, 3) float32
        NaN where there is no data, never infinite.
    ra_deg, dec_deg : (n,) float64
        NaN where there is no position.
    reasons : list of str or None
        Why a candidate cannot be scored; None if it can.
    reading : Reading
        What was understood of the source, and how many of these candidates lack what.
    """

    ids: list[str]
    stamps: NDArray[np.float32]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    reasons: list[str | None]
    reading: Reading = field(default_factory=Reading)


def make_block(
    ids: list[str],
    stamps: NDArray[Any],
    stamp_px: int,
    ra_deg: NDArray | None = None,
    dec_deg: NDArray | None = None,
) -> CandidateBlock:
    """Return a block of stamps (n, y, x, 3) of any size and numeric type, cropped and cast to the model's."""
    if stamps.shape[1:3] != (stamp_px, stamp_px) or stamps.dtype != np.float32:
        stamps = fit_size(stamps, stamp_px)
    stamps = replace_infinities(stamps)
    no_position = np.full(len(ids), np.nan)
    return CandidateBlock(
        ids,
        stamps,
        no_position if ra_deg is None else ra_deg,
        no_position if dec_deg is None else dec_deg,
        unscorable_reasons(stamps, [None] * len(ids)),
    )


def require_stamps(name: str, shape: tuple[int, ...], stamp_px: int) -> None:
    """Refuse arrays that hold no triplets, or stamps smaller than the model's; larger ones are cropped.

    Raises
    ------
    SourceError
    """
    if len(shape) != 4 or shape[3] != PLANES:
        raise SourceError(f"{name} has shape {shape}, expected (n, height, width, 3): new, reference, difference")
    if min(shape[1:3]) < stamp_px:
        raise SourceError(
            f"{name}: a candidate is {(shape[1], shape[2])}, expected {(stamp_px, stamp_px)}; larger stamps are "
            "cropped about their centre, smaller ones cannot be scored by this model"
        )


def require_numbers(name: str, dtype: Any) -> None:
    """Refuse arrays of another type than integers or floats.

    Raises
    ------
    SourceError
    """
    if np.dtype(dtype).kind not in "iuf":
        raise SourceError(f"{name} is of type {dtype}, expected whole or floating-point numbers")


def row_ids(first: int, count: int) -> list[str]:
    """Return the ids of `count` rows from row `first` on: the row number in nine digits."""
    return [f"{row:09d}" for row in range(first, first + count)]


def replace_infinities(stamps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return stamps (n, y, x, 3) with NaN in place of infinities.

    The result is a copy if a value is replaced or if `stamps` is memory-mapped: the file's pages may then be released.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a sum is finite only if all its terms are
        rows = np.flatnonzero(~np.isfinite(stamps.reshape(len(stamps), -1).sum(axis=1)))
    if isinstance(stamps, np.memmap) or len(rows):
        stamps = np.array(stamps)
        stamps[rows] = np.where(np.isfinite(stamps[rows]), stamps[rows], np.float32(np.nan))
    return stamps


def unscorable_reasons(stamps: NDArray[np.float32], earlier: list[str | None]) -> list[str | None]:
    """Return why each candidate cannot be scored, None if it can.

    The reasons are those for which a build rejects a triplet, and `CONSTANT_PLANE`; a reason in `earlier` (n,) is kept.
    """
    reasons = [before or after for before, after in zip(earlier, stamp_reasons(stamps), strict=True)]
    for row in _constant_core(stamps):
        if reasons[row] is None and np.any(np.nanmin(stamps[row], (0, 1)) == np.nanmax(stamps[row], (0, 1))):
            reasons[row] = CONSTANT_PLANE
    return reasons


def _constant_core(stamps: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rows with a plane that is constant in its middle: few, and only they are examined whole."""
    middle = centre_pixel(stamps.shape[1])
    core = stamps[:, middle - _CORE_PX : middle + _CORE_PX + 1, middle - _CORE_PX : middle + _CORE_PX + 1]
    return np.flatnonzero((core == core[:, :1, :1]).all(axis=(1, 2)).any(axis=1))
