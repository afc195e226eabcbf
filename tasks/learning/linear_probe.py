"""Logistic regression on frozen features of a network: what its weights know before any of them is changed."""

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning import measures
from tasks.learning.split_parts import SplitPart, draw_folds

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""scikit-learn's C, inverse strength of the L2 penalty, from which one is chosen."""
INNER_FOLDS = 5
WITHOUT_CHOICE = 1e-2
"""C where the groups of a class are too few for an inner cross-validation."""
_MOST_STEPS = 300


@dataclass(frozen=True)
class LinearProbe:
    """A logistic regression on standardised features.

    Attributes
    ----------
    pipeline : Pipeline
    classes : int
    strength : float
        The C that was chosen.
    """

    pipeline: "Pipeline"
    classes: int
    strength: float

    def probabilities(self, features: NDArray) -> NDArray[np.float64]:
        """Return the probabilities (n, classes) of features (n, f); 0 of a class that was not fitted to."""
        return _probabilities(self.pipeline, features, self.classes)


def fit_linear_probe(features: NDArray, part: SplitPart, classes: int, seed: int) -> LinearProbe:
    """Fit to the samples of a training part, C chosen by its own cross-validation with whole groups.

    Parameters
    ----------
    features : (n, f)
        Of the samples of `part`, in their order.
    part : SplitPart
    classes : int
    seed : int
        Of the inner folds.
    """
    strength = _choose_strength(features, part, classes, seed)
    return LinearProbe(_fit(features, part.labels, strength), classes, strength)


def _choose_strength(features: NDArray, part: SplitPart, classes: int, seed: int) -> float:
    """Return the C of the lowest mean NLL out of fold."""
    of_class = Counter(label for _, label in set(zip(part.groups, part.labels.tolist(), strict=True)))
    folds = min(INNER_FOLDS, *of_class.values())
    if folds < 2:
        return WITHOUT_CHOICE
    fold_of = draw_folds(part, folds, seed)
    losses = np.zeros(len(STRENGTHS))
    for fold in range(folds):
        inside, outside = fold_of == fold, fold_of != fold
        if len(set(part.labels[outside].tolist())) < 2:
            continue
        for position, strength in enumerate(STRENGTHS):
            fitted = _fit(features[outside], part.labels[outside], strength)
            probabilities = _probabilities(fitted, features[inside], classes)
            losses[position] += inside.sum() * measures.nll(probabilities, part.labels[inside])
    return STRENGTHS[int(losses.argmin())]


def _fit(features: NDArray, labels: NDArray, strength: float) -> "Pipeline":
    from sklearn.exceptions import ConvergenceWarning  # scikit-learn takes a second to import
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=_MOST_STEPS, tol=1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last steps of a weak penalty change no answer
        return pipeline.fit(features, labels)


def _probabilities(pipeline: Any, features: NDArray, classes: int) -> NDArray[np.float64]:
    probabilities = np.zeros((len(features), classes))
    probabilities[:, pipeline.classes_] = pipeline.predict_proba(features)
    return probabilities
