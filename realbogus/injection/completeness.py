"""How much of what was injected is found, against magnitude."""

import numpy as np
from scipy.optimize import minimize

LEAST_INJECTIONS = 50
_MOST_WIDTH_MAG = 3.0


def fit_completeness(mag: np.ndarray, found: np.ndarray) -> tuple[float, float] | None:
    """Fit the share found as a falling logistic curve of magnitude, by maximum likelihood.

    Parameters
    ----------
    mag : ndarray, (n,)
        Of the injections.
    found : ndarray of bool, (n,)

    Returns
    -------
    (mag50, width_mag) or None
        Where half is found, and the scale of the fall. None for fewer than 50 injections, or where the magnitudes do
        not enclose the 50 % point.
    """
    mag, found = np.asarray(mag, float), np.asarray(found, bool)
    known = np.isfinite(mag)
    mag, found = mag[known], found[known]
    if len(mag) < LEAST_INJECTIONS or found.all() or not found.any():
        return None

    def loss(parameters: np.ndarray) -> float:
        argument = (mag - parameters[0]) / np.exp(parameters[1])
        return float(np.sum(np.logaddexp(0, np.where(found, argument, -argument))))

    fit = minimize(loss, [float(np.median(mag)), np.log(0.3)], method="Nelder-Mead")
    middle, width = float(fit.x[0]), float(np.exp(fit.x[1]))
    low, high = np.quantile(mag, [0.02, 0.98])
    return (middle, width) if low < middle < high and width < _MOST_WIDTH_MAG else None


def binned_completeness(mag: np.ndarray, found: np.ndarray, edges: np.ndarray) -> list[tuple[int, int]]:
    """Count injections and those found in bins of magnitude; one (found, injected) a bin."""
    bins = np.digitize(mag, edges) - 1
    return [(int(found[bins == k].sum()), int((bins == k).sum())) for k in range(len(edges) - 1)]
