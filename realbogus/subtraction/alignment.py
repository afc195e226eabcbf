"""Resampling of the reference onto the new frame's pixel grid, by the WCS of both."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS
from scipy import ndimage
from scipy.interpolate import RectBivariateSpline

from realbogus.frames import Frame, Mask, Pair
from realbogus.library_faults import name_faults

_NODE_PX = 32
_TRANSLATION_PX = 1e-3
_LANCZOS = 5
_LEAST_COVERED = 0.25
_SPLINE_ORDER = 5


class AlignmentError(ValueError):
    """The two frames of a pair cannot be aligned."""


@dataclass(frozen=True)
class _Mapping:
    """Positions in the reference of the new frame's pixels, on a coarse grid.

    Attributes
    ----------
    rows, columns : ndarray of shape (rows,) and (columns,)
        Pixels of the new frame.
    x, y : ndarray of shape (rows, columns)
        Pixels of the reference.
    """

    rows: np.ndarray
    columns: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def translation(self) -> tuple[float, float] | None:
        """Return the shift in x and y if the mapping is a pure translation to 0.001 pixel, else None."""
        across, up = self.x - self.columns, self.y - self.rows[:, None]
        middle = (across.min() + across.max()) / 2, (up.min() + up.max()) / 2
        deviation = max(np.abs(across - middle[0]).max(), np.abs(up - middle[1]).max())
        return (float(middle[0]), float(middle[1])) if deviation < _TRANSLATION_PX else None

    def area(self) -> float:
        """Return the area of one of the new frame's pixels, in pixels of the reference."""
        step_y, step_x = self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]
        along_x = np.diff(self.x, axis=1)[:-1] / step_x, np.diff(self.y, axis=1)[:-1] / step_x
        along_y = np.diff(self.x, axis=0)[:, :-1] / step_y, np.diff(self.y, axis=0)[:, :-1] / step_y
        return float(np.median(np.abs(along_x[0] * along_y[1] - along_x[1] * along_y[0])))

    def covered(self, shape: tuple[int, int]) -> float:
        """Return the fraction of the new frame that a reference of this shape covers."""
        within = (self.x > -0.5) & (self.x < shape[1] - 0.5) & (self.y > -0.5) & (self.y < shape[0] - 0.5)
        return float(within.mean())

    def interpolate(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the positions y and x in the reference of every pixel, shape (2, y, x)."""
        order = min(3, len(self.rows) - 1, len(self.columns) - 1)
        grid = np.arange(shape[0]), np.arange(shape[1])
        splines = (RectBivariateSpline(self.rows, self.columns, part, kx=order, ky=order) for part in (self.y, self.x))
        return np.stack([spline(*grid) for spline in splines])


def align(pair: Pair) -> Pair:
    """Resample the reference, its mask, background and noise, onto the new frame's pixels.

    Counts are conserved: where pixels differ in size, values are scaled by their area. The noise map is that of the
    reference's own pixels: interpolation correlates pixels but does not change sums over a star, and the noise is only
    used in such sums. The new frame is never resampled. A translation uses Lanczos-5 filters along the axes, any other
    mapping quintic splines, with the mapping computed at every 32nd pixel.

    Raises
    ------
    AlignmentError
        The pair is declared aligned but its frames differ in shape; a frame has no WCS; the reference covers less than
        a quarter of the new frame.
    """
    if pair.aligned:
        if pair.new.shape != pair.reference.shape:
            raise AlignmentError(
                f"the aligned frames of {pair.detector} visit {pair.visit} differ in shape: new {pair.new.shape}, "
                f"reference {pair.reference.shape}; give both a WCS and set aligned=False"
            )
        return pair
    mapping = _map_pixels(pair)
    covered = mapping.covered(pair.reference.shape)
    if covered < _LEAST_COVERED:
        across, up = np.median(mapping.x - mapping.columns), np.median(mapping.y - mapping.rows[:, None])
        raise AlignmentError(
            f"the reference of {pair.detector} visit {pair.visit} lies {np.hypot(across, up):.0f} px away and covers "
            f"{covered:.0%} of the new frame, {_LEAST_COVERED:.0%} is needed: check the WCS of both"
        )
    shift = mapping.translation()
    reference = pair.reference
    if shift is None:
        resampled = _resample(reference, mapping.interpolate(pair.new.shape), mapping.area())
    elif shift == (0, 0) and reference.shape == pair.new.shape:
        resampled = reference
    else:
        resampled = _shift(reference, shift, pair.new.shape)
    return replace(pair, reference=replace(resampled, wcs=pair.new.wcs), aligned=True)


def _map_pixels(pair: Pair) -> _Mapping:
    missing = [name for name, frame in (("new", pair.new), ("reference", pair.reference)) if frame.wcs is None]
    if missing:
        raise AlignmentError(
            f"the {' and '.join(missing)} frame of {pair.detector} visit {pair.visit} has no WCS (shapes: new "
            f"{pair.new.shape}, reference {pair.reference.shape}): give one, or frames that are aligned"
        )
    rows, columns = (np.linspace(0, length - 1, max(-(-length // _NODE_PX), 4) + 1) for length in pair.new.shape)
    grid_y, grid_x = np.meshgrid(rows, columns, indexing="ij")
    x, y = _transfer(pair.new.wcs, pair.reference.wcs, grid_x.ravel(), grid_y.ravel())
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise AlignmentError(
            f"the WCS of the reference of {pair.detector} visit {pair.visit} gives no position for "
            f"{np.mean(~np.isfinite(x)):.0%} of the new frame: the two point to different sides of the sky"
        )
    return _Mapping(rows, columns, x.reshape(grid_x.shape), y.reshape(grid_x.shape))


def _transfer(new: WCS, reference: WCS, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions in the reference of n pixels of the new frame, (n,) each; NaN beyond the projection."""
    with name_faults(AlignmentError, "the positions of the new frame's pixels in the reference cannot be computed"):
        ra, dec = new.all_pix2world(x, y, 0)
        # quiet: `all_world2pix` iterates the inverse of a distortion, which does not converge far outside of the frame
        across, up = reference.all_world2pix(ra, dec, 0, quiet=True)
    return np.asarray(across), np.asarray(up)


def _shift(frame: Frame, shift: tuple[float, float], shape: tuple[int, int]) -> Frame:
    """Return a frame of this shape whose pixel (x, y) is the frame's at (x, y) + shift."""
    pixels_moved = [int(np.floor(part + 0.5)) for part in shift]
    rest = [part - number for part, number in zip(shift, pixels_moved, strict=True)]
    empty = (frame.mask & Mask.NO_DATA) > 0
    filled = np.where(empty, frame.background, frame.pixels) - frame.background
    taps = [lanczos_taps(part) for part in rest]
    for axis in (1, 0):
        if rest[1 - axis]:
            filled = ndimage.correlate1d(filled, taps[1 - axis], axis=axis, mode="nearest")
    mask = _spread_mask(frame.mask, rest)
    window = _Window(pixels_moved, shape)
    mask = window.cut(mask, int(Mask.NO_DATA))
    background = window.cut(frame.background, None)
    signal = window.cut(filled, 0.0)
    pixels = np.where(mask & Mask.NO_DATA, np.nan, signal + background).astype(np.float32)
    return replace(
        frame, pixels=pixels, mask=mask, background=background, background_rms=window.cut(frame.background_rms, None)
    )


def lanczos_taps(shift: float) -> np.ndarray:
    """Return the Lanczos-5 filter, shape (11,), that interpolates at `shift` in [-0.5, 0.5] pixels; its sum is 1."""
    distance = np.arange(-_LANCZOS, _LANCZOS + 1) - shift
    taps = np.sinc(distance) * np.sinc(distance / _LANCZOS) * (np.abs(distance) < _LANCZOS)
    return taps / taps.sum()


def _spread_mask(mask: np.ndarray, rest: list[float]) -> np.ndarray:
    """Combine the mask bits, (y, x), of the two pixels that each position is interpolated between, along each axis."""
    for axis, part in ((1, rest[0]), (0, rest[1])):
        if part and mask.any():
            near = np.roll(mask, -int(np.sign(part)), axis=axis)
            edge = [slice(None), slice(None)]
            edge[axis] = slice(-1, None) if part > 0 else slice(0, 1)
            near[tuple(edge)] = mask[tuple(edge)]
            mask = mask | near
    return mask


@dataclass(frozen=True)
class _Window:
    """A window of a frame: first pixel as (x, y), which may be negative, and (height, width)."""

    first: list[int]
    shape: tuple[int, int]

    def cut(self, image: np.ndarray, fill: float | None) -> np.ndarray:
        """Return the window of an image of shape (y, x); beyond the image `fill`, or its nearest pixel if None."""
        inner, outer = [], []
        for first, length, limit in zip(self.first[::-1], self.shape, image.shape, strict=True):
            start, stop = max(first, 0), min(first + length, limit)
            inner.append(slice(start, stop))
            outer.append((start - first, first + length - stop))
        part = image[tuple(inner)]
        if not any(sum(pad) for pad in outer):
            return np.ascontiguousarray(part)
        if fill is None:
            return np.pad(part, outer, mode="edge")
        return np.pad(part, outer, constant_values=fill)


def _resample(frame: Frame, places: np.ndarray, area: float) -> Frame:
    """Interpolate a frame at `places`, (2, y, x), by splines; `area` is a new pixel's, in pixels of the frame."""
    nearest = np.floor(places + 0.5).astype(np.int32)
    inside = ((nearest >= 0) & (nearest < np.array(frame.shape)[:, None, None])).all(axis=0)
    row, column = (np.clip(part, 0, length - 1) for part, length in zip(nearest, frame.shape, strict=True))
    empty = (frame.mask & Mask.NO_DATA) > 0
    filled = np.where(empty, 0, frame.pixels - frame.background).astype(np.float32)
    signal = ndimage.map_coordinates(filled, places, order=_SPLINE_ORDER, mode="nearest", output=np.float32)
    mask = np.where(inside, _dilate_bits(frame.mask)[row, column], int(Mask.NO_DATA)).astype(np.uint8)
    background = frame.background[row, column] * np.float32(area)
    pixels = np.where(mask & Mask.NO_DATA, np.nan, signal * np.float32(area) + background).astype(np.float32)
    return replace(
        frame,
        pixels=pixels,
        mask=mask,
        background=background,
        background_rms=frame.background_rms[row, column] * np.float32(np.sqrt(area)),
        saturation_counts=frame.saturation_counts * area,
        pixel_arcsec=frame.pixel_arcsec * float(np.sqrt(area)),
        quantum_counts=0.0,
    )


def _dilate_bits(mask: np.ndarray) -> np.ndarray:
    """Add the bits of its eight neighbours to each pixel's mask, (y, x)."""
    square = np.ones((3, 3), bool)
    spread = np.zeros_like(mask)
    for bit in Mask:
        if (mask & bit).any():
            spread |= np.where(ndimage.binary_dilation((mask & bit) > 0, square), np.uint8(bit), np.uint8(0))
    return spread
