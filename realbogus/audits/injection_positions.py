"""Where injections were laid in a frame, and where even points would lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from realbogus.frames import Frame, Mask
from realbogus.psf.model import PsfModel, to_stamps
from realbogus.stamps import round_position

_BRIGHT_SIGMA = 20.0  # of a pixel that belongs to a star or a bright galaxy
_EVEN_POINTS = 200
_DRAWN = 20


@dataclass(frozen=True)
class InjectionPositions:
    """Injections of any number of frames, found or not.

    Attributes
    ----------
    phase : ndarray, (n, 2), pixels
        Of each injection in x and y from the middle of its pixel.
    random, even : ndarray, (m, 3) and (k, 3), pixels
        Distance of the injections that lie at random, and of points spread evenly over the pixels that have data, from
        the nearest masked pixel, the nearest bright one and the frame's edge.
    flux_error : ndarray
        Relative difference between the flux as drawn in the frame and drawn alone in double precision.
    """

    phase: np.ndarray
    random: np.ndarray
    even: np.ndarray
    flux_error: np.ndarray


def join_positions(parts: Sequence[InjectionPositions]) -> InjectionPositions:
    """Return the injections of all parts."""
    names = ("phase", "random", "even", "flux_error")
    return InjectionPositions(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def measure_positions(
    clean: Frame, psf: PsfModel, places: np.ndarray, random: np.ndarray, rng: np.random.Generator
) -> InjectionPositions:
    """Gather the injections of a frame.

    Parameters
    ----------
    clean : Frame
        Before anything was injected.
    psf : PsfModel
    places : ndarray, (n, 2), pixels
    random : ndarray of bool, (n,)
        Which lie at random, not on a galaxy.
    rng : Generator
        Draws the even points.
    """
    distances = _map_distances(clean)
    rows, columns = np.nonzero((clean.mask & Mask.NO_DATA) == 0)
    chosen = rng.integers(0, len(rows), _EVEN_POINTS)
    even = np.column_stack([columns[chosen], rows[chosen]]) + rng.uniform(-0.5, 0.5, (_EVEN_POINTS, 2))
    return InjectionPositions(
        phase=places - round_position(places.ravel()).reshape(places.shape),
        random=_read_distances(distances, places[random]),
        even=_read_distances(distances, even),
        flux_error=_compare_drawing(psf, places[:_DRAWN], clean.shape),
    )


def _map_distances(frame: Frame) -> np.ndarray:
    """Return each pixel's distance from the nearest masked and the nearest bright pixel, (2, y, x) float32."""
    masked = frame.mask > 0
    bright = frame.signal() > _BRIGHT_SIGMA * frame.background_rms
    return np.stack([_distance_from(pixels) for pixels in (masked, bright)])


def _distance_from(pixels: np.ndarray) -> np.ndarray:
    """Return each pixel's distance from the nearest that is set; the frame's width where none is."""
    if not pixels.any():
        return np.full(pixels.shape, float(max(pixels.shape)), np.float32)
    return np.asarray(ndimage.distance_transform_edt(~pixels), np.float32)


def _read_distances(distances: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return distances from mask, bright pixels and edge at places, (n, 3)."""
    if len(places) == 0:
        return np.zeros((0, 3))
    height, width = distances.shape[1:]
    column, row = (round_position(places[:, axis]) for axis in (0, 1))
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    edge = np.minimum(np.minimum(column, width - 1 - column), np.minimum(row, height - 1 - row))
    return np.column_stack([distances[0][row, column], distances[1][row, column], edge])


def _compare_drawing(psf: PsfModel, places: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the relative flux error of drawing sources into a frame, against each drawn alone."""
    errors = []
    for x, y in places.tolist():
        alone = to_stamps(psf.transform(np.array([x]), np.array([y])))[0]
        drawn = psf.draw(np.array([x]), np.array([y]), np.ones(1), shape)
        half, column, row = psf.size // 2, round(x), round(y)
        if not (half <= column < shape[1] - half and half <= row < shape[0] - half):
            continue
        part = drawn[row - half : row + half + 1, column - half : column + half + 1]
        errors.append(float(np.sum(part * alone) / np.sum(alone * alone) - 1))
    return np.array(errors)
