"""The accuracies of two models on the same galaxies, and their paired difference."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.galaxies.relabelling.truth import true_labels
from tasks.galaxies.rows import unseen_rows
from tasks.galaxies.training import GalaxyTraining
from tasks.learning.intervals import Interval
from tasks.learning.predictions import Predictions
from tasks.learning.scoring import IMAGE_BATCH, score
from tasks.learning.split_parts import SplitPart
from tasks.tracking.model_registry import resolve_model


@dataclass(frozen=True)
class PairedAccuracy:
    """Two models on the same n galaxies.

    Attributes
    ----------
    count : int
    first, second : Interval
        Accuracies, Wilson's interval.
    difference : Interval
        The second's accuracy minus the first's, groups resampled.
    first_only, second_only : int
        Galaxies that one model alone classifies correctly.
    """

    count: int
    first: Interval
    second: Interval
    difference: Interval
    first_only: int
    second_only: int

    def to_summary(self) -> dict[str, Any]:
        """Return the entries of a summary."""
        return {
            "count": self.count,
            **self.first.to_summary("first"),
            **self.second.to_summary("second"),
            **self.difference.to_summary("difference"),
            "first_only": self.first_only,
            "second_only": self.second_only,
        }


def pair_accuracies(first: Predictions, second: Predictions) -> PairedAccuracy:
    """Return the accuracies of two models on the same galaxies."""
    return PairedAccuracy(
        len(first.part),
        first.accuracy,
        second.accuracy,
        second.accuracy_over(first),
        int((first.correct & ~second.correct).sum()),
        int((second.correct & ~first.correct).sum()),
    )


def compare_on_test(training: GalaxyTraining, models: tuple[str, str]) -> dict[str, PairedAccuracy]:
    """Return the accuracies of two registered models on the test part, which neither has seen.

    Parameters
    ----------
    training : GalaxyTraining
        Names the dataset, the scheme, and the samples that the models have seen.
    models : (str, str)
        Addresses of the first and the second.

    Returns
    -------
    dict
        Under ``labels``, and for simulated galaxies under ``truth``, without those of no class of the scheme: what the
        models are compared with.
    """
    part, _ = unseen_rows(training.dataset, training.scheme, "test", training.seen_samples())
    outputs = [_outputs(training, part, address) for address in models]
    parts = {"labels": (part, np.arange(len(part)))}
    true = true_labels(training.dataset, training.scheme, part.ids)
    if true is not None:
        rows = np.flatnonzero((true >= 0) & (true < len(training.classes)))
        parts["truth"] = (replace(part, labels=true.astype(np.int32)).take(rows), rows)
    return {
        against: pair_accuracies(*(Predictions(of, training.classes, scores[rows]) for scores in outputs))
        for against, (of, rows) in parts.items()
        if len(of)
    }


def _outputs(training: GalaxyTraining, part: SplitPart, address: str) -> NDArray:
    """Return the probabilities (n, classes) of a registered model."""
    from tasks.learning.models.saved_models import load_model

    model, _ = load_model(resolve_model(training.workspace, address, None).folder)
    return score(model, training.dataset.pixels, part.rows, IMAGE_BATCH)
