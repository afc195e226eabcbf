"""Positions of injections in a frame, compared with uniform points."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from realbogus.frames import Frame, Mask
from realbogus.psf.model import PsfModel, to_stamps
from realbogus.stamps import round_position

_BRIGHT_SIGMA = 20.0  # S/N of a pixel of a star or a bright galaxy
_EVEN_POINTS = 200
_DRAWN = 20


@dataclass(frozen=True)
class InjectionPositions:
    """Positions of injections of any number of frames, recovered or not.

    Attributes
    ----------
    phase : (n, 2)
        Position in x and y relative to the centre of the pixel, pixels.
    random, even : (m, 3) and (k, 3)
        Distances, in pixels, from the nearest masked pixel, the nearest bright pixel and the frame's edge: of the
        injections at random positions, and of points drawn uniformly over the pixels with data.
    flux_error : (j,)
        Relative difference between the flux as drawn in the frame and as drawn alone in double precision.
    """

    phase: np.ndarray
    random: np.ndarray
    even: np.ndarray
    flux_error: np.ndarray


def join_positions(parts: Sequence[InjectionPositions]) -> InjectionPositions:
    """Concatenate the injections of several frames."""
    names = ("phase", "random", "even", "flux_error")
    return InjectionPositions(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def measure_positions(
    clean: Frame, psf: PsfModel, positions: np.ndarray, is_random: np.ndarray, rng: np.random.Generator
) -> InjectionPositions:
    """Measure the positions of a frame's injections.

    Parameters
    ----------
    clean : Frame
        The frame before injection.
    psf : PsfModel
    positions : (n, 2)
        In x and y, pixels.
    is_random : (n,) bool
        Whether the position was drawn at random, not on a galaxy.
    rng : numpy.random.Generator
        Draws the uniform points.
    """
    distances = _map_distances(clean)
    rows, columns = np.nonzero((clean.mask & Mask.NO_DATA) == 0)
    pixel = rng.integers(0, len(rows), _EVEN_POINTS)
    even = np.column_stack([columns[pixel], rows[pixel]]) + rng.uniform(-0.5, 0.5, (_EVEN_POINTS, 2))
    return InjectionPositions(
        phase=positions - round_position(positions.ravel()).reshape(positions.shape),
        random=_read_distances(distances, positions[is_random]),
        even=_read_distances(distances, even),
        flux_error=_compare_drawing(psf, positions[:_DRAWN], clean.shape),
    )


def _map_distances(frame: Frame) -> np.ndarray:
    """Return each pixel's distance from the nearest masked and the nearest bright pixel, (2, y, x) float32."""
    masked = frame.mask > 0
    bright = frame.signal() > _BRIGHT_SIGMA * frame.background_rms
    return np.stack([_distance_from(pixels) for pixels in (masked, bright)])


def _distance_from(pixels: np.ndarray) -> np.ndarray:
    """Return each pixel's distance from the nearest set one, (y, x) float32; the frame's longer axis if none is set."""
    if not pixels.any():
        return np.full(pixels.shape, float(max(pixels.shape)), np.float32)
    return np.asarray(ndimage.distance_transform_edt(~pixels), np.float32)


def _read_distances(distances: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return distances from mask, bright pixels and edge at positions (n, 2), as (n, 3); `distances` is (2, y, x)."""
    if len(positions) == 0:
        return np.zeros((0, 3))
    height, width = distances.shape[1:]
    column, row = (round_position(positions[:, axis]) for axis in (0, 1))
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    edge = np.minimum(np.minimum(column, width - 1 - column), np.minimum(row, height - 1 - row))
    return np.column_stack([distances[0][row, column], distances[1][row, column], edge])


def _compare_drawing(psf: PsfModel, positions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the relative flux errors (m,) of sources drawn at positions (n, 2), without those at the frame's edge."""
    errors = []
    for x, y in positions.tolist():
        alone = to_stamps(psf.transform(np.array([x]), np.array([y])))[0]
        drawn = psf.draw(np.array([x]), np.array([y]), np.ones(1), shape)
        half, (column, row) = psf.size // 2, round_position(np.array([x, y])).tolist()
        if not (half <= column < shape[1] - half and half <= row < shape[0] - half):
            continue
        part = drawn[row - half : row + half + 1, column - half : column + half + 1]
        errors.append(float(np.sum(part * alone) / np.sum(alone * alone) - 1))
    return np.array(errors)
