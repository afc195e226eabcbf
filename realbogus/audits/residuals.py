"""Checks of the residuals of PSF fits: injections on empty sky against the scene's sources and held-out stars."""

from dataclasses import replace

import numpy as np
from scipy import stats

from realbogus.audits.checks import (
    Check,
    Estimate,
    Question,
    check_near,
    check_p_value,
    check_within,
    estimate_by_group,
    estimate_with_error,
)
from realbogus.audits.giveaway_features import find_phase, fit_new, reference_light
from realbogus.audits.source_sample import SCENE, SourceSample
from realbogus.psf.point_fits import PointFit, windowed_moments

LEAST_P_VALUE = 0.01
NOISE_TOLERANCE = 0.05
PSF_TOLERANCE = 0.2
LEAST_SOURCES = 20
_DARK_SIGMA = 1.5  # maximum light of the reference under a source on empty sky
_MOST_CHI2 = 3.0
_LEAST = 1e-30


def check_residuals(sample: SourceSample, kind: str, seed: int) -> list[Check]:
    """Check the noise and the shape of the residuals of point sources on empty sky in the new frame.

    Parameters
    ----------
    sample : SourceSample
        All sources; no pairs are needed, as the slopes do not depend on brightness.
    kind : str
        Of the injections.
    seed : int

    Returns
    -------
    list of Check
        Empty with fewer than `LEAST_SOURCES` sources of either kind.
    """
    usable = sample.alone & is_dark(sample) & (sample.scalars["finite_fraction"] == 1)
    scene, injected = (_select_point_sources(sample.take(usable & (sample.kind == name))) for name in (SCENE, kind))
    if min(len(scene), len(injected)) < LEAST_SOURCES:
        return []
    fit_of_scene, fit_of_injected = fit_new(scene), fit_new(injected)
    scene_slope = _estimate_noise_slope(fit_of_scene, scene, seed)
    injected_slope = _estimate_noise_slope(fit_of_injected, injected, seed)
    noise = Question(
        "noise of its light",
        "Does the variance grow with flux as that of the scene's sources does (ratio of slopes)?",
        f"slopes {injected_slope.value:.3f} and {scene_slope.value:.3f} counts;",
    )
    scene_shape = _estimate_shape_slope(fit_of_scene, scene, seed)
    injected_shape = _estimate_shape_slope(fit_of_injected, injected, seed)
    shape = Question(
        "one PSF", "Do residuals follow the PSF's change over the chip no more than the scene's (difference of slopes)?"
    )
    return [
        check_near(noise, divide_estimates(injected_slope, scene_slope), 1.0, NOISE_TOLERANCE, len(injected)),
        check_near(shape, subtract_estimates(injected_shape, scene_shape), 0.0, PSF_TOLERANCE, len(injected)),
    ]


def check_stars(stars: SourceSample, injected: SourceSample) -> Check:
    """Check that injections on empty sky fit the measured PSF no better than stars not used to measure it."""
    usable = injected.alone & is_dark(injected) & (injected.scalars["finite_fraction"] == 1)
    complete = np.isfinite(stars.stamps).all(axis=(1, 2, 3))
    samples = _select_point_sources(stars.take(complete)), _select_point_sources(injected.take(usable))
    fits = [fit_new(sample) for sample in samples]
    snr = [_point_snr(sample, fit) for sample, fit in zip(samples, fits, strict=True)]
    rows = match_sorted(snr[0], snr[1])
    star_chi2, injected_chi2 = (fit.chi2[row] for fit, row in zip(fits, rows, strict=True))
    count = len(injected_chi2)
    question = Question("perfect PSF", "Do injections deviate from the measured PSF as held-out stars of equal S/N do?")
    if count < LEAST_SOURCES:
        question = replace(question, remark="too few stars of equal S/N")
        return check_within(question, Estimate(np.nan, np.nan, np.nan), None, None, count)
    remark = f"median chi2 {np.median(injected_chi2):.3f} and {np.median(star_chi2):.3f}"
    p_value = stats.ks_2samp(injected_chi2, star_chi2).pvalue
    return check_p_value(replace(question, remark=remark), p_value, LEAST_P_VALUE, count)


def is_dark(sample: SourceSample) -> np.ndarray:
    """Return whether the reference is dark at each source, (n,) bool, so that the new frame shows it alone."""
    return np.asarray(np.abs(reference_light(sample)) < _DARK_SIGMA)


def _select_point_sources(sample: SourceSample) -> SourceSample:
    """Return the sources that are single point sources, without a neighbour, a hit or a bad pixel in the core."""
    return sample.take(fit_new(sample).chi2 < _MOST_CHI2) if len(sample) else sample


def _estimate_noise_slope(fit: PointFit, sample: SourceSample, seed: int) -> Estimate:
    """Estimate the variance per count of a source: the inverse gain, minus the part that the fit absorbs."""
    scatter = np.maximum(fit.scatter, _LEAST)
    above, below = fit.excess * fit.expected / scatter**2, np.square(fit.expected / scatter)
    return estimate_by_group(
        lambda rows: float(above[rows].sum() / below[rows].sum()), np.arange(len(sample)), np.random.default_rng(seed)
    )


def _estimate_shape_slope(fit: PointFit, sample: SourceSample, seed: int) -> Estimate:
    """Estimate the slope of the residuals' moments on the PSF's moments, relative to the mean of their visit."""
    residual = np.column_stack([fit.size, fit.stretch_plus, fit.stretch_cross])
    psf = windowed_moments(sample.profile_new.astype(float), find_phase(sample), sample.scalars["seeing_px"])
    brightness = fit.flux / sample.scalars["rms_counts"]
    for cell in np.unique(sample.field):
        psf[sample.field == cell] -= psf[sample.field == cell].mean(axis=0)
    noise = np.median(np.abs(residual * brightness[:, None]), axis=0) / brightness[:, None]
    above, below = (residual * psf / noise**2).sum(axis=1), np.square(psf / noise).sum(axis=1)
    return estimate_by_group(
        lambda rows: float(above[rows].sum() / max(below[rows].sum(), _LEAST)),
        np.arange(len(sample)),
        np.random.default_rng(seed),
    )


def _point_snr(sample: SourceSample, fit: PointFit) -> np.ndarray:
    """Return the S/N (n,) of the fitted flux for the noise of the sky alone."""
    power = np.square(sample.profile_new.astype(float)).sum(axis=(1, 2))
    return np.asarray(fit.flux * np.sqrt(power) / sample.scalars["rms_counts"])


def match_sorted(first: np.ndarray, second: np.ndarray, tolerance: float = 0.1) -> tuple[list[int], list[int]]:
    """Match values (n,) and (m,) one to one whose logarithms differ by less than a tolerance, smallest first.

    Returns
    -------
    first_rows, second_rows : list of int
        Of equal length.
    """
    first_order, second_order = np.argsort(first), np.argsort(second)
    rows: tuple[list[int], list[int]] = [], []
    i = j = 0
    while i < len(first) and j < len(second):
        first_row, second_row = int(first_order[i]), int(second_order[j])
        ratio = np.log(max(first[first_row], 1e-9) / max(second[second_row], 1e-9))
        if abs(ratio) < tolerance:
            rows[0].append(first_row)
            rows[1].append(second_row)
        i += int(ratio < tolerance)
        j += int(ratio > -tolerance)
    return rows


def divide_estimates(first: Estimate, second: Estimate) -> Estimate:
    """Return the quotient of two independent estimates, to first order in their errors."""
    value = first.value / second.value
    error = abs(value) * np.hypot(
        first.error / max(abs(first.value), 1e-9), second.error / max(abs(second.value), 1e-9)
    )
    return estimate_with_error(value, float(error))


def subtract_estimates(first: Estimate, second: Estimate) -> Estimate:
    """Return the difference of two independent estimates."""
    return estimate_with_error(first.value - second.value, float(np.hypot(first.error, second.error)))
