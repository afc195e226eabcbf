"""The simulated mosaic: 84 front-side CMOS detectors, each with its own optics, hot pixels, telegraph pixels, pattern.

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
_KNOWN_COLUMN_E = 2.0
_KNOWN_HOT_E_PER_S, _KNOWN_SHARE, _KNOWN_FAINT_SHARE = 80.0, 0.9, 0.25


@dataclass(frozen=True)
class Pixels:
    """Single pixels with a property each.

    Attributes
    ----------
    y, x : ndarray of int
    value : ndarray of float
        Dark current (electrons per second, 290 K), telegraph amplitude (electrons an exposure) or sensitivity.
    """

    y: np.ndarray
    x: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class BadColumn:
    """A stretch of a column whose level is off by `offset_e` electrons an exposure."""

    x: int
    first_y: int
    last_y: int
    offset_e: float


@dataclass(frozen=True)
class Detector:
    """What one chip is, the same on every visit.

    Attributes
    ----------
    number : int
    east_deg, north_deg : float
        The chip's centre in the focal plane.
    vignetting_deg : tuple of float
        Where vignetting places the chip's centre.
    optics : Optics
    response : ndarray, (y, x) float32
        Sensitivity of the pixels, about 1 after flat fielding; dead pixels far below.
    hot, telegraph : Pixels
    telegraph_duty, telegraph_rate : ndarray
        Share of time in the upper level; chance of a switch from one exposure to the next.
    columns : tuple of Column
    column_pattern_e, row_pattern_e : ndarray
        Offsets an exposure.
    warm_k : float
        Temperature of the chip above the mosaic's.
    known : ndarray of bool, (y, x)
        Defects that the pipeline knows of.
    """

    number: int
    east_deg: float
    north_deg: float
    vignetting_deg: tuple[float, float]
    optics: Optics
    response: np.ndarray
    hot: Pixels
    telegraph: Pixels
    telegraph_duty: np.ndarray
    telegraph_rate: np.ndarray
    columns: tuple[BadColumn, ...]
    column_pattern_e: np.ndarray
    row_pattern_e: np.ndarray
    warm_k: float
    known: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.response.shape
        return height, width

    def transmit(self, x: np.ndarray, y: np.ndarray, pixel_arcsec: float) -> np.ndarray:
        """Return the share of light that vignetting leaves at positions in pixels."""
        height, width = self.shape
        east = self.vignetting_deg[0] - (np.asarray(x) - (width - 1) / 2) * pixel_arcsec / 3600
        north = self.vignetting_deg[1] + (np.asarray(y) - (height - 1) / 2) * pixel_arcsec / 3600
        beyond = np.maximum(np.hypot(east, north) - _UNVIGNETTED_DEG, 0) / (_FIELD_RADIUS_DEG - _UNVIGNETTED_DEG)
        return np.maximum(1 - 0.5 * beyond, 0.3)


def place_detectors(count: int = 84) -> np.ndarray:
    """Return the centres of the chips in the focal plane, (count, 2) degrees east and north, innermost kept.

    Raises
    ------
    ValueError
        More detectors than the mosaic has places.
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
        Detectors of the mosaic.
    diversity : float
        How far the laws of the detectors (optics, shares of bad pixels, temperature, vignetting) differ: 1 as in life,
        0 all alike. Which pixels are bad is each detector's own at any diversity.
    """
    rng = open_stream(seed, Stream.DETECTOR, number)
    east, north = place_detectors(count)[number]
    angle, radius = np.arctan2(north, east), np.hypot(east, north)
    middle = 2.4
    apparent = middle + diversity * (radius - middle)
    turn = diversity * angle + 0.0  # no negative zero
    place = apparent * np.cos(turn), apparent * np.sin(turn)
    optics = draw_optics(rng, place, diversity)
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
        vignetting_deg=(float(place[0]), float(place[1])),
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
        known=_draw_known(rng, shape, hot, dead, columns),
    )


def _scatter(rng: np.random.Generator, shape: tuple[int, int], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of distinct pixels, a Poisson number about `share` of all."""
    size = shape[0] * shape[1]
    y, x = np.unravel_index(np.unique(rng.integers(0, size, rng.poisson(share * size))), shape)
    return y, x


def _draw_hot(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Pixels:
    y, x = _scatter(rng, shape, share)
    return Pixels(y, x, np.minimum(_HOT_FLOOR_E_PER_S * (1 + rng.pareto(_HOT_SLOPE, len(y))), 2 * WELL_E))


def _draw_telegraph(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Pixels:
    y, x = _scatter(rng, shape, share)
    return Pixels(y, x, np.minimum(_RTS_FLOOR_E * (1 + rng.pareto(_RTS_SLOPE, len(y))), _RTS_MOST_E))


def _draw_columns(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[BadColumn, ...]:
    """Draw about two bad columns on a full chip; a bad column runs from a defect to the chip's edge."""
    columns = []
    for _ in range(rng.poisson(2 * shape[1] / 2000)):
        start = int(rng.integers(0, shape[0]))
        ends = (start, shape[0]) if rng.random() < 0.5 else (0, start + 1)
        offset = float(rng.choice([-1, 1]) * rng.uniform(0.5, 6))
        columns.append(BadColumn(int(rng.integers(0, shape[1])), *ends, offset))
    return tuple(columns)


def _draw_known(
    rng: np.random.Generator,
    shape: tuple[int, int],
    hot: Pixels,
    dead: tuple[np.ndarray, np.ndarray],
    columns: tuple[BadColumn, ...],
) -> np.ndarray:
    """Draw which defects the pipeline's map holds: most of the gross ones, few of the others."""
    known = np.zeros(shape, bool)
    chance = np.where(hot.value > _KNOWN_HOT_E_PER_S, _KNOWN_SHARE, _KNOWN_FAINT_SHARE)
    chance[hot.value < 4 * _HOT_FLOOR_E_PER_S] = 0
    listed = rng.random(len(hot.y)) < chance
    known[hot.y[listed], hot.x[listed]] = True
    listed = rng.random(len(dead[0])) < _KNOWN_SHARE
    known[dead[0][listed], dead[1][listed]] = True
    for column in columns:
        if rng.random() < (0.97 if abs(column.offset_e) > _KNOWN_COLUMN_E else 0.2):
            known[column.first_y : column.last_y, column.x] = True
    return known
