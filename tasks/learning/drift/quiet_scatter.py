"""Is tonight's value within what quiet nights scatter? The rows of one night are correlated, so the night is the unit.

A night's value is the quiet nights' mean, plus the night's own deviation of variance tau^2, plus the noise of its few
rows. Tonight is compared with the prediction of such a random-effects model (Higgins, Thompson & Spiegelhalter 2009,
J. R. Stat. Soc. A 172, 137), tau^2 by DerSimonian & Laird (1986, Control. Clin. Trials 7, 177).

Strata that are alike, such as detectors, share tau^2: a dozen nights of one detector tell it badly. How far each
stratum's scatter is trusted against the common one follows from how unequal they are (Smyth 2004, Stat. Appl. Genet.
Mol. Biol. 3, 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma, stdtr

_MOST_PRIOR_DEGREES = 200.0
_LEAST_SCATTERS = 6
"""Of fewer scatters it is not known how unequal they are."""


@dataclass(frozen=True)
class Deviations:
    """Deviations of tonight's values from those of quiet nights, in units of the quiet scatter, by stratum.

    Attributes
    ----------
    tonight : (m,) float
    mean : (m,) float
        Of the quiet nights.
    scatter : (m,) float
        Mean square of the quiet nights' own deviations in the same units; about 1.
    degrees : (m,) float
        Degrees of freedom of `scatter`.
    """

    tonight: NDArray
    mean: NDArray
    scatter: NDArray
    degrees: NDArray

    def p_values(self, prior_degrees: float = 0.0) -> NDArray:
        """Return two-sided p-values, (m,).

        Parameters
        ----------
        prior_degrees : float
            Degrees of freedom of the knowledge that `scatter` is 1; 0 where each stratum has its own.
        """
        if prior_degrees == 0:
            return np.asarray(2 * stdtr(self.degrees, -np.abs(self.tonight)))
        degrees = prior_degrees + self.degrees
        # Never less than a stratum's own: a few unsteady ones among many steady would alarm too often.
        moderated = np.maximum((prior_degrees + self.degrees * self.scatter) / degrees, self.scatter)
        return np.asarray(2 * stdtr(degrees, -np.abs(self.tonight) / np.sqrt(moderated)))


def measure_deviations(
    tonight: NDArray, noise: NDArray, quiet: NDArray, quiet_noise: NDArray, *, alike: bool
) -> Deviations:
    """Return how far tonight's values are from those of quiet nights.

    Parameters
    ----------
    tonight, noise : (m,)
        Tonight's value of each stratum, and the variance above 0 that it has because its rows are few.
    quiet, quiet_noise : (n, m)
        The same of n quiet nights; NaN where a night lacks a stratum. Two nights of each stratum at least.
    alike : bool
        Whether the strata share the variance between nights.
    """
    weights = np.where(np.isfinite(quiet), 1 / quiet_noise, 0.0)
    values = np.where(np.isfinite(quiet), quiet, 0.0)
    degrees = (weights > 0).sum(axis=0) - 1.0
    total = weights.sum(axis=0)
    centre = (weights * values).sum(axis=0) / total
    excess = (weights * (values - centre) ** 2).sum(axis=0) - degrees
    slope = total - (weights**2).sum(axis=0) / total
    between = excess.sum() / slope.sum() if alike else excess / slope
    variance = np.maximum(between, 0) + np.where(weights > 0, quiet_noise, 1.0)
    weights = np.where(weights > 0, 1 / variance, 0.0)
    mean = (weights * values).sum(axis=0) / weights.sum(axis=0)
    predicted = np.maximum(between, 0) + noise + 1 / weights.sum(axis=0)
    scatter = (weights * (values - mean) ** 2).sum(axis=0) / degrees
    return Deviations((tonight - mean) / np.sqrt(predicted), mean, scatter, degrees)


def estimate_prior_degrees(deviations: Sequence[Deviations]) -> float:
    """Return the degrees of freedom of the knowledge that strata scatter alike, from how much their scatters differ.

    By the variance of the logarithms of the scatters, less what their own degrees of freedom give it.
    """
    scatter = np.concatenate([one.scatter for one in deviations]) if deviations else np.empty(0)
    degrees = np.concatenate([one.degrees for one in deviations]) if deviations else np.empty(0)
    usable = scatter > 0
    if usable.sum() < _LEAST_SCATTERS:
        return 0.0
    excess = np.var(np.log(scatter[usable]), ddof=1) - polygamma(1, degrees[usable] / 2).mean()
    if excess <= 0:
        return _MOST_PRIOR_DEGREES
    return min(_MOST_PRIOR_DEGREES, 2 * _invert_trigamma(float(excess)))


def _invert_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value > 0, by Newton's method on 1 / trigamma, which is convex."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x


def reject(p_values: NDArray, rate: float) -> NDArray[np.bool_]:
    """Return which hypotheses of (n,) p-values are rejected at a false-discovery rate.

    By Benjamini & Hochberg (1995, J. R. Stat. Soc. B 57, 289). It holds for independent and for positively dependent
    p-values (Benjamini & Yekutieli 2001, Ann. Stat. 29, 1165), as those of detectors that share a night are; the
    correction for any dependence would cost a factor of ln n in all of them.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    within = p_values[order] <= rate * np.arange(1, count + 1) / max(count, 1)
    rejected = np.zeros(count, bool)
    if within.any():
        rejected[order[: int(np.flatnonzero(within)[-1]) + 1]] = True
    return rejected
