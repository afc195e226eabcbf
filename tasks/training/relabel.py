"""Two-stage training: score the training part out of fold, relabel suspects, and train again on the new labels.

Folds, suspects and relabelling concern the training part alone; the test part decides nothing, and the validation part
keeps its labels, wrong ones included. Each problem derives its `RelabelTask` in `tasks.galaxies` or `tasks.candidates`.
"""

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.learning.labels.relabelling import publish_relabelling
from tasks.learning.labels.suspects import (
    MOST_OF_STRATUM,
    SUSPECT_THRESHOLD,
    SuspectRule,
    check_suspect_shares,
    check_whole_classes,
    handle_suspects,
    score_suspects,
)
from tasks.learning.split_parts import SplitPart
from tasks.runtime.cluster import Executor
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.schema import parse_reference
from tasks.training.choices import RelabelStage
from tasks.training.evaluation_record import none_for_nan
from tasks.training.train import train_model
from tasks.training.training_task import TrainingTask, TrainRequest


class RelabelOptions(BaseModel):
    """How suspects are found; a problem adds the fields of its training and its `handling` of suspects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trains: ClassVar[type[TrainRequest]]
    """The problem's request of a training, whose fields the relabelling's request has too."""

    folds: int = Field(default=5, ge=2)
    rule: SuspectRule = "threshold"
    suspect_threshold: float = Field(default=SUSPECT_THRESHOLD, gt=0.5, lt=1)
    """For rule=threshold."""
    rounds: int = Field(default=1, ge=1)
    """Maximum number of rounds of folds and relabelling; it ends earlier when the suspects no longer change."""
    most_of_stratum: float = Field(default=MOST_OF_STRATUM, gt=0, le=1)
    """Largest share of a stratum that may be suspect."""
    stage: RelabelStage = "retrain"
    """The last stage to run; finished stages are not repeated."""

    def training(self, **changes: Any) -> Any:
        """Return the problem's request of a training with some fields changed."""
        fields = {name: getattr(self, name) for name in self.trains.model_fields}
        return self.trains(**fields | changes)


@dataclass(frozen=True)
class RelabelRound:
    """A finished round.

    Attributes
    ----------
    labels : str
        Name of its relabelling.
    scores : Table
        Columns id, fold (from 1), label (position of the class) and what the networks gave; n rows, sorted by id.
    suspect : (n,) bool
    """

    labels: str
    scores: pa.Table
    suspect: NDArray[np.bool_]

    @property
    def suspect_ids(self) -> list[str]:
        """Ids of the samples whose label is suspect."""
        return list(self.scores["id"].filter(pa.array(self.suspect)).to_pylist())


@dataclass(frozen=True)
class RelabelTask(ABC):
    """A relabelling of one problem's labels: what it trains, how it scores, and what becomes of suspects.

    Attributes
    ----------
    workspace : Workspace
    request : RelabelOptions
        Also a `TrainRequest` of the problem, with a field ``handling``.
    """

    workspace: Workspace
    request: Any

    @abstractmethod
    def open(self, **changes: Any) -> TrainingTask:
        """Open the request's training with some fields changed."""

    @abstractmethod
    def out_of_fold(self, training: TrainingTask, part: SplitPart, folder: Path, executor: Executor) -> pa.Table:
        """Return ``id, fold`` and the networks' outputs for the samples of a part, sorted by id."""

    @abstractmethod
    def probabilities(self, scores: pa.Table) -> NDArray:
        """Return the out-of-fold class probabilities, (n, classes)."""

    @abstractmethod
    def strata(self, training: TrainingTask, scores: pa.Table) -> dict[str, NDArray]:
        """Return strata (n,) str by property, from each of which only a limited share may be suspect."""

    @abstractmethod
    def scores_of_labels(self, scores: pa.Table) -> NDArray:
        """Return the number (n,) that the relabelling records of each changed label."""

    @abstractmethod
    def true_labels(self, dataset: Dataset, ids: Sequence[str]) -> NDArray | None:
        """Return the position (n,) of the true class, -1 where it has none; None without a hidden truth."""

    def check_scores(self, training: TrainingTask, scores: pa.Table) -> None:
        """Raise `SuspectError` if no rule and handling helps labels with such scores."""
        return

    @property
    def fold_changes(self) -> dict[str, Any]:
        """Changes of the request for the trainings of the folds."""
        return {}

    @property
    def second_changes(self) -> dict[str, Any]:
        """Changes of the request for the second training."""
        return {}

    def targets(self, training: TrainingTask, scores: pa.Table) -> dict[str, NDArray]:
        """Return further columns (n,) of the relabelling, by which changed samples count in the loss."""
        return {}

    def retrain(self, labels: str, train: Callable[[TrainingTask], dict[str, Any]]) -> dict[str, Any]:
        """Train on a relabelling of the dataset's current version; return the summary."""
        return train(self.open(dataset=self.dataset, labels=labels, **self.second_changes))

    def report(self, last: RelabelRound, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Publish what the problem shows of the last round; return its entries of the summary."""
        return {}

    @property
    def dataset(self) -> str:
        """Name of the dataset without a version."""
        return parse_reference(self.request.dataset)[0]

    @abstractmethod
    def suggest(self, scores: pa.Table) -> NDArray[np.int32]:
        """Return the class (n,) that the rule holds for right; it differs from suspect labels."""


def score_folds(relabel: RelabelTask, labels: str | None, executor: Executor) -> pa.Table:
    """Return out-of-fold scores of the training part, sorted by id: ``id, fold, label`` and the networks' outputs.

    Parameters
    ----------
    relabel : RelabelTask
    labels : str or None
        The relabelling to fit to; None: the original labels.
    executor : Executor
    """
    training = relabel.open(dataset=relabel.dataset, labels=labels, **relabel.fold_changes)
    part = training.part("train")
    known = _digest_of(part, relabel.request.folds)
    folder = training.folder(kind="folds", known=known, dataset=training.dataset.name, labels=None)
    scores = relabel.out_of_fold(training, part, folder, executor)
    label_of = dict(zip(part.ids, part.labels.tolist(), strict=True))
    return scores.append_column("label", pa.array([label_of[name] for name in scores["id"].to_pylist()], pa.int32()))


def select_suspects(
    relabel: RelabelTask, scores: pa.Table, source: str | None, number: int
) -> tuple[str, NDArray[np.bool_]]:
    """Find suspect labels and publish the relabelling of a round.

    Parameters
    ----------
    relabel : RelabelTask
    scores : Table
        As `score_folds` returns it, n rows.
    source : str or None
        The relabelling that the scores were fitted to.
    number : int
        Of the round, from 1.

    Returns
    -------
    name : str
        Of the new relabelling.
    suspect : (n,) bool

    Raises
    ------
    SuspectError
        The rule selects a whole class or too much of a stratum, or too many labels may be wrong.
    """
    training, labels = relabel.open(dataset=relabel.dataset, labels=source), scores["label"].to_numpy()
    suggested = relabel.suggest(scores)
    suspect = np.asarray(suggested != labels)
    check_whole_classes(suspect, labels, training.classes)
    relabel.check_scores(training, scores)
    strata = relabel.strata(training, scores)
    check_suspect_shares(suspect, labels, strata, training.classes, relabel.request.most_of_stratum)
    changes = label_changes(relabel, training, scores, suggested, number)
    name = relabelling_name(training.dataset.digest, source, relabel.request, number, suspect, changes)
    publish_relabelling(training.dataset, training.scheme, name, changes, source, datetime.now(UTC))
    return name, suspect


def label_changes(
    relabel: RelabelTask, training: TrainingTask, scores: pa.Table, suggested: NDArray[np.int32], number: int
) -> pa.Table:
    """Return the suspects with their new labels: ``id, label`` (null: none), ``reason, score, round, by``, targets.

    There is none for handling=keep.

    Parameters
    ----------
    relabel : RelabelTask
    training : TrainingTask
        The training on the labels that are changed.
    scores : Table
        As `score_folds` returns it, n rows.
    suggested : (n,) int32
        As `suggest_labels` returns it.
    number : int
        Of the round.
    """
    request, labels = relabel.request, scores["label"].to_numpy()
    after = handle_suspects(labels, suggested, request.handling)
    rows = np.flatnonzero((suggested != labels) & (request.handling != "keep"))
    ids, words = scores["id"].to_pylist(), [*training.classes, None]  # the last, at -1, is no label
    return pa.table(
        {
            "id": pa.array([ids[row] for row in rows], pa.string()),
            "label": pa.array([words[after[row]] for row in rows], pa.string()),
            "reason": pa.array([f"{request.rule}:{request.handling}"] * len(rows), pa.string()),
            "score": pa.array(relabel.scores_of_labels(scores)[rows], pa.float64()),
            "round": pa.array([number] * len(rows), pa.int32()),
            "by": pa.array([" ".join(training.description.words)] * len(rows), pa.string()),
            **{name: pa.array(values[rows]) for name, values in relabel.targets(training, scores).items()},
        }
    )


def relabelling_name(
    dataset_digest: str,
    source: str | None,
    request: Any,
    number: int,
    suspect: NDArray[np.bool_],
    changes: pa.Table,
) -> str:
    """Return the name of a relabelling, which follows from its source, rule, handling, suspects and changed labels."""
    facts = [dataset_digest, source, request.rule, request.handling, suspect.nonzero()[0].tolist()]
    if request.handling in ("relabel", "weight", "soft"):  # other changes follow from the suspects
        record = {"id", "reason", "score", "round", "by"}
        facts.append(changes.select([name for name in changes.column_names if name not in record]).to_pylist())
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
    return f"{request.rule}-{request.handling}-r{number}-{digest}"


@dataclass(frozen=True)
class RelabelSteps:
    """The functions that run each stage; the flow replaces them by Prefect tasks of the same signature."""

    score_folds: Callable[[RelabelTask, str | None, Executor], pa.Table] = score_folds
    select_suspects: Callable[[RelabelTask, pa.Table, str | None, int], tuple[str, NDArray[np.bool_]]] = select_suspects
    train: Callable[[TrainingTask], dict[str, Any]] = train_model
    report: Callable[[RelabelTask, RelabelRound, Mapping[str, Any]], dict[str, Any]] = lambda relabel, last, summary: (
        relabel.report(last, summary)
    )


def relabel_and_retrain(relabel: RelabelTask, executor: Executor, steps: RelabelSteps | None = None) -> dict[str, Any]:
    """Run the stages up to the requested one and return the summary, which includes the training's after retrain."""
    steps, started, request = steps or RelabelSteps(), time.monotonic(), relabel.request
    require_current(relabel)
    rounds, settled = list[RelabelRound](), False
    while len(rounds) < request.rounds and not settled:
        source = rounds[-1].labels if rounds else request.labels
        scores = steps.score_folds(relabel, source, executor)
        if request.stage == "folds":
            return {"folds": request.folds, "count": scores.num_rows, "seconds": _since(started)}
        name, suspect = steps.select_suspects(relabel, scores, source, len(rounds) + 1)
        run_logger().info("round %d: %d suspects", len(rounds) + 1, int(suspect.sum()))
        found = RelabelRound(name, scores, suspect)
        settled = not suspect.any() or (bool(rounds) and found.suspect_ids == rounds[-1].suspect_ids)
        rounds.append(found)
    last = rounds[-1]
    trained = relabel.retrain(last.labels, steps.train) if request.stage == "retrain" else {}
    # The truth is read after the last stage, so that no stage can depend on it.
    training = relabel.open(dataset=relabel.dataset, labels=None)
    summary = {
        **trained,
        "labels": last.labels,
        "rounds": len(rounds),
        "settled": settled,
        "suspects": count_suspects(last, training.classes),
        "noise_found": noise_of(last, relabel.true_labels(training.dataset, last.scores["id"].to_pylist())),
    }
    return {**summary, **steps.report(relabel, last, summary), "seconds": _since(started)}


def require_current(relabel: RelabelTask) -> None:
    """Refuse an old version before any fold is fitted: a relabelling makes the version after the current one.

    Raises
    ------
    StoreError
        The request names another version than the current one.
    """
    asked, current = (Dataset.open(relabel.workspace, name) for name in (relabel.request.dataset, relabel.dataset))
    if asked.version != current.version:
        raise StoreError(
            f"dataset={relabel.request.dataset}: {relabel.dataset!r} is at version {current.version}, and only that "
            f"can be relabelled; give dataset={relabel.dataset}"
        )


def count_suspects(last: RelabelRound, classes: Sequence[str]) -> dict[str, int]:
    """Return the number of suspects by their label."""
    labels = last.scores["label"].to_numpy()
    return {name: int((last.suspect & (labels == position)).sum()) for position, name in enumerate(classes)}


def noise_of(last: RelabelRound, truth: NDArray | None) -> dict[str, Any] | None:
    """Compare a round's suspects with the true classes (n,), -1 where unknown; None without a truth.

    Precision is None without suspects, recall without wrong labels.
    """
    if truth is None:
        return None
    noise = score_suspects(last.suspect, last.scores["label"].to_numpy(), truth)
    found: dict[str, Any] = none_for_nan(
        {
            "precision": float(noise.precision),
            "recall": float(noise.recall),
            "suspects": noise.suspects,
            "wrong": noise.wrong,
            "both": noise.both,
        }
    )
    return found


def _digest_of(part: SplitPart, folds: int) -> str:
    """Return a digest of all that the folds are fitted to beside the pixels: samples, labels, targets."""
    targets = None if part.targets is None else part.targets.tolist()
    return hashlib.sha256(json.dumps([folds, part.ids, part.labels.tolist(), targets]).encode()).hexdigest()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)
