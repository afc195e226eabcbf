"""Relabelling of galaxies: suspects removed, down-weighted, relabelled, or given soft targets in a second training.

Out-of-fold probabilities are calibrated on each fold's own validation groups. Both trainings have the same settings
and keep the epoch that the preset keeps, so that they differ in their labels alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tasks.galaxies.baselines import covariates
from tasks.galaxies.choices import Handling
from tasks.galaxies.relabelling.relabel_report import publish_report, scored_part
from tasks.galaxies.relabelling.truth import true_labels
from tasks.galaxies.soft_labels import vote_shares
from tasks.galaxies.training import GalaxyTraining, GalaxyTrainRequest, open_galaxy_training
from tasks.learning import measures
from tasks.learning.labels.relabelling import TARGET, WEIGHT
from tasks.learning.labels.suspects import FoldRule, own_probabilities, quantile_strata, suggest_labels
from tasks.learning.scoring import IMAGE_BATCH
from tasks.learning.split_parts import SplitPart
from tasks.runtime.cluster import Executor
from tasks.store.dataset import Dataset
from tasks.store.files import write_json
from tasks.tracking.model_registry import UnknownModelError, resolve_model
from tasks.training.cross_validate import OUTPUT, require_unseen, tabulate_outputs
from tasks.training.out_of_fold import FoldPlan, score_out_of_fold
from tasks.training.relabel import RelabelOptions, RelabelRound, RelabelTask
from tasks.training.training_task import TrainingTask, TrainRequest

MOST_OF_STRATUM = 0.5
"""Votes of galaxies are wrong more often than injected labels: a quarter of a faint or undecided bin may be."""
LABEL_SHARE = 0.5
"""What a label keeps of a soft target without vote fractions; the out-of-fold probabilities have the rest.

The soft bootstrapping of Reed et al. 2015 (1412.6596), with equal shares: of a suspect neither the label nor the
networks that contradict it are known to be right.
"""


class GalaxyRelabelRequest(RelabelOptions, GalaxyTrainRequest):
    """How suspects are found and handled; everything else is as in both trainings."""

    trains: ClassVar[type[TrainRequest]] = GalaxyTrainRequest

    rule: FoldRule = "confident"
    handling: Handling = "remove"
    suspect_weight: float | None = Field(default=None, ge=0, lt=1)
    """For handling=weight: weight of a suspect in the loss; None: the out-of-fold probability of its label."""
    most_of_stratum: float = Field(default=MOST_OF_STRATUM, gt=0, le=1)

    @model_validator(mode="after")
    def _weight_and_handling(self) -> "GalaxyRelabelRequest":
        if self.suspect_weight is not None and self.handling != "weight":
            raise ValueError(
                f"suspect_weight={self.suspect_weight} goes with handling=weight, not handling={self.handling}"
            )
        return self


class GalaxyRelabelTask(RelabelTask):
    """A relabelling of galaxies; `request` is a `GalaxyRelabelRequest`."""

    def open(self, **changes: Any) -> GalaxyTraining:
        """Open the request's training with some fields changed."""
        return open_galaxy_training(self.workspace, self.request.training(**changes))

    def out_of_fold(self, training: TrainingTask, part: SplitPart, folder: Path, executor: Executor) -> pa.Table:
        """Return ``id, group, fold, output_CLASS, temperature, best_epoch`` of a part's galaxies.

        Raises
        ------
        PartError
            There are fewer groups than folds, a fold would be fitted without a class, or the initial weights have seen
            samples of the part.
        """
        require_unseen(training, part)
        plan = FoldPlan(training, part, self.request.folds, folder, tabulate_outputs, IMAGE_BATCH)
        return score_out_of_fold(plan, executor).drop_columns(["label"])

    def probabilities(self, scores: pa.Table) -> NDArray:
        """Return the calibrated probabilities (n, classes) of the columns ``output_CLASS``."""
        outputs = np.stack([scores[name].to_numpy() for name in scores.column_names if name.startswith(OUTPUT)], axis=1)
        temperatures = scores["temperature"].to_numpy()
        calibrated = np.empty(outputs.shape)
        for temperature in np.unique(temperatures):
            rows = temperatures == temperature
            calibrated[rows] = measures.apply_temperature(outputs[rows], float(temperature))
        return calibrated

    def suggest(self, scores: pa.Table) -> NDArray[np.int32]:
        """Return the class (n,) that the rule holds for right; it differs from suspect labels."""
        labels, request = scores["label"].to_numpy(), self.request
        return suggest_labels(self.probabilities(scores), labels, request.rule, request.suspect_threshold)

    def scores_of_labels(self, scores: pa.Table) -> NDArray:
        """Return the out-of-fold probability of each label, (n,)."""
        return own_probabilities(self.probabilities(scores), scores["label"].to_numpy())

    def strata(self, training: TrainingTask, scores: pa.Table) -> dict[str, NDArray]:
        """Return the label, and the quartiles of redshift, magnitude, Petrosian radius and vote fraction."""
        labels = np.array(training.classes)[scores["label"].to_numpy()]
        known = covariates(training.dataset, training.scheme, scored_part(training, scores))
        return {"class": labels} | {name: quantile_strata(values) for name, values in known.items()}

    def true_labels(self, dataset: Dataset, ids: Sequence[str]) -> NDArray | None:
        """Return the true class (n,); see `tasks.galaxies.relabelling.truth`."""
        return true_labels(dataset, self.request.scheme or dataset.schemes[0], ids)

    def targets(self, training: TrainingTask, scores: pa.Table) -> dict[str, NDArray]:
        """Return the column ``weight`` for handling=weight, the columns ``target_CLASS`` for handling=soft."""
        request, labels = self.request, scores["label"].to_numpy()
        probabilities = self.probabilities(scores)
        if request.handling == "weight":
            own = own_probabilities(probabilities, labels)
            weights = own if request.suspect_weight is None else np.full(len(own), request.suspect_weight)
            return {WEIGHT: weights.astype(np.float32)}
        if request.handling == "soft":
            votes = vote_shares(training.dataset, training.scheme, scores["id"].to_pylist())
            targets = soft_targets(probabilities, labels, votes)
            return {f"{TARGET}{name}": targets[:, position] for position, name in enumerate(training.classes)}
        return {}

    def retrain(self, labels: str, train: Callable[[TrainingTask], dict[str, Any]]) -> dict[str, Any]:
        """Train on the labels as they are and on the relabelling; return the second summary, the other as ``first``."""
        first, second = (
            self._train_once(self.open(dataset=self.dataset, labels=name), train)
            for name in (self.request.labels, labels)
        )
        return {**second, "first": first}

    def report(self, last: RelabelRound, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write the queue and the page; return their paths and the comparison of both trainings."""
        return publish_report(self, last, summary)

    def _train_once(self, training: TrainingTask, train: Callable[[TrainingTask], dict[str, Any]]) -> dict[str, Any]:
        """Return the summary of a training, made only if an earlier run did not register the same one."""
        record = training.folder(kind="relabel", dataset=training.dataset.name) / "summary.json"
        if record.exists():
            summary: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
            try:
                resolve_model(self.workspace, summary["model_uri"], None)
            except UnknownModelError:
                record.unlink()
            else:
                return summary
        summary = train(training)
        write_json(record, summary)
        return summary


def soft_targets(probabilities: NDArray, labels: NDArray, votes: NDArray | None) -> NDArray[np.float32]:
    """Return the volunteers' shares (n, classes), where they are unknown the mix of label and probabilities.

    Parameters
    ----------
    probabilities : (n, classes)
        Out of fold.
    labels : (n,) int
    votes : (n, classes) or None
    """
    mixed = (1 - LABEL_SHARE) * np.asarray(probabilities, float)
    mixed[np.arange(len(labels)), labels] += LABEL_SHARE
    if votes is not None:
        mixed = np.where(np.isfinite(votes).all(axis=1, keepdims=True), votes, mixed)
    return mixed.astype(np.float32)
