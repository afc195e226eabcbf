"""Stamps: small square cuts of new, reference and difference about one position, and whether they can be stored.

A triplet is (stamp_px, stamp_px, 3) float32, channels new, reference, difference, in raw units, NaN where there is no
data. The centre pixel of a width of n pixels is (n - 1) // 2: the middle of an odd width, the pixel before the middle
of an even one.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

EDGE, NAN_PLANE = "edge", "nan_plane"
CENTRAL_PX = 5
LEAST_FINITE = 0.5
_CANONICAL_NAN = np.float32(np.nan)


def centre_pixel(width_px: int) -> int:
    """Return the 0-based centre pixel of a width or height."""
    return (width_px - 1) // 2


def round_position(position: np.ndarray) -> np.ndarray:
    """Return the pixels that hold n positions, (n,) int64: floor(position + 0.5), halves rounded up.

    Raises
    ------
    ValueError
        A position is not finite.
    """
    position = np.atleast_1d(np.asarray(position, np.float64))
    bad = np.flatnonzero(~np.isfinite(position))
    if len(bad):
        raise ValueError(f"position {bad[0]} is {position[bad[0]]}, a stamp needs a finite one")
    return np.floor(position + 0.5).astype(np.int64)


def cut(planes: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray, stamp_px: int) -> np.ndarray:
    """Cut the stamps of candidates.

    Parameters
    ----------
    planes : three ndarray, (y, x)
        New, reference, difference, on one grid.
    x, y : ndarray of shape (n,)
        Positions of the candidates, in pixels.
    stamp_px : int

    Returns
    -------
    ndarray of shape (n, stamp_px, stamp_px, 3) float32
        The pixel `round_position` of each candidate is at `centre_pixel`; NaN beyond the frame and where a plane is not
        finite.

    Raises
    ------
    ValueError
        Not three planes of one shape; a position is not finite.
    """
    shapes = [np.shape(plane) for plane in planes]
    if len(shapes) != 3 or len(set(shapes)) != 1:
        raise ValueError(f"stamps are cut from three planes of one shape, got {shapes}")
    return np.stack([cut_plane(plane, x, y, stamp_px) for plane in planes], axis=-1)


def cut_plane(plane: np.ndarray, x: np.ndarray, y: np.ndarray, stamp_px: int) -> np.ndarray:
    """Cut the stamps of one plane, (n, stamp_px, stamp_px) float32; see `cut`."""
    rows, columns, outside = _stamp_indices(np.shape(plane), x, y, stamp_px)
    stamps = plane[rows[:, :, None], columns[:, None, :]].astype(np.float32)
    stamps[outside] = _CANONICAL_NAN
    return _only_finite(stamps)


def exchange_fainter(triplets: np.ndarray) -> np.ndarray:
    """Return triplets (n, y, x, 3) in which every source is brighter in the first plane than in the second.

    Where the light of the central 5 x 5 pixels of the difference is negative, new and reference are exchanged and the
    difference is negated: a source that faded is one that brightened in the other order of time. A survey whose
    candidates are brighter sources alone says nothing of the others otherwise.
    """
    middle = centre_pixel(triplets.shape[1])
    half = CENTRAL_PX // 2
    core = triplets[:, middle - half : middle + half + 1, middle - half : middle + half + 1, 2]
    fainter = np.nansum(core, axis=(1, 2)) < 0
    exchanged = triplets.copy()
    exchanged[fainter] = triplets[fainter][..., [1, 0, 2]] * np.array([1, 1, -1], triplets.dtype)
    return exchanged


def outside_frame(shape: tuple[int, ...], x: np.ndarray, y: np.ndarray, stamp_px: int) -> np.ndarray:
    """Return which pixels of the stamps lie beyond a frame of this shape, (n, stamp_px, stamp_px) bool."""
    return _stamp_indices(shape, x, y, stamp_px)[2]


def _stamp_indices(
    shape: tuple[int, ...], x: np.ndarray, y: np.ndarray, stamp_px: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (n, s) and columns (n, s) clipped to the frame, and which pixels lie beyond it (n, s, s) bool."""
    steps = np.arange(stamp_px) - centre_pixel(stamp_px)
    rows = round_position(y)[:, None] + steps
    columns = round_position(x)[:, None] + steps
    off_rows = (rows < 0) | (rows >= shape[0])
    off_columns = (columns < 0) | (columns >= shape[1])
    outside = off_rows[:, :, None] | off_columns[:, None, :]
    return rows.clip(0, shape[0] - 1), columns.clip(0, shape[1] - 1), outside


def fit_size(stamps: np.ndarray, stamp_px: int, centre: tuple[int, int] | None = None) -> np.ndarray:
    """Cut or pad stamps to the dataset's size, centre pixel on centre pixel.

    So 63 -> 29 keeps pixels 17 to 45; 30 -> 29 leaves out the last row and column; 29 -> 31 adds one on each side.

    Parameters
    ----------
    stamps : ndarray of shape (n, height, width, channels), any real type
        It may be a memory map: only what is kept is read.
    stamp_px : int
    centre : (y, x), optional
        The pixel of the candidate where it is not the centre pixel, as in a stamp that the frame's edge cut short.

    Returns
    -------
    ndarray of shape (n, stamp_px, stamp_px, channels) float32
        NaN where the source has no pixel, and where a value was infinite or beyond float32.
    """
    count, height, width, channels = stamps.shape
    row, column = centre if centre is not None else (centre_pixel(height), centre_pixel(width))
    from_rows, to_rows = _overlap(height, row, stamp_px)
    from_columns, to_columns = _overlap(width, column, stamp_px)
    fitted = np.full((count, stamp_px, stamp_px, channels), _CANONICAL_NAN)
    with np.errstate(over="ignore", invalid="ignore"):
        fitted[:, to_rows, to_columns] = stamps[:, from_rows, from_columns]
    return _only_finite(fitted)


def _overlap(width_px: int, centre_px: int, stamp_px: int) -> tuple[slice, slice]:
    """Return the slice to read along one axis of the source, and the slice of the stamp to write it to."""
    shift = centre_pixel(stamp_px) - centre_px
    first, last = max(0, -shift), min(width_px, stamp_px - shift)
    last = max(first, last)
    return slice(first, last), slice(first + shift, last + shift)


def _only_finite(stamps: np.ndarray) -> np.ndarray:
    stamps[~np.isfinite(stamps)] = _CANONICAL_NAN
    return stamps


def finite_fraction(triplets: np.ndarray) -> np.ndarray:
    """Return the fraction of finite values of n triplets over all planes, (n,) float64."""
    fraction = np.ones(len(triplets))
    partial = _incomplete(triplets)
    fraction[partial] = np.isfinite(triplets[partial]).mean(axis=(1, 2, 3))
    return fraction


def _incomplete(triplets: np.ndarray) -> np.ndarray:
    """Return the rows that may hold non-finite values; usually few, so that only these are examined further.

    A sum is finite only if all its terms are, so one pass over the values finds every such row.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        total = triplets.reshape(len(triplets), math.prod(triplets.shape[1:])).sum(axis=1)
    return np.flatnonzero(~np.isfinite(total))


def stamp_reasons(triplets: np.ndarray, outside: np.ndarray | None = None) -> list[str | None]:
    """Return why triplets cannot be stored, None where they can.

    A triplet can be stored when the central 5x5 is finite in all planes and at least half of each plane is. The reason
    is ``edge`` where only pixels beyond the frame are missing for that, and ``nan_plane`` otherwise.

    Parameters
    ----------
    triplets : ndarray of shape (n, stamp_px, stamp_px, 3)
    outside : ndarray of bool, shape (n, stamp_px, stamp_px), optional
        Pixels known to lie beyond the frame.

    Returns
    -------
    list of str or None, n long
    """
    reasons: list[str | None] = [None] * len(triplets)
    partial = _incomplete(triplets)
    rejected = partial[~_is_storable(np.isfinite(triplets[partial]))]
    for index in rejected:
        reasons[index] = NAN_PLANE
    if outside is not None:
        for index in rejected[_is_storable(np.isfinite(triplets[rejected]) | outside[rejected, ..., None])]:
            reasons[index] = EDGE
    return reasons


def _is_storable(finite: np.ndarray) -> np.ndarray:
    first = max(0, centre_pixel(finite.shape[1]) - CENTRAL_PX // 2)
    central = finite[:, first : first + CENTRAL_PX, first : first + CENTRAL_PX]
    half = finite.mean(axis=(1, 2)) >= LEAST_FINITE
    return np.asarray(central.all(axis=(1, 2, 3)) & half.all(axis=1))


def pixel_sha256(triplet: np.ndarray) -> str:
    """Return the sha256 of a triplet's values, any shape: C order, little-endian float32, one bit pattern for NaN."""
    return pixel_digests(np.asarray(triplet)[None])[0]


def pixel_digests(triplets: np.ndarray) -> list[str]:
    """Return the sha256 of each of n triplets, (n, stamp_px, stamp_px, 3); see `pixel_sha256`."""
    values = np.ascontiguousarray(triplets, "<f4")
    digests = [hashlib.sha256(value.data).hexdigest() for value in values]
    for index in _incomplete(values):
        canonical = np.where(np.isnan(values[index]), _CANONICAL_NAN, values[index])
        digests[index] = hashlib.sha256(canonical.data).hexdigest()
    return digests
