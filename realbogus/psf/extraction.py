"""Extraction of a frame's sources by the package sep, whose limits are raised for crowded frames."""

import threading

import numpy as np
import sep

from realbogus.library_faults import name_faults

THRESHOLD_SIGMA = 5.0
LEAST_AREA_PX = 5
PIXEL_BUFFER = 3_000_000
"""Pixels above the threshold that a frame may have at once, ten times sep's own limit; they take some 200 MB."""
SUB_OBJECTS = 4096
"""Parts of one blend that may be separated, four times sep's own limit; sep's time grows with their square, to 6 s."""
_RAISING = threading.Lock()  # sep's limits hold for the whole process


class ExtractionError(ValueError):
    """The sources of a frame cannot be extracted."""


def extract_sources(signal: np.ndarray, rms: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """Extract the sources of at least 5 pixels above 5 sigma.

    Parameters
    ----------
    signal, rms : ndarray of shape (y, x) float32, counts
        Above the background; standard deviation of a pixel.
    unusable : ndarray of bool, shape (y, x)
        Pixels to leave out.

    Returns
    -------
    ndarray of shape (n,) with sep's fields

    Raises
    ------
    ExtractionError
        The frame is beyond the limits `PIXEL_BUFFER` and `SUB_OBJECTS`, or sep cannot use it.
    """
    try:
        return _extract(signal, rms, unusable)
    except ExtractionError:
        with _RAISING:
            limits = sep.get_extract_pixstack(), sep.get_sub_object_limit()
            try:
                sep.set_extract_pixstack(max(PIXEL_BUFFER, limits[0]))
                sep.set_sub_object_limit(max(SUB_OBJECTS, limits[1]))
                return _extract(signal, rms, unusable)
            finally:
                sep.set_extract_pixstack(limits[0])
                sep.set_sub_object_limit(limits[1])


def _extract(signal: np.ndarray, rms: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    try:
        with name_faults(ExtractionError, "sep cannot extract sources"):
            sources = sep.extract(signal, THRESHOLD_SIGMA, err=rms, mask=unusable, minarea=LEAST_AREA_PX)
    except ExtractionError as fault:
        share = float(np.mean((signal > THRESHOLD_SIGMA * rms) & ~unusable))
        text = str(fault.__cause__).partition(".")[0].partition(":")[0]
        raise ExtractionError(
            f"sep cannot extract sources ({text}): {share:.0%} of the frame are above {THRESHOLD_SIGMA:g} sigma, at "
            f"most {PIXEL_BUFFER:,} such pixels and {SUB_OBJECTS:,} parts of one blend are possible; check the frame's "
            f"variance, or mask its crowded part"
        ) from fault.__cause__
    lost = ~(np.isfinite(sources["x"]) & np.isfinite(sources["y"]) & np.isfinite(sources["flux"]))
    if lost.any():
        raise ExtractionError(
            f"{np.count_nonzero(lost)} of {len(sources)} sources have no finite position or flux: the frame has values "
            f"up to {np.abs(signal).max():.3g} counts; check its bytes, or mask such pixels"
        )
    return sources
