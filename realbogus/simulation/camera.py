"""The simulated mosaic: 84 front-side CMOS detectors, each with its own optics, pixel defects and fixed pattern.

Numbers follow Tomo-e Gozen (high gain): 2000 x 1128 pixels of 1.189 arcsec, 0.23 electrons per count, 2 electrons of
read noise, a linear well of 6,000 electrons, vignetting from 2 degrees off axis to one half at the field's edge.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from realbogus.simulation.optics import Optics, draw_optics
from realbogus.simulation.random_streams import Stream, open_stream

GAIN_E_PER_COUNT = 0.23
READ_NOISE_E = 2.0
WELL_E = 6000.0
CHIP_DEG = (0.661, 0.373)  # width and height of a chip on the sky
_GAPS = (1.32, 1.22)  # spacing of chips in units of their size: the mosaic is sparse
_FIELD_RADIUS_DEG = 4.5
_UNVIGNETTED_DEG = 2.0
_HOT_SHARE, _HOT_FLOOR_E_PER_S, _HOT_SLOPE = 2e-3, 3.0, 1.5
_RTS_SHARE, _RTS_FLOOR_E, _RTS_SLOPE = 0.02, 2.0, 2.5
_RTS_MOST_E = 90.0
_DEAD_PER_PIXEL = 1e-5
_FAULT_HOT_SHARE = 4e-3
_GLOW_E_PER_S, _GLOW_SCALE = 150.0, 0.15  # at the corner of the amplifier; decay length in units of the chip's width
_MAPPED_COLUMN_E = 2.0
_MAPPED_HOT_E_PER_S, _MAPPED_SHARE, _MAPPED_FAINT_SHARE = 80.0, 0.9, 0.25


@dataclass(frozen=True)
class PixelDefects:
    """Defective pixels of one kind.

    Attributes
    ----------
    y, x : (n,) int
    value : (n,) float
        Dark current (electrons per second at 290 K) or telegraph amplitude (electrons per exposure).
    """

    y: np.ndarray
    x: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class BadColumn:
    """Rows `first_y` to ``last_y - 1`` of a column whose level is off by `offset_e` electrons per exposure."""

    x: int
    first_y: int
    last_y: int
    offset_e: float


@dataclass(frozen=True)
class Detector:
    """Properties of one chip, the same on every visit.

    Attributes
    ----------
    number : int
    east_deg, north_deg : float
        The chip's centre in the focal plane.
    vignetting_deg : (east, north)
        Position of the chip's centre for the purpose of vignetting.
    optics : Optics
    response : (y, x) float32
        Sensitivity of the pixels, about 1 after flat fielding; far below 1 in dead pixels.
    hot, telegraph : PixelDefects
    telegraph_duty, telegraph_rate : (n,)
        Fraction of time in the upper level; probability of redrawing the level from one exposure to the next.
    columns : tuple of BadColumn
    column_pattern_e, row_pattern_e : (x,) and (y,) float32
        Offsets in electrons per exposure.
    warm_k : float
        Temperature of the chip above the mosaic's.
    defect_map : (y, x) bool
        Defects that the pipeline masks.
    """

    number: int
    east_deg: float
    north_deg: float
    vignetting_deg: tuple[float, float]
    optics: Optics
    response: np.ndarray
    hot: PixelDefects
    telegraph: PixelDefects
    telegraph_duty: np.ndarray
    telegraph_rate: np.ndarray
    columns: tuple[BadColumn, ...]
    column_pattern_e: np.ndarray
    row_pattern_e: np.ndarray
    warm_k: float
    defect_map: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, pixels."""
        height, width = self.response.shape
        return height, width

    def transmit(self, x: np.ndarray, y: np.ndarray, pixel_arcsec: float) -> np.ndarray:
        """Return the fraction of light that vignetting transmits at pixel positions, of their common shape."""
        height, width = self.shape
        east = self.vignetting_deg[0] - (np.asarray(x) - (width - 1) / 2) * pixel_arcsec / 3600
        north = self.vignetting_deg[1] + (np.asarray(y) - (height - 1) / 2) * pixel_arcsec / 3600
        beyond = np.maximum(np.hypot(east, north) - _UNVIGNETTED_DEG, 0) / (_FIELD_RADIUS_DEG - _UNVIGNETTED_DEG)
        return np.maximum(1 - 0.5 * beyond, 0.3)


@dataclass(frozen=True)
class DetectorFault:
    """Light of a chip that appeared after its dark frame and its map of defects were made.

    Attributes
    ----------
    hot : PixelDefects
        Hot pixels; they stay in place from night to night.
    glow_e_per_s : (y, x) float32
        Glow of an amplifier, electrons per second and pixel at 290 K.
    """

    hot: PixelDefects
    glow_e_per_s: np.ndarray


@lru_cache(maxsize=2)
def build_fault(seed: int, number: int, shape: tuple[int, int]) -> DetectorFault:
    """Build the fault of one chip: hot pixels, twice as many as a chip has, and an amplifier's glow in one corner.

    Parameters
    ----------
    seed : int
        Of the survey.
    number : int
        Of the chip.
    shape : (height, width), pixels
    """
    rng = open_stream(seed, Stream.FAULT, number)
    hot = _draw_hot(rng, shape, _FAULT_HOT_SHARE)
    corner_y, corner_x = rng.integers(0, 2, 2) * (np.array(shape) - 1)
    y, x = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)
    distance_px = np.hypot(y - np.float32(corner_y), x - np.float32(corner_x))
    glow = np.float32(_GLOW_E_PER_S) * np.exp(-distance_px / np.float32(_GLOW_SCALE * shape[1]))
    return DetectorFault(hot, glow)


def place_detectors(count: int = 84) -> np.ndarray:
    """Return the centres of the innermost chips in the focal plane, of shape (count, 2), degrees east and north.

    Raises
    ------
    ValueError
        The count is outside 1 to the number of places of the mosaic.
    """
    steps = np.arange(-12, 12) + 0.5
    east, north = np.meshgrid(steps * CHIP_DEG[0] * _GAPS[0], steps * CHIP_DEG[1] * _GAPS[1])
    centres = np.column_stack([east.ravel(), north.ravel()])
    if not 1 <= count <= len(centres):
        raise ValueError(f"detectors={count}: the mosaic has between 1 and {len(centres)}")
    radius = np.hypot(*centres.T)
    inner = np.argsort(radius, kind="stable")[:count]
    return centres[np.sort(inner)]


@lru_cache(maxsize=4)
def build_detector(seed: int, number: int, shape: tuple[int, int], count: int, diversity: float) -> Detector:
    """Build one detector of the mosaic.

    Parameters
    ----------
    seed : int
        Of the survey.
    number : int
        0 to ``count - 1``.
    shape : (height, width), pixels
    count : int
        Number of detectors of the mosaic.
    diversity : float
        Scatter of the detectors' properties (optics, fractions of bad pixels, temperature, vignetting) in units of the
        realistic one; 0 makes them equal. The positions of bad pixels differ at any diversity.
    """
    rng = open_stream(seed, Stream.DETECTOR, number)
    east, north = place_detectors(count)[number]
    angle, radius = np.arctan2(north, east), np.hypot(east, north)
    mean_radius = 2.4
    optical_radius = mean_radius + diversity * (radius - mean_radius)
    optical_angle = diversity * angle + 0.0  # no negative zero
    optical_deg = optical_radius * np.cos(optical_angle), optical_radius * np.sin(optical_angle)
    optics = draw_optics(rng, optical_deg, diversity)
    hot_factor, rts_factor, scatter_factor = np.exp(diversity * rng.normal(0, [0.4, 0.4, 0.3]))
    response = 1 + 0.003 * np.float32(scatter_factor) * rng.standard_normal(shape, dtype=np.float32)
    dead = _scatter(rng, shape, _DEAD_PER_PIXEL)
    response[dead] = rng.uniform(0, 0.7, len(dead[0]))
    hot = _draw_hot(rng, shape, _HOT_SHARE * hot_factor)
    telegraph = _draw_telegraph(rng, shape, min(_RTS_SHARE * rts_factor, 0.05))
    columns = _draw_columns(rng, shape)
    return Detector(
        number=number,
        east_deg=float(east),
        north_deg=float(north),
        vignetting_deg=(float(optical_deg[0]), float(optical_deg[1])),
        optics=optics,
        response=response,
        hot=hot,
        telegraph=telegraph,
        telegraph_duty=rng.beta(0.8, 1.6, len(telegraph.y)),
        telegraph_rate=10 ** rng.uniform(-2.5, -0.3, len(telegraph.y)),
        columns=columns,
        column_pattern_e=rng.normal(0, 0.1, shape[1]).astype(np.float32),
        row_pattern_e=rng.normal(0, 0.05, shape[0]).astype(np.float32),
        warm_k=float(diversity * rng.normal(0, 3)),
        defect_map=_draw_defect_map(rng, shape, hot, dead, columns),
    )


def _scatter(rng: np.random.Generator, shape: tuple[int, int], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows and columns (n,) of distinct pixels; their number is Poisson with mean `share` of all pixels."""
    size = shape[0] * shape[1]
    y, x = np.unravel_index(np.unique(rng.integers(0, size, rng.poisson(share * size))), shape)
    return y, x


def _draw_hot(rng: np.random.Generator, shape: tuple[int, int], share: float) -> PixelDefects:
    y, x = _scatter(rng, shape, share)
    return PixelDefects(y, x, np.minimum(_HOT_FLOOR_E_PER_S * (1 + rng.pareto(_HOT_SLOPE, len(y))), 2 * WELL_E))


def _draw_telegraph(rng: np.random.Generator, shape: tuple[int, int], share: float) -> PixelDefects:
    y, x = _scatter(rng, shape, share)
    return PixelDefects(y, x, np.minimum(_RTS_FLOOR_E * (1 + rng.pareto(_RTS_SLOPE, len(y))), _RTS_MOST_E))


def _draw_columns(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[BadColumn, ...]:
    """Draw bad columns, two on a full chip on average; each extends from a defect to the chip's edge."""
    columns = []
    for _ in range(rng.poisson(2 * shape[1] / 2000)):
        start = int(rng.integers(0, shape[0]))
        ends = (start, shape[0]) if rng.random() < 0.5 else (0, start + 1)
        offset = float(rng.choice([-1, 1]) * rng.uniform(0.5, 6))
        columns.append(BadColumn(int(rng.integers(0, shape[1])), *ends, offset))
    return tuple(columns)


def _draw_defect_map(
    rng: np.random.Generator,
    shape: tuple[int, int],
    hot: PixelDefects,
    dead: tuple[np.ndarray, np.ndarray],
    columns: tuple[BadColumn, ...],
) -> np.ndarray:
    """Draw the defects in the pipeline's map, (y, x) bool: most of the gross ones, few of the others."""
    defect_map = np.zeros(shape, bool)
    chance = np.where(hot.value > _MAPPED_HOT_E_PER_S, _MAPPED_SHARE, _MAPPED_FAINT_SHARE)
    chance[hot.value < 4 * _HOT_FLOOR_E_PER_S] = 0
    mapped = rng.random(len(hot.y)) < chance
    defect_map[hot.y[mapped], hot.x[mapped]] = True
    mapped = rng.random(len(dead[0])) < _MAPPED_SHARE
    defect_map[dead[0][mapped], dead[1][mapped]] = True
    for column in columns:
        if rng.random() < (0.97 if abs(column.offset_e) > _MAPPED_COLUMN_E else 0.2):
            defect_map[column.first_y : column.last_y, column.x] = True
    return defect_map
