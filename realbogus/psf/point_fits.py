"""Fits of a point source to stamps: flux, shift, goodness of fit, moments of the residual."""

from dataclasses import dataclass

import numpy as np

from realbogus.stamps import centre_pixel

_CORE_FWHM = 1.5
_WINDOW = 1.5  # in units of the PSF's width; under a window of 1.0 moments depend little on the width
_LEAST_CORE_PX = 2.5
_LEAST = 1e-9


@dataclass(frozen=True)
class PointFit:
    """Fits of a point source to n stamps; all arrays are (n,).

    Attributes
    ----------
    flux : counts
    shift_x, shift_y : pixels, from the given position
    chi2 : of the core, per degree of freedom
    excess, scatter : counts cubed
        Squared residual above the sky's variance, summed over the core weighted by the source's counts, and its
        standard deviation.
    expected : counts squared
        The same sum of the source's counts; with photon noise, `excess` is expected to be this over the gain. Both
        allow for the variance absorbed by the fit.
    size, stretch_plus, stretch_cross : moments of the residual over the flux, pixels squared
    neighbour : sum of products of neighbouring residuals over that of squares
    """

    flux: np.ndarray
    shift_x: np.ndarray
    shift_y: np.ndarray
    chi2: np.ndarray
    excess: np.ndarray
    scatter: np.ndarray
    expected: np.ndarray
    size: np.ndarray
    stretch_plus: np.ndarray
    stretch_cross: np.ndarray
    neighbour: np.ndarray


def fit_points(
    plane: np.ndarray,
    profile: np.ndarray,
    phase: np.ndarray,
    rms: np.ndarray,
    gain: np.ndarray,
    fwhm_px: np.ndarray,
) -> PointFit:
    """Fit a point source to each stamp within 1.5 FWHM of its middle.

    Parameters
    ----------
    plane : ndarray of shape (n, size, size), counts
        NaN where there is no data.
    profile : ndarray of shape (n, size, size)
        PSF of unit flux at the given position.
    phase : ndarray of shape (n, 2), pixels
        Offset of that position, x and y, from the middle of its pixel.
    rms : ndarray of shape (n,), counts
        Standard deviation of a pixel without sources.
    gain : ndarray of shape (n,), electrons per count
    fwhm_px : ndarray of shape (n,)
    """
    reach = np.maximum(_CORE_FWHM * fwhm_px, _LEAST_CORE_PX)
    plane, profile = (_crop(part, int(np.ceil(reach.max(initial=0))) + 1) for part in (plane, profile))
    core = stamp_radius(plane.shape[1]) <= reach[:, None, None]
    used = core & np.isfinite(plane)
    counts, profile = np.where(used, plane, 0).astype(float), profile.astype(float)
    up, across = np.gradient(profile, axis=(1, 2))
    design = np.stack([profile, -across, -up, np.ones_like(profile)], axis=1)  # (n, 4, size, size)
    variance = np.broadcast_to(rms[:, None, None] ** 2, plane.shape)
    for _ in range(2):  # the second time with the source's photon noise
        solved, _ = _solve(design, counts, used / variance)
        light = np.maximum(solved[:, 0, None, None] * profile, 0)
        variance = rms[:, None, None] ** 2 + light / gain[:, None, None]
    solved, share = _solve(design, counts, used / variance)
    residual = np.where(used, counts - np.einsum("nk,nkyx->nyx", solved, design), 0)
    flux, free = solved[:, 0], np.maximum(used.sum(axis=(1, 2)) - solved.shape[1], 1)
    safe = np.where(np.abs(flux) > _LEAST, flux, _LEAST)
    moments = windowed_moments(residual, phase, fwhm_px) / safe[:, None]
    light = used * light
    return PointFit(
        flux=flux,
        shift_x=solved[:, 1] / safe,
        shift_y=solved[:, 2] / safe,
        chi2=np.square(residual / np.sqrt(variance)).sum(axis=(1, 2)) / free,
        excess=(light * (np.square(residual) - share * rms[:, None, None] ** 2)).sum(axis=(1, 2)),
        scatter=np.sqrt(2 * np.square(light * share * variance).sum(axis=(1, 2))),
        expected=(np.square(light) * share).sum(axis=(1, 2)),
        size=moments[:, 0],
        stretch_plus=moments[:, 1],
        stretch_cross=moments[:, 2],
        neighbour=_correlate(residual / np.sqrt(variance)),
    )


def _crop(stamps: np.ndarray, reach: int) -> np.ndarray:
    """Return the stamps' pixels within `reach` rows and columns of the centre, (n, size, size)."""
    middle = centre_pixel(stamps.shape[1])
    first = max(middle - reach, 0)
    return np.asarray(stamps[:, first : middle + reach + 1, first : middle + reach + 1])


def _correlate(pull: np.ndarray) -> np.ndarray:
    """Return the mean correlation of pixels with those to the right and above, (n,)."""
    beside = (pull[:, 1:] * pull[:, :-1]).sum(axis=(1, 2)) + (pull[:, :, 1:] * pull[:, :, :-1]).sum(axis=(1, 2))
    return np.asarray(beside / np.maximum(np.square(pull).sum(axis=(1, 2)), _LEAST) / 2)


def windowed_moments(image: np.ndarray, phase: np.ndarray, fwhm_px: np.ndarray) -> np.ndarray:
    """Return the sums of images, (n, size, size), times r^2, x^2 - y^2 and 2 x y under a Gaussian window, (n, 3).

    The origin is `phase`, (n, 2), from the stamp's middle pixel; the window is 1.5 times as wide as the PSF.
    """
    step = np.arange(image.shape[1]) - centre_pixel(image.shape[1])
    across, up = step - phase[:, 0, None, None], step[:, None] - phase[:, 1, None, None]
    square = across**2 + up**2
    light = image * np.exp(-square / (2 * (_WINDOW * fwhm_px[:, None, None] / 2.355) ** 2))
    return np.stack([(light * power).sum(axis=(1, 2)) for power in (square, across**2 - up**2, 2 * across * up)], 1)


def stamp_radius(size: int) -> np.ndarray:
    """Return each pixel's distance from the stamp's middle pixel, shape (size, size), pixels."""
    step = np.arange(size) - centre_pixel(size)
    return np.hypot(step[:, None], step)


def _solve(design: np.ndarray, counts: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted least-squares coefficients, (n, unknowns), and the share of variance left in each pixel."""
    columns = design.reshape(*design.shape[:2], -1)
    weighted = columns * weight.reshape(len(weight), 1, -1)
    normal = weighted @ columns.swapaxes(1, 2)
    normal += 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(design.shape[1])
    solved = np.linalg.solve(normal, weighted @ counts.reshape(len(counts), -1, 1))[..., 0]
    absorbed = (np.linalg.solve(normal, weighted) * columns).sum(axis=1)
    return solved, (1 - absorbed).reshape(counts.shape)
