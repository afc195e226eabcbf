"""Features of a stamp in which an injection could differ from a transient of the scene.

Each is measured with the PSF of the frame itself, at the position for which the stamp was cut.
"""

from itertools import pairwise

import numpy as np
from scipy import signal

from realbogus.audits.source_sample import SourceSample
from realbogus.psf.point_fits import PointFit, fit_points, stamp_radius
from realbogus.stamps import centre_pixel, round_position

NEW, REFERENCE, DIFFERENCE = 0, 1, 2
BLANKED_PX = 15
_SKY_FWHM = 2.2  # radius in FWHM beyond which a point source has negligible light
_RING_EDGES_PX = (0.0, 1.5, 3.5, 6.5, 10.0)
_NEAR_PX = 4  # half width of the square of central pixels


def fit_new(sample: SourceSample) -> PointFit:
    """Fit a point source to each stamp of the new frame; meaningful where the reference is dark."""
    scalars = sample.scalars
    return fit_points(
        sample.stamps[..., NEW],
        sample.profile_new,
        find_phase(sample),
        scalars["rms_counts"],
        scalars["gain_e_per_count"],
        scalars["seeing_px"],
    )


def measure_stamps(sample: SourceSample) -> dict[str, np.ndarray]:
    """Return all features of each stamp by name, each (n,) float64."""
    scalars, phase = sample.scalars, find_phase(sample)
    noise, fwhm = _spread(_sky(sample, DIFFERENCE)), scalars["difference_fwhm_px"]
    difference, new, reference = (sample.stamps[..., plane].astype(float) for plane in (DIFFERENCE, NEW, REFERENCE))
    fit = fit_points(difference, sample.profile_difference, phase, noise, scalars["gain_e_per_count"], fwhm)
    added = new - scalars["scale"][:, None, None] * reference
    added -= np.nanmedian(added, axis=(1, 2), keepdims=True)
    flux = np.maximum(np.abs(fit.flux), noise)
    peak = np.nanmax(_near(difference), axis=(1, 2))
    offset = find_offset(difference, sample.profile_difference)
    return {
        "off_grid": off_grid(_near(new), scalars["quantum_counts"]),
        "chi2": fit.chi2,
        "shift_x": fit.shift_x,
        "shift_y": fit.shift_y,
        "off_claim": np.hypot(offset[:, 0], offset[:, 1]),
        "excess": fit.excess / np.maximum(fit.scatter, 1e-9),
        "size": fit.size,
        "stretch_plus": fit.stretch_plus,
        "stretch_cross": fit.stretch_cross,
        "neighbour": fit.neighbour,
        "phase_x": phase[:, 0],
        "phase_y": phase[:, 1],
        "share_in_new": _weighted(added, sample.profile_new) / flux,
        "peak_share": peak / flux,
        "trough": np.nanmin(_near(difference), axis=(1, 2)) / noise,
        "noise": noise / scalars["rms_counts"],
    }


def measure_border(sample: SourceSample) -> dict[str, np.ndarray]:
    """Return features of the stamp without its central 15 x 15 pixels by name, each (n,) float64."""
    size = sample.stamps.shape[1]
    middle, reach = centre_pixel(size), BLANKED_PX // 2
    blank = np.zeros((size, size), bool)
    blank[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1] = True
    measured = {}
    for name, plane in (("new", NEW), ("reference", REFERENCE), ("difference", DIFFERENCE)):
        pixels = sample.stamps[..., plane][:, ~blank].astype(float)
        pixels = (pixels - np.nanmedian(pixels, axis=1, keepdims=True)) / sample.scalars["rms_counts"][:, None]
        for share in (0, 2, 16, 84, 98, 100):
            measured[f"{name}_{share}"] = np.nanpercentile(pixels, share, axis=1)
        measured[f"{name}_missing"] = np.isnan(pixels).mean(axis=1)
    return measured


def measure_reference(sample: SourceSample) -> dict[str, np.ndarray]:
    """Return features of the reference by name, each (n,) float64: light at the candidate and in rings around it."""
    reference = sample.stamps[..., REFERENCE].astype(float)
    level = np.nanmedian(reference, axis=(1, 2), keepdims=True)
    x, y = _centroids(reference, sample.scalars["seeing_px"])
    radius = stamp_radius(reference.shape[1])
    unit = sample.scalars["rms_counts"] / sample.scalars["scale"]
    measured = {"light": reference_light(sample), "off_middle": np.hypot(x, y)}
    for inner, outer in pairwise(_RING_EDGES_PX):
        ring = (radius >= inner) & (radius < outer)
        light = np.nansum((reference - level)[:, ring], axis=1) / unit / np.sqrt(ring.sum())
        measured[f"ring_{outer:g}"] = np.arcsinh(light / 2)
    return measured


def reference_light(sample: SourceSample) -> np.ndarray:
    """Return the reference's flux under the candidate's PSF, (n,), in units of the new frame's noise."""
    reference = sample.stamps[..., REFERENCE].astype(float)
    reference = reference - np.nanmedian(reference, axis=(1, 2), keepdims=True)
    profile = sample.profile_new.astype(float)
    power = np.square(profile).sum(axis=(1, 2))
    flux = _weighted(reference, profile) * sample.scalars["scale"]
    return flux * np.sqrt(power) / sample.scalars["rms_counts"]


def find_phase(sample: SourceSample) -> np.ndarray:
    """Return the position of each stamp relative to the centre of its pixel, (n, 2) pixels in x and y."""
    positions = np.column_stack([sample.scalars["x_px"], sample.scalars["y_px"]])
    return np.asarray(positions - round_position(positions.ravel()).reshape(positions.shape))


def find_offset(plane: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Return the offset of the peak of each stamp, filtered with its PSF, from the stamp's position.

    The peak within 4 pixels is refined by a parabola through the logarithms of three pixels along each axis, as in
    detection.

    Parameters
    ----------
    plane, profile : (n, y, x)

    Returns
    -------
    (n, 2)
        Pixels in x and y.
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
    """Return the mean distance of values (n, ...) from whole multiples of a quantum (n,), in quanta: (n,), 0 to 0.5.

    It is 0 where the quantum is 0.
    """
    step = np.where(quantum > 0, quantum, 1.0).reshape(-1, *[1] * (values.ndim - 1))
    quanta = values / step
    distance = np.abs(quanta - np.round(quanta))
    mean = np.nanmean(distance, axis=tuple(range(1, values.ndim)))
    return np.where(quantum > 0, mean, 0.0)


def central_pixels(sample: SourceSample, size_px: int = 11) -> np.ndarray:
    """Return the central pixels of each plane, arcsinh of their S/N, (n, 3 * size_px**2) float32."""
    middle, reach = centre_pixel(sample.stamps.shape[1]), size_px // 2
    planes = sample.stamps - np.nanmedian(sample.stamps, axis=(1, 2), keepdims=True)
    inner = planes[:, middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    scaled = np.arcsinh(inner / sample.scalars["rms_counts"][:, None, None, None])
    return np.nan_to_num(scaled).reshape(len(sample), -1).astype(np.float32)


def _near(plane: np.ndarray) -> np.ndarray:
    """Return the central 9 x 9 pixels of each stamp (n, y, x)."""
    middle = centre_pixel(plane.shape[1])
    return plane[:, middle - _NEAR_PX : middle + _NEAR_PX + 1, middle - _NEAR_PX : middle + _NEAR_PX + 1]


def _vertex(values: np.ndarray) -> float:
    """Return the peak of the parabola through three values relative to the second, -0.5 to 0.5; 0 without a peak."""
    bend = values[0] - 2 * values[1] + values[2]
    return float(np.clip((values[0] - values[2]) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


def _sky(sample: SourceSample, plane: int) -> np.ndarray:
    """Return the pixels of a plane, (n, y * x), NaN within the reach of the candidate's light."""
    near = stamp_radius(sample.stamps.shape[1]) <= _SKY_FWHM * sample.scalars["difference_fwhm_px"][:, None, None]
    return np.where(near, np.nan, sample.stamps[..., plane].astype(float)).reshape(len(sample), -1)


def _spread(pixels: np.ndarray) -> np.ndarray:
    """Return a robust standard deviation (n,) of each row of pixels (n, m)."""
    low, high = np.nanpercentile(pixels, [16, 84], axis=1)
    return np.maximum((high - low) / 2, 1e-6)


def _centroids(plane: np.ndarray, fwhm_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centroids x and y (n,) of stamps (n, y, x) in a Gaussian window of FWHM (n,), pixels from the centre."""
    step = np.arange(plane.shape[1]) - centre_pixel(plane.shape[1])
    window = np.exp(-(step[:, None] ** 2 + step**2) / (2 * (fwhm_px[:, None, None] / 2.355) ** 2))
    light = np.nan_to_num(plane - np.nanmedian(plane, axis=(1, 2), keepdims=True)) * window
    total = light.sum(axis=(1, 2))
    total = np.where(np.abs(total) > 1e-9, total, 1e-9)
    x, y = (light * step).sum(axis=(1, 2)) / total, (light * step[:, None]).sum(axis=(1, 2)) / total
    return np.clip(x, -5, 5), np.clip(y, -5, 5)


def _weighted(plane: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Return the least-squares flux (n,) of profiles (n, y, x) in planes (n, y, x)."""
    profile = profile.astype(float)
    power = np.maximum(np.square(profile).sum(axis=(1, 2)), 1e-12)
    return (np.nan_to_num(plane) * profile).sum(axis=(1, 2)) / power
