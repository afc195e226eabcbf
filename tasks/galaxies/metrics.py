"""The numbers of a galaxy evaluation: accuracy, F1, AUC and calibration with intervals, and those of the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from tasks.galaxies.atlas.error_atlas import ErrorAtlas
from tasks.galaxies.baselines import Baseline, baseline_of
from tasks.learning import measures
from tasks.learning.predictions import Predictions
from tasks.training.evaluation_record import EvaluationContext, none_for_nan


@dataclass(frozen=True)
class GalaxyEvaluation:
    """A model's predictions beside those of its baselines, all on the same n samples.

    Attributes
    ----------
    context : EvaluationContext
    model : Predictions
    baselines, views : list of Baseline
        Other models, and this model on altered pixels.
    covariates : dict of axis title to (n,) float
        NaN where unknown.
    mistakes : (m,) int64
        Positions of the mistakes with the highest confidence, worst first.
    mistake_images : (m, height, width, channel) uint8
    atlas : ErrorAtlas
    """

    context: EvaluationContext
    model: Predictions
    baselines: Sequence[Baseline]
    views: Sequence[Baseline]
    covariates: Mapping[str, NDArray]
    mistakes: NDArray
    mistake_images: NDArray
    atlas: ErrorAtlas

    @cached_property
    def this_model(self) -> Baseline:
        """The model's own line of the table of models."""
        return baseline_of("this model", self.model)


def summarise(evaluation: GalaxyEvaluation) -> dict[str, Any]:
    """Return the evaluation's summary for JSON: a number that cannot be measured is None."""
    model, facts = evaluation.model, evaluation.context.facts
    labels, perfect = model.part.labels, model.perfect_ece
    numbers: dict[str, Any] = {
        "count": len(model.part),
        "overlap_with_training": evaluation.context.overlap,
        "accuracy": model.accuracy.value,
        "accuracy_low": model.accuracy.low,
        "accuracy_high": model.accuracy.high,
        "macro_f1": model.macro_f1.value,
        "macro_f1_low": model.macro_f1.low,
        "macro_f1_high": model.macro_f1.high,
        "per_class_recall": {name: score.recall.value for name, score in model.per_class.items()},
        "ece": measures.ece(model.calibrated, labels),
        "ece_of_perfect": perfect.value,
        "ece_of_perfect_high": perfect.high,
        "nll": measures.nll(model.calibrated, labels),
        "brier": measures.brier(model.calibrated, labels),
        "temperature": model.temperature,
        "baselines": {line.name: line.accuracy.value for line in evaluation.baselines},
        "views": {line.name: line.accuracy.value for line in evaluation.views},
        "atlas": evaluation.atlas.summary(),
        "summed_from": facts.get("model: summed from"),
        "pixels": facts["pixels"],
        "labels": facts["labels"],
        "notes": list(evaluation.context.notes),
    }
    if model.auc:
        numbers |= {"auc": model.auc.value, "auc_low": model.auc.low, "auc_high": model.auc.high}
    summary: dict[str, Any] = none_for_nan(numbers)
    return summary
