"""Judging a model on a part of a dataset: numbers with intervals, baselines on the same rows, a report.

``evaluate_model`` serves training, which has the model in memory, and ``evaluate-holdout`` alike. What
belongs to a problem (baselines, covariates, altered views) comes from that problem's ``baselines`` module.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from galaxy import baselines as galaxy_baselines
from tasks import tracking
from tasks.evaluation_page import evaluation_page
from tasks.learning import measures
from tasks.learning.measures import Interval
from tasks.learning.members import COLUMNS as MEMBER_COLUMNS
from tasks.learning.members import seen_before, training_members
from tasks.learning.parts import Part, part_rows
from tasks.learning.scoring import Scorer, image_blocks, score
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.workspace import Workspace

BATCH_SIZE = 64
BOOTSTRAPS = 500
WORST = 18
SEED = 0  # of resampling and of the baselines' forests, so that an evaluation repeats to the digit

History = Mapping[str, Sequence[float]]


class Problem(Protocol):
    """What a problem's ``baselines`` module offers."""

    CATALOGUE_SCALARS: dict[str, str]
    FOREST_ROWS: int
    ALTERED_VIEWS: dict[str, Callable[[NDArray], NDArray]]

    def majority(self, train_labels: NDArray, count: int, classes: int) -> NDArray: ...  # noqa: D102

    def forest(  # noqa: D102
        self, train_scalars: NDArray, train_labels: NDArray, scalars: NDArray, classes: int, seed: int
    ) -> NDArray: ...

    def image_scalars(self, images: NDArray) -> NDArray: ...  # noqa: D102


PROBLEMS: dict[str, Problem] = {"galaxy": galaxy_baselines}


class EvaluationError(ValueError):
    """A model cannot be judged on this part of this dataset."""


@dataclass(frozen=True)
class Rival:
    """A line of the table of models."""

    name: str
    count: int
    accuracy: Interval
    macro_f1: float
    auc: Interval | None = None
    model_minus_this: Interval | None = None


@dataclass(frozen=True)
class Evaluation:
    """All that a report shows.

    Attributes
    ----------
    part : Part
        What was judged, after leaving out what the model has seen.
    probabilities, calibrated : (n, classes)
        As the model gives them, and after the temperature of its card.
    covariates : dict of axis title to (n,) float, NaN where unknown
    worst : (m, height, width, channel) uint8
        The mistakes that the model was surest of, with their positions in the part.
    """

    title: str
    card: Mapping[str, Any]
    facts: Mapping[str, Any]
    classes: list[str]
    part: Part
    probabilities: NDArray
    calibrated: NDArray
    temperature: float
    model: Rival
    rivals: list[Rival]
    macro_f1: Interval
    auc: Interval | None
    perfect_ece: Interval
    covariates: dict[str, NDArray]
    worst: NDArray
    worst_positions: NDArray
    history: History
    best_epoch: int | None
    overlap: int | None
    notes: list[str] = field(default_factory=list)

    @property
    def predicted(self) -> NDArray:
        """Positions of the predicted classes."""
        return self.probabilities.argmax(axis=1)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is the label."""
        return self.predicted == self.part.labels

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts, labels along rows."""
        return measures.confusion(self.part.labels, self.predicted, len(self.classes))


def evaluate_model(
    workspace: Workspace,
    dataset: Dataset,
    model: Scorer,
    card: Mapping[str, Any],
    part: str,
    scheme: str,
    history: History | None = None,
    run: tracking.TrackedRun | None = None,
    *,
    members: pa.Table | None = None,
    best_epoch: int | None = None,
) -> dict[str, Any]:
    """Judge a model on a part of a dataset, write the report, and return the summary.

    Parameters
    ----------
    model
        Takes images as they are stored, gives probabilities.
    card
        The content of its ``model.json``.
    part
        train, validation, test or all. What the model has seen in training or validation is left out.
    history
        Values an epoch by name: ``train_accuracy``, ``validation_accuracy``, ``train_loss``,
        ``validation_loss``.
    run
        Where numbers (named ``PART_accuracy`` and so on), tables and figures are recorded too.
    members
        What the model has seen; found through the card's dataset where it is None.

    Raises
    ------
    EvaluationError
        Classes or image shape are not the model's, or nothing is left to judge.
    """
    _require_match(dataset, scheme, card)
    trained_on, notes = _trained_on(workspace, card)
    if members is None and trained_on is not None:
        members = training_members(trained_on)
    whole = part_rows(dataset, scheme, part)
    chosen, overlap = _leave_out(dataset, whole, members)
    if overlap is None:
        notes.append("Samples that the model was trained on could not be told, so none were left out.")
    if not len(chosen):
        raise EvaluationError(
            f"all {len(whole)} samples of part {part!r} of dataset {dataset.name!r} were in the model's training "
            "or validation part: nothing is left to judge it on"
        )
    evaluation = _judge(workspace, dataset, trained_on, model, card, chosen, part, scheme)
    evaluation.notes.extend(notes)
    evaluation = _with(evaluation, overlap=overlap, history=history or {}, best_epoch=best_epoch)
    return _report(workspace, evaluation, run)
