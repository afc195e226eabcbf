"""What injections and the scene's sources leave in the new frame when the measured PSF is taken off, on empty sky."""

import numpy as np
from scipy import stats

from realbogus.audits.checks import Check, Estimate, check_chance, check_near, measure_by_group
from realbogus.audits.giveaway_features import find_phase, fit_new, reference_light
from realbogus.audits.source_sample import SCENE, SourceSample
from realbogus.psf.point_fits import PointFit, windowed_moments

LEAST_CHANCE = 0.01
NOISE_TOLERANCE = 0.05
PSF_TOLERANCE = 0.2
LEAST_SOURCES = 20
_DARK_SIGMA = 1.5  # light of the reference under a source that has no host to speak of
_ODD_CHI2 = 3.0
_LEAST = 1e-30


def check_residuals(found: SourceSample, kind: str, seed: int) -> list[Check]:
    """Return the checks of what a point source leaves in the new frame, on empty sky.

    Parameters
    ----------
    found : SourceSample
        All sources; no pairs are needed, as slopes do not depend on how bright sources are.
    kind : str
        Of the injected ones.
    seed : int
    """
    usable = found.alone & find_dark(found) & (found.scalars["finite_fraction"] == 1)
    scene, injected = (_leave_odd(found.take(usable & (found.kind == name))) for name in (SCENE, kind))
    if min(len(scene), len(injected)) < LEAST_SOURCES:
        return []
    fits = fit_new(scene), fit_new(injected)
    noise = [_measure_noise(fit, one, seed) for fit, one in zip(fits, (scene, injected), strict=True)]
    width = [_measure_width(fit, one, seed) for fit, one in zip(fits, (scene, injected), strict=True)]
    return [
        check_near(
            "noise of its light",
            "Does the variance grow with flux as that of the scene's?",
            _divide(noise[1], noise[0]),
            1.0,
            NOISE_TOLERANCE,
            len(injected),
            f"slopes {noise[1].value:.3f} and {noise[0].value:.3f} counts;",
        ),
        check_near(
            "one PSF",
            "Do residuals follow the PSF's change over the chip no more than the scene's?",
            _subtract(width[1], width[0]),
            0.0,
            PSF_TOLERANCE,
            len(injected),
        ),
    ]


def check_stars(stars: SourceSample, injected: SourceSample) -> Check:
    """Ask whether injections on empty sky miss the measured PSF by as much as stars that were held out of it."""
    usable = injected.alone & find_dark(injected) & (injected.scalars["finite_fraction"] == 1)
    samples = _leave_odd(stars.take(np.isfinite(stars.stamps).all(axis=(1, 2, 3)))), _leave_odd(injected.take(usable))
    fits = [fit_new(one) for one in samples]
    snr = [_point_snr(one, fit) for one, fit in zip(samples, fits, strict=True)]
    rows = _match_sorted(snr[0], snr[1])
    held, laid = (fit.chi2[row] for fit, row in zip(fits, rows, strict=True))
    question = "Do injections miss the measured PSF by as much as held-out stars of equal S/N?"
    if len(laid) < LEAST_SOURCES:
        return Check("perfect PSF", question, np.nan, np.nan, np.nan, None, None, len(laid), "too few stars are alike")
    remark = f"median chi2 {np.median(laid):.3f} and {np.median(held):.3f}"
    return check_chance("perfect PSF", question, stats.ks_2samp(laid, held).pvalue, LEAST_CHANCE, len(laid), remark)


def find_dark(found: SourceSample) -> np.ndarray:
    """Return which sources lie where the reference is dark, so that the new frame shows them alone."""
    return np.asarray(np.abs(reference_light(found)) < _DARK_SIGMA)


def _leave_odd(found: SourceSample) -> SourceSample:
    """Leave out what is no single point source: a neighbour, a hit or a bad pixel lies in the core."""
    return found.take(fit_new(found).chi2 < _ODD_CHI2) if len(found) else found


def _measure_noise(fit: PointFit, found: SourceSample, seed: int) -> Estimate:
    """Measure how much variance a count of a source brings: the gain's inverse, less what the fit takes."""
    scatter = np.maximum(fit.scatter, _LEAST)
    above, below = fit.excess * fit.expected / scatter**2, np.square(fit.expected / scatter)
    return measure_by_group(
        lambda rows: float(above[rows].sum() / below[rows].sum()), np.arange(len(found)), np.random.default_rng(seed)
    )


def _measure_width(fit: PointFit, found: SourceSample, seed: int) -> Estimate:
    """Measure the slope of the residuals' moments on the PSF's own, these taken from the mean of their visit."""
    residual = np.column_stack([fit.size, fit.stretch_plus, fit.stretch_cross])
    psf = windowed_moments(found.profile_new.astype(float), find_phase(found), found.scalars["seeing_px"])
    brightness = fit.flux / found.scalars["rms_counts"]
    for cell in np.unique(found.field):
        psf[found.field == cell] -= psf[found.field == cell].mean(axis=0)
    noise = np.median(np.abs(residual * brightness[:, None]), axis=0) / brightness[:, None]
    above, below = (residual * psf / noise**2).sum(axis=1), np.square(psf / noise).sum(axis=1)
    return measure_by_group(
        lambda rows: float(above[rows].sum() / max(below[rows].sum(), _LEAST)),
        np.arange(len(found)),
        np.random.default_rng(seed),
    )


def _point_snr(found: SourceSample, fit: PointFit) -> np.ndarray:
    """Return the S/N of the fitted flux for the sky's noise alone."""
    power = np.square(found.profile_new.astype(float)).sum(axis=(1, 2))
    return np.asarray(fit.flux * np.sqrt(power) / found.scalars["rms_counts"])


def _match_sorted(first: np.ndarray, second: np.ndarray, most: float = 0.1) -> tuple[list[int], list[int]]:
    """Match values of two samples one to one, smallest first, that differ by less than `most` of their logarithm."""
    order = [np.argsort(values) for values in (first, second)]
    rows: tuple[list[int], list[int]] = [], []
    i = j = 0
    while i < len(first) and j < len(second):
        one, other = int(order[0][i]), int(order[1][j])
        ratio = np.log(max(first[one], 1e-9) / max(second[other], 1e-9))
        if abs(ratio) < most:
            rows[0].append(one)
            rows[1].append(other)
        i += int(ratio < most)
        j += int(ratio > -most)
    return rows


def _divide(first: Estimate, second: Estimate) -> Estimate:
    value = first.value / second.value
    error = abs(value) * np.hypot(
        first.error / max(abs(first.value), 1e-9), second.error / max(abs(second.value), 1e-9)
    )
    return Estimate(value, value - 1.96 * error, value + 1.96 * error)


def _subtract(first: Estimate, second: Estimate) -> Estimate:
    return first.widened(float(np.hypot(first.error, second.error)), first.value - second.value)
