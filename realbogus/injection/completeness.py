"""Completeness: the fraction of injections that is detected, as a function of magnitude."""

import numpy as np
from scipy.optimize import minimize

LEAST_INJECTIONS = 50
_MOST_WIDTH_MAG = 3.0


def fit_completeness(mag: np.ndarray, found: np.ndarray) -> tuple[float, float] | None:
    """Fit the detected fraction as a falling logistic function of magnitude, by maximum likelihood.

    Parameters
    ----------
    mag : ndarray of shape (n,)
        Of the injections; NaN is left out.
    found : ndarray of bool, shape (n,)
        Detected.

    Returns
    -------
    (mag50, width_mag) or None
        Magnitude of 50 % completeness, and the scale of the logistic function. None for fewer than 50 injections, if
        the magnitudes do not enclose the 50 % point, or for a scale of 3 mag and more.
    """
    mag, found = np.asarray(mag, float), np.asarray(found, bool)
    has_mag = np.isfinite(mag)
    mag, found = mag[has_mag], found[has_mag]
    if len(mag) < LEAST_INJECTIONS or found.all() or not found.any():
        return None

    def loss(parameters: np.ndarray) -> float:
        """Return the negative log likelihood of (mag50, log width), shape (2,)."""
        argument = (mag - parameters[0]) / np.exp(parameters[1])
        return float(np.sum(np.logaddexp(0, np.where(found, argument, -argument))))

    fit = minimize(loss, [float(np.median(mag)), np.log(0.3)], method="Nelder-Mead")
    middle, width = float(fit.x[0]), float(np.exp(fit.x[1]))
    low, high = np.quantile(mag, [0.02, 0.98])
    return (middle, width) if low < middle < high and width < _MOST_WIDTH_MAG else None


def binned_completeness(mag: np.ndarray, found: np.ndarray, edges: np.ndarray) -> list[tuple[int, int]]:
    """Count injections in bins of magnitude.

    Parameters
    ----------
    mag : ndarray of shape (n,)
    found : ndarray of bool, shape (n,)
    edges : ndarray of shape (m + 1,)

    Returns
    -------
    list of (found, injected), m long
        Bins include their lower edge, not their upper.
    """
    bins = np.digitize(mag, edges) - 1
    return [(int(found[bins == k].sum()), int((bins == k).sum())) for k in range(len(edges) - 1)]
