"""Shapes of galaxies in images: circularity and aspect ratio of the isophote around the frame's centre.

The deck's measures: circularity 4 pi A / P^2 with area A and perimeter P, and aspect ratio, long side by short side. An
ellipse of axis ratio 1 (E0) has 1.000 and 1.00, of 0.7 (E3) 0.954 and 1.43, of 0.3 (E7) 0.616 and 3.33.

Decisions
---------
- Circularity depends more on the segmentation than on the galaxy, so everything that it depends on is a constant here,
  and `RECIPE` goes with every figure.
- The outline is the contour of the smoothed light, interpolated between pixels (marching squares). Its perimeter has no
  bias of pixel steps: discs of radius 5 to 40 px measure 0.99 to 1.00. Estimators that walk along the pixels of a mask
  have one: discs of 20 px and more measure 0.91 to 0.94 with that of photutils and scikit-image, 0.87 to 0.89 with
  OpenCV's, smaller ones anything. A limit drawn with one of these, as the deck's may be, is higher on this scale.
- The aspect ratio is that of the ellipse with the outline's second moments. Unlike that of an upright box it does not
  depend on the position angle.
- The threshold is a share of the peak, where the noise of the sky does not reach. At a tenth of it noise makes outlines
  ragged, which lowers the circularity of round galaxies to 0.7; at half of it only a core is left, which the seeing has
  made round.
- Smoothing makes small galaxies rounder: a Gaussian of widths a, b becomes one of hypot(a, s), hypot(b, s). The seeing
  does the same before. Neither is corrected: an E7 of half axes 32 and 9.6 px measures 0.64 and 3.2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import contourpy
import numpy as np
from astropy.stats import mad_std
from numpy.typing import NDArray
from scipy import ndimage

SMOOTHING_OF_SIDE = 0.01
"""Width (standard deviation) of the Gaussian that the light is smoothed with, in the frame's shorter sides."""
LEAST_SMOOTHING_PX = 1.0
LEAST_SIGMA = 5.0
"""The outline is at no less than this many standard deviations of the smoothed border above the sky."""
SHARE_OF_PEAK = 0.35
"""The outline is at no less than this share of the galaxy's peak in the smoothed light."""
CENTRE_OF_SIDE = 0.05
"""A galaxy's peak is the highest light within this distance of the frame's centre, in the frame's shorter sides."""
MOST_OVER_PEAK = 1.5
"""An outline that holds light this many times higher than the galaxy's peak is of a blend."""
LEAST_AREA_PX = 25.0

NO_LIGHT, SMALL, AT_EDGE = "no_light_at_centre", "outline_too_small", "outline_reaches_edge"
BLEND = "outline_holds_brighter_source"
"""Reasons for a shape that is not measured."""

RECIPE: Mapping[str, float | str] = {
    "light": "mean of the channels above the median of the outermost tenth of the frame",
    "smoothing_of_side": SMOOTHING_OF_SIDE,
    "least_smoothing_px": LEAST_SMOOTHING_PX,
    "least_sigma": LEAST_SIGMA,
    "share_of_peak": SHARE_OF_PEAK,
    "centre_of_side": CENTRE_OF_SIDE,
    "most_over_peak": MOST_OVER_PEAK,
    "least_area_px": LEAST_AREA_PX,
    "outline": "interpolated contour of the smoothed light, holes filled",
    "circularity": "4 pi area / perimeter^2 of the outline",
    "aspect_ratio": "axes of the ellipse with the outline's second moments",
}
"""What the measures depend on, for the record of an evaluation."""


@dataclass(frozen=True)
class Shapes:
    """Shapes of n galaxies.

    Attributes
    ----------
    circularity : (n,) float64
        1 for a circle, lower for all else; NaN where it is not measured.
    aspect_ratio : (n,) float64
        At least 1; NaN where it is not measured.
    reason : (n,) str
        Why a shape is not measured, empty where it is.
    """

    circularity: NDArray[np.float64]
    aspect_ratio: NDArray[np.float64]
    reason: NDArray[np.str_]


def measure_shapes(images: NDArray[np.uint8]) -> Shapes:
    """Measure the galaxy in the middle of each image, (n, height, width, channel)."""
    measured = [_measure(image.mean(axis=-1, dtype=np.float64)) for image in images]
    circularity, aspect_ratio, reason = zip(*measured, strict=True) if measured else ((), (), ())
    return Shapes(np.array(circularity, float), np.array(aspect_ratio, float), np.array(reason, str))


def outline_shape(points: NDArray[np.float64]) -> tuple[float, float]:
    """Return circularity and aspect ratio of a closed polygon.

    Parameters
    ----------
    points : (m, 2)
        x and y of the corners in turn, either way round; the last may repeat the first. The area is not 0.
    """
    here = points - points.mean(axis=0)
    there = np.roll(here, -1, axis=0)
    cross = here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]
    area = cross.sum() / 2
    perimeter = np.hypot(*(there - here).T).sum()
    # Moments of a polygon by Green's theorem, about the corners' mean and then about its own centre.
    centre = (cross[:, None] * (here + there)).sum(axis=0) / (6 * area)
    squares = (cross[:, None] * (here**2 + here * there + there**2)).sum(axis=0) / (12 * area) - centre**2
    x, y = here.T
    next_x, next_y = there.T
    mixed = (cross * (x * next_y + 2 * x * y + 2 * next_x * next_y + next_x * y)).sum() / (24 * area)
    mixed -= centre[0] * centre[1]
    middle, half_gap = squares.sum() / 2, math.hypot((squares[0] - squares[1]) / 2, mixed)
    return 4 * math.pi * abs(area) / perimeter**2, math.sqrt((middle + half_gap) / (middle - half_gap))


def _measure(light: NDArray[np.float64]) -> tuple[float, float, str]:
    """Return circularity, aspect ratio and the reason why they are NaN, of light (height, width)."""
    side = min(light.shape)
    smooth = ndimage.gaussian_filter(light, max(LEAST_SMOOTHING_PX, SMOOTHING_OF_SIDE * side), mode="nearest")
    border = smooth[_is_border(*light.shape)]
    smooth = smooth - np.median(border)
    noise = float(mad_std(border))
    is_central = _distance(*light.shape) <= max(CENTRE_OF_SIDE * side, 1.0)
    peak = float(smooth[is_central].max())
    threshold = max(LEAST_SIGMA * noise, SHARE_OF_PEAK * peak, 1.0)
    region = _region(smooth > threshold, is_central)
    if region is None:
        return math.nan, math.nan, NO_LIGHT
    if region[[0, -1]].any() or region[:, [0, -1]].any():
        return math.nan, math.nan, AT_EDGE
    if smooth[region].max() > MOST_OVER_PEAK * peak:
        return math.nan, math.nan, BLEND
    points = _outline(smooth, region, threshold)
    if _area(points) < LEAST_AREA_PX:
        return math.nan, math.nan, SMALL
    return *outline_shape(points), ""


def _region(bright: NDArray[np.bool_], is_central: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the connected region with the most pixels near the centre, (height, width), or None without one."""
    numbered, _ = ndimage.label(bright)
    pixels = np.bincount(numbered[is_central])[1:]
    return numbered == pixels.argmax() + 1 if pixels.any() else None


def _outline(smooth: NDArray[np.float64], region: NDArray[np.bool_], threshold: float) -> NDArray[np.float64]:
    """Return the outer contour (m, 2) of a region at the threshold: x and y, the last point the first again."""
    around = ndimage.binary_dilation(region, np.ones((3, 3), bool))
    field = np.where(region | (around & (smooth <= threshold)), smooth, 0.0)
    contours: Sequence[NDArray[np.float64]] = contourpy.contour_generator(
        z=field, line_type=contourpy.LineType.Separate
    ).lines(threshold)  # type: ignore[assignment]
    return max(contours, key=_area)


def _area(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _is_border(height: int, width: int) -> NDArray[np.bool_]:
    """Return where the outermost tenth of a frame is."""
    border = np.ones((height, width), bool)
    edge_y, edge_x = max(1, height // 10), max(1, width // 10)
    border[edge_y:-edge_y, edge_x:-edge_x] = False
    return border


def _distance(height: int, width: int) -> NDArray[np.float64]:
    y, x = np.indices((height, width), float)
    return np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
