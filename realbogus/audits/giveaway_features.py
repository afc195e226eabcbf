"""Numbers of a stamp in which an injection could differ from a transient of the scene, other than by what it is.

Each is taken with the PSF that the frame itself gives, at the position that the stamp claims.
"""

from itertools import pairwise

import numpy as np
from scipy import signal

from realbogus.audits.source_sample import SourceSample
from realbogus.psf.point_fits import PointFit, fit_points, stamp_radius
from realbogus.stamps import centre_pixel, round_position

NEW, REFERENCE, DIFFERENCE = 0, 1, 2
BLANKED_PX = 15
_SKY_FWHM = 2.2  # beyond this radius a point source has no light to speak of
_RING_EDGES_PX = (0.0, 1.5, 3.5, 6.5, 10.0)
_NEAR_PX = 4  # half side of the square in which values themselves are looked at


def fit_new(found: SourceSample) -> PointFit:
    """Fit a point source to the new frame's stamps; only for those whose reference is dark."""
    scalars = found.scalars
    return fit_points(
        found.stamps[..., NEW],
        found.profile_new,
        find_phase(found),
        scalars["rms_counts"],
        scalars["gain_e_per_count"],
        scalars["seeing_px"],
    )


def measure_stamps(found: SourceSample) -> dict[str, np.ndarray]:
    """Return the numbers of each stamp by name, (n,) each; a classifier of stamps is given all of them."""
    scalars, phase = found.scalars, find_phase(found)
    noise, fwhm = _spread(_sky(found, DIFFERENCE)), scalars["difference_fwhm_px"]
    difference, new, reference = (found.stamps[..., plane].astype(float) for plane in (DIFFERENCE, NEW, REFERENCE))
    fit = fit_points(difference, found.profile_difference, phase, noise, scalars["gain_e_per_count"], fwhm)
    added = new - scalars["scale"][:, None, None] * reference
    added -= np.nanmedian(added, axis=(1, 2), keepdims=True)
    flux = np.maximum(np.abs(fit.flux), noise)
    peak = np.nanmax(_near(difference), axis=(1, 2))
    away = find_offset(difference, found.profile_difference)
    return {
        "off_grid": off_grid(_near(new), scalars["quantum_counts"]),
        "chi2": fit.chi2,
        "shift_x": fit.shift_x,
        "shift_y": fit.shift_y,
        "off_claim": np.hypot(away[:, 0], away[:, 1]),
        "excess": fit.excess / np.maximum(fit.scatter, 1e-9),
        "size": fit.size,
        "stretch_plus": fit.stretch_plus,
        "stretch_cross": fit.stretch_cross,
        "neighbour": fit.neighbour,
        "phase_x": phase[:, 0],
        "phase_y": phase[:, 1],
        "share_in_new": _weighted(added, found.profile_new) / flux,
        "peak_share": peak / flux,
        "trough": np.nanmin(_near(difference), axis=(1, 2)) / noise,
        "noise": noise / scalars["rms_counts"],
    }


def measure_border(found: SourceSample) -> dict[str, np.ndarray]:
    """Return numbers of the stamp without its central square of 15 pixels."""
    side = found.stamps.shape[1]
    middle, reach = centre_pixel(side), BLANKED_PX // 2
    blank = np.zeros((side, side), bool)
    blank[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1] = True
    measured = {}
    for name, plane in (("new", NEW), ("reference", REFERENCE), ("difference", DIFFERENCE)):
        pixels = found.stamps[..., plane][:, ~blank].astype(float)
        pixels = (pixels - np.nanmedian(pixels, axis=1, keepdims=True)) / found.scalars["rms_counts"][:, None]
        for share in (0, 2, 16, 84, 98, 100):
            measured[f"{name}_{share}"] = np.nanpercentile(pixels, share, axis=1)
        measured[f"{name}_missing"] = np.isnan(pixels).mean(axis=1)
    return measured


def measure_reference(found: SourceSample) -> dict[str, np.ndarray]:
    """Return numbers of the reference alone: light at the place of the candidate and in rings around it."""
    reference = found.stamps[..., REFERENCE].astype(float)
    level = np.nanmedian(reference, axis=(1, 2), keepdims=True)
    x, y = _centroids(reference, found.scalars["seeing_px"])
    radius = stamp_radius(reference.shape[1])
    unit = found.scalars["rms_counts"] / found.scalars["scale"]
    measured = {"light": reference_light(found), "off_middle": np.hypot(x, y)}
    for inner, outer in pairwise(_RING_EDGES_PX):
        ring = (radius >= inner) & (radius < outer)
        light = np.nansum((reference - level)[:, ring], axis=1) / unit / np.sqrt(ring.sum())
        measured[f"ring_{outer:g}"] = np.arcsinh(light / 2)
    return measured


def reference_light(found: SourceSample) -> np.ndarray:
    """Return the reference's light under the candidate's PSF, in units of the new frame's noise of a point source."""
    reference = found.stamps[..., REFERENCE].astype(float)
    reference = reference - np.nanmedian(reference, axis=(1, 2), keepdims=True)
    profile = found.profile_new.astype(float)
    power = np.square(profile).sum(axis=(1, 2))
    flux = _weighted(reference, profile) * found.scalars["scale"]
    return flux * np.sqrt(power) / found.scalars["rms_counts"]


def find_phase(found: SourceSample) -> np.ndarray:
    """Return the claimed position from the middle of its pixel, (n, 2) pixels."""
    place = np.column_stack([found.scalars["x_px"], found.scalars["y_px"]])
    return np.asarray(place - round_position(place.ravel()).reshape(place.shape))


def find_offset(plane: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Return where each stamp, filtered with its PSF at the claimed position, peaks: from there, (n, 2) pixels.

    A parabola through the logarithm of each three pixels places the peak, as the detector does; it is sought within 4
    pixels.
    """
    offsets = np.empty((len(plane), 2))
    for number, (stamp, weights) in enumerate(zip(np.nan_to_num(plane), profile, strict=True)):
        reach = _NEAR_PX + 1
        filtered = signal.correlate(np.pad(stamp, reach), weights.astype(float), "valid", "fft")
        up, across = np.unravel_index(np.argmax(filtered[1:-1, 1:-1]), (2 * _NEAR_PX + 1,) * 2)
        row, column = int(up) + 1, int(across) + 1
        logs = np.log(np.maximum(filtered / filtered[row, column], 1e-3))
        offsets[number] = [
            _vertex(logs[row, column - 1 : column + 2]) + column - reach,
            _vertex(logs[row - 1 : row + 2, column]) + row - reach,
        ]
    return offsets


def off_grid(values: np.ndarray, quantum: np.ndarray) -> np.ndarray:
    """Return how far values lie from whole multiples of the quantum, the mean over each row, 0 to 0.5.

    A frame without a quantum has 0.
    """
    step = np.where(quantum > 0, quantum, 1.0).reshape(-1, *[1] * (values.ndim - 1))
    parts = values / step
    away = np.abs(parts - np.round(parts))
    mean = np.nanmean(away, axis=tuple(range(1, values.ndim)))
    return np.where(quantum > 0, mean, 0.0)


def central_pixels(found: SourceSample, side: int = 11) -> np.ndarray:
    """Return the middle of each plane in units of the sky's noise, compressed, (n, 3 * side**2) float32."""
    middle, reach = centre_pixel(found.stamps.shape[1]), side // 2
    planes = found.stamps - np.nanmedian(found.stamps, axis=(1, 2), keepdims=True)
    inner = planes[:, middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    scaled = np.arcsinh(inner / found.scalars["rms_counts"][:, None, None, None])
    return np.nan_to_num(scaled).reshape(len(found), -1).astype(np.float32)


def _near(plane: np.ndarray) -> np.ndarray:
    """Return the middle 9x9 of each stamp."""
    middle = centre_pixel(plane.shape[1])
    return plane[:, middle - _NEAR_PX : middle + _NEAR_PX + 1, middle - _NEAR_PX : middle + _NEAR_PX + 1]


def _vertex(values: np.ndarray) -> float:
    """Return where the parabola through three values peaks, from the middle one."""
    bend = values[0] - 2 * values[1] + values[2]
    return float(np.clip((values[0] - values[2]) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


def _sky(found: SourceSample, plane: int) -> np.ndarray:
    """Return the pixels beyond the reach of the candidate's light, (n, side * side), NaN within it."""
    near = stamp_radius(found.stamps.shape[1]) <= _SKY_FWHM * found.scalars["difference_fwhm_px"][:, None, None]
    return np.where(near, np.nan, found.stamps[..., plane].astype(float)).reshape(len(found), -1)


def _spread(pixels: np.ndarray) -> np.ndarray:
    """Return a robust standard deviation of each row."""
    low, high = np.nanpercentile(pixels, [16, 84], axis=1)
    return np.maximum((high - low) / 2, 1e-6)


def _centroids(plane: np.ndarray, fwhm_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the light's mean place under a window of the PSF's width about the stamp's middle, pixels."""
    step = np.arange(plane.shape[1]) - centre_pixel(plane.shape[1])
    window = np.exp(-(step[:, None] ** 2 + step**2) / (2 * (fwhm_px[:, None, None] / 2.355) ** 2))
    light = np.nan_to_num(plane - np.nanmedian(plane, axis=(1, 2), keepdims=True)) * window
    total = light.sum(axis=(1, 2))
    total = np.where(np.abs(total) > 1e-9, total, 1e-9)
    x, y = (light * step).sum(axis=(1, 2)) / total, (light * step[:, None]).sum(axis=(1, 2)) / total
    return np.clip(x, -5, 5), np.clip(y, -5, 5)


def _weighted(plane: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Return the flux of the profile in the plane."""
    profile = profile.astype(float)
    power = np.maximum(np.square(profile).sum(axis=(1, 2)), 1e-12)
    return (np.nan_to_num(plane) * profile).sum(axis=(1, 2)) / power
