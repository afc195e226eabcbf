"""Stars and galaxies of a simulated frame, drawn in Fourier space in batches of stamps.

A stamp's transform is the product of the point spread function (`optics`), the Sersic profile if there is one, and the
phase of the sub-pixel position. Stamps of one size are transformed back together. Light is in counts, frames are
(y, x) float32.
"""

from dataclasses import dataclass
from functools import lru_cache

import galsim
import numpy as np
from scipy import fft, special

from realbogus.simulation.optics import TABLE_PX, PsfField

STAMP_SIZES_PX = (32, 64, 128, 256)
SERSIC_INDICES = (0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
_BATCH_PX = 2**18
_CUT = 0.03  # of the noise: a stamp is truncated where its light is fainter
_LEAST_LOG_K, _MOST_LOG_K, _LOG_STEPS = -7.0, 9.0, 2048


@dataclass(frozen=True)
class FrameSources:
    """Sources of one frame.

    Attributes
    ----------
    x, y : (n,)
        Positions, pixels.
    flux : (n,)
        Counts; may be negative.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray

    def take(self, rows: np.ndarray) -> "FrameSources":
        """Return the sources at row numbers, of shape (m,)."""
        return FrameSources(self.x[rows], self.y[rows], self.flux[rows])


@dataclass(frozen=True)
class GalaxyShapes:
    """Shapes of galaxies.

    Attributes
    ----------
    sersic_index : (n,)
        Values of `SERSIC_INDICES`.
    radius_px : (n,)
        Half-light radius along the major axis.
    axis_ratio : (n,)
        Minor over major axis.
    angle_rad : (n,)
        Of the major axis, from +x to +y.
    """

    sersic_index: np.ndarray
    radius_px: np.ndarray
    axis_ratio: np.ndarray
    angle_rad: np.ndarray

    def take(self, rows: np.ndarray) -> "GalaxyShapes":
        """Return the shapes of the galaxies at row numbers (m,)."""
        return GalaxyShapes(self.sersic_index[rows], self.radius_px[rows], self.axis_ratio[rows], self.angle_rad[rows])


def draw_stars(image: np.ndarray, psf: PsfField, sources: FrameSources, noise: float) -> None:
    """Add point sources to a frame; light outside the frame is lost.

    Parameters
    ----------
    image : float32, counts, of shape (y, x)
        Changed in place; of the shape of `psf`.
    psf : PsfField
    sources : FrameSources
    noise : float
        Standard deviation of an empty pixel, counts; it decides how far the wings are drawn.
    """
    sizes = _size_stars(psf, np.abs(sources.flux), noise)
    for size in STAMP_SIZES_PX:
        for rows in _batches(np.flatnonzero(sizes == size), size):
            _add_batch(image, psf, size, sources.take(rows), None)


def draw_galaxies(image: np.ndarray, psf: PsfField, sources: FrameSources, shapes: GalaxyShapes, noise: float) -> None:
    """Add galaxies of Sersic profiles to a frame of shape (y, x), in place; parameters as in `draw_stars`."""
    sizes = np.maximum(_size_stars(psf, sources.flux, noise), _size_galaxies(sources.flux, shapes, noise))
    for size in STAMP_SIZES_PX:
        for rows in _batches(np.flatnonzero(sizes == size), size):
            _add_batch(image, psf, size, sources.take(rows), shapes.take(rows))


def _batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Split row numbers (n,) into batches whose stamps together have at most `_BATCH_PX` pixels."""
    most = max(1, _BATCH_PX // size**2)
    return [rows[start : start + most] for start in range(0, len(rows), most)]


def _size_stars(psf: PsfField, flux: np.ndarray, noise: float) -> np.ndarray:
    """Return the smallest stamp at whose edge each star is fainter than the cut, (n,) pixels."""
    wings = psf.measure_wings(tuple(size // 2 for size in STAMP_SIZES_PX[:-1]))
    too_small = flux[:, None] * wings > _CUT * noise
    return np.array(STAMP_SIZES_PX)[too_small.sum(axis=1)]


def _size_galaxies(flux: np.ndarray, shapes: GalaxyShapes, noise: float) -> np.ndarray:
    """Return the smallest stamp that contains each galaxy out to the cut along its major axis, (n,) pixels."""
    n, area = shapes.sersic_index, shapes.radius_px**2 * shapes.axis_ratio
    b = special.gammaincinv(2 * n, 0.5)
    effective = flux / (2 * np.pi * n * np.exp(b) * b ** (-2 * n) * special.gamma(2 * n) * area)
    depth = np.maximum(np.log(np.maximum(effective, 1e-9) / (_CUT * noise)) / b + 1, 0)
    reach = 2 * shapes.radius_px * depth**n
    return np.array(STAMP_SIZES_PX)[np.searchsorted(STAMP_SIZES_PX[:-1], reach)]


def _add_batch(image: np.ndarray, psf: PsfField, size: int, sources: FrameSources, shapes: GalaxyShapes | None) -> None:
    """Add sources to a frame by stamps of one size, point sources if there are no shapes."""
    x, y = sources.x, sources.y
    first_x, first_y = np.floor(x).astype(int) - size // 2, np.floor(y).astype(int) - size // 2
    weights = psf.weigh_nodes(x, y) * sources.flux[:, None].astype(np.float32)
    wave = np.zeros((len(x), size, size // 2 + 1), np.complex64)
    rows = (np.fft.fftfreq(size, 1 / TABLE_PX)).astype(int) % TABLE_PX
    columns = np.arange(size // 2 + 1) * (TABLE_PX // size)
    for alias, table in psf.tables:
        nodes = table[:, rows[:, None], columns[None, :]].reshape(9, -1)
        part = (weights.astype(np.complex64) @ nodes).reshape(wave.shape)
        _shift(part, x - first_x, y - first_y, alias)
        if shapes is not None:
            part *= _transform_galaxies(shapes, size, alias)
        wave += part
    _paste(image, fft.irfft2(wave, s=(size, size), axes=(1, 2), overwrite_x=True), first_x, first_y)


def _frequencies(size: int, alias: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the frequencies (cycles per pixel) of a stamp's columns and rows."""
    along, up = np.fft.rfftfreq(size), np.fft.fftfreq(size)
    if alias[0]:
        along = along - 1
    if alias[1]:
        up = np.where(up >= 0, up - 1, up + 1)
    return along, up


def _shift(wave: np.ndarray, x: np.ndarray, y: np.ndarray, alias: tuple[int, int]) -> None:
    """Move each source from pixel (0, 0) to (x, y), both (n,), in transforms (n, size, size // 2 + 1), in place."""
    along, up = _frequencies(wave.shape[1], alias)
    wave *= np.exp(-2j * np.pi * y[:, None] * up).astype(np.complex64)[:, :, None]
    wave *= np.exp(-2j * np.pi * x[:, None] * along).astype(np.complex64)[:, None, :]


def _transform_galaxies(shapes: GalaxyShapes, size: int, alias: tuple[int, int]) -> np.ndarray:
    """Return the transforms of galaxies of flux 1, (n, size, size // 2 + 1) float32."""
    along, up = (2 * np.pi * axis for axis in _frequencies(size, alias))
    cosine, sine = np.cos(shapes.angle_rad), np.sin(shapes.angle_rad)
    major, minor = shapes.radius_px**2, (shapes.radius_px * shapes.axis_ratio) ** 2
    xx = (major * cosine**2 + minor * sine**2).astype(np.float32)
    yy = (major * sine**2 + minor * cosine**2).astype(np.float32)
    xy = ((major - minor) * sine * cosine).astype(np.float32)
    kx, ky = along.astype(np.float32)[None, None, :], up.astype(np.float32)[None, :, None]
    square = xx[:, None, None] * kx**2 + yy[:, None, None] * ky**2 + (2 * xy)[:, None, None] * (kx * ky)
    step = (0.5 * np.log(np.maximum(square, 1e-12)) - _LEAST_LOG_K) * (
        np.float32((_LOG_STEPS - 1) / (_MOST_LOG_K - _LEAST_LOG_K))
    )
    np.clip(step, 0, _LOG_STEPS - 1.001, out=step)
    below = step.astype(np.int32)
    step -= below
    tables, number = _sersic_tables(), np.searchsorted(SERSIC_INDICES, shapes.sersic_index)
    below += (number * _LOG_STEPS).astype(np.int32)[:, None, None]
    values = tables.ravel()
    low = values[below]
    return low + step * (values[below + 1] - low)


@lru_cache(maxsize=1)
def _sersic_tables() -> np.ndarray:
    """Return transforms of Sersic profiles of half-light radius 1 on equal steps of log k, (index, step) float32."""
    k = np.exp(np.linspace(_LEAST_LOG_K, _MOST_LOG_K, _LOG_STEPS))
    tables = np.empty((len(SERSIC_INDICES), _LOG_STEPS), np.float32)
    for number, index in enumerate(SERSIC_INDICES):
        profile = galsim.Sersic(n=index, half_light_radius=1.0)
        tables[number] = [profile.kValue(step, 0).real for step in k]
    return tables


def _paste(image: np.ndarray, stamps: np.ndarray, first_x: np.ndarray, first_y: np.ndarray) -> None:
    """Add stamps (n, size, size) to a frame (y, x) at their first pixels (n,), in place, cropped at its borders."""
    height, width = image.shape
    size = stamps.shape[1]
    for stamp, x, y in zip(stamps, first_x.tolist(), first_y.tolist(), strict=True):
        start_x, end_x, start_y, end_y = max(x, 0), min(x + size, width), max(y, 0), min(y + size, height)
        if start_x < end_x and start_y < end_y:
            image[start_y:end_y, start_x:end_x] += stamp[start_y - y : end_y - y, start_x - x : end_x - x]
