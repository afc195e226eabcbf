"""A logistic regression that stacks a few scores of one sample into one, fitted on one survey and pulled to another.

Scores are (n, k) float. Each is centred and scaled by its own quartiles and compressed by arcsinh, so that no outlier
of another survey decides. Refitted to a few labels of another survey, the weights are held near those that were fitted
to many labels of the first: the penalty is that of a normal prior about them. The intercept, which follows from the
share of positives, is nearly free.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

_FIRST_PENALTY = 1.0
_INTERCEPT_PENALTY = 1e-3  # holds it where one class is absent
_LEAST_SCALE = 1e-9


@dataclass(frozen=True)
class StackedScores:
    """A fitted stack.

    Attributes
    ----------
    centre, scale : (k,)
        Median and half the distance of the quartiles of each score.
    weights : (k,)
    intercept : float
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float

    def log_odds(self, scores: NDArray) -> NDArray[np.float64]:
        """Return the log odds of being positive, (n,), of scores (n, k)."""
        return self._compress(scores) @ self.weights + self.intercept

    def refitted(self, scores: NDArray, positive: NDArray[np.bool_], penalty: float) -> "StackedScores":
        """Return the stack fitted to samples of another survey, with the weights held near the present ones.

        Parameters
        ----------
        scores : (n, k)
        positive : (n,) bool
            One class may be absent.
        penalty : float
            One over the variance of the prior of each weight.
        """
        weights, intercept = _fit(self._compress(scores), positive, self.weights, self.intercept, penalty)
        return replace(self, weights=weights, intercept=intercept)

    def _compress(self, scores: NDArray) -> NDArray[np.float64]:
        return np.arcsinh((np.asarray(scores, float) - self.centre) / self.scale)


def fit_stack(scores: NDArray, positive: NDArray[np.bool_]) -> StackedScores:
    """Fit a stack to scores (n, k) of samples that are positive or not, (n,).

    Raises
    ------
    ValueError
        A class is absent.
    """
    if positive.all() or not positive.any():
        raise ValueError(f"a stack is fitted to both classes, {int(positive.sum())} of {len(positive)} are positive")
    low, centre, high = np.quantile(scores, [0.25, 0.5, 0.75], axis=0)
    unfitted = StackedScores(centre, np.maximum((high - low) / 2, _LEAST_SCALE), np.zeros(scores.shape[1]), 0.0)
    return unfitted.refitted(scores, positive, _FIRST_PENALTY)


def _fit(
    columns: NDArray, positive: NDArray[np.bool_], prior: NDArray, intercept: float, penalty: float
) -> tuple[NDArray[np.float64], float]:
    """Return the weights (k,) and the intercept that minimise the negative log posterior of columns (n, k)."""
    sign = np.where(positive, 1.0, -1.0)

    def loss(values: NDArray) -> tuple[float, NDArray]:
        margin = sign * (columns @ values[1:] + values[0])
        pull = penalties * (values - start)
        slope = -sign * expit(-margin)
        value = np.logaddexp(0, -margin).sum() + pull @ (values - start) / 2
        return float(value), np.concatenate([[slope.sum()], columns.T @ slope]) + pull

    start = np.concatenate([[intercept], prior])
    penalties = np.concatenate([[_INTERCEPT_PENALTY], np.full(len(prior), penalty)])
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return fitted[1:], float(fitted[0])
