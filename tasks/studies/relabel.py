"""Two-stage training: score the training part out of fold, relabel suspects, and train again on the new labels.

Folds, suspects and relabelling concern the training part alone; the test part decides nothing. The validation part
keeps its labels, wrong ones included, and therefore cannot choose the epoch of the second training: the more confident
a network fitted to cleaner labels is, the larger its loss on wrong ones. The last epoch is kept, at the end of the
learning rate's schedule.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from realbogus.models.suspects import (
    SUSPECT_THRESHOLD,
    Handling,
    SuspectRule,
    check_suspect_shares,
    find_suspects,
    handle_suspects,
    score_suspects,
)
from realbogus.records import BOGUS, REAL
from tasks.candidates.folds import out_of_fold
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.relabelling import publish_relabelling
from tasks.learning.split_parts import UNLABELLED
from tasks.runtime.cluster import Executor
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.columns import Ids, align_column, align_rows, to_float, to_text
from tasks.store.dataset import Dataset
from tasks.studies.choices import RelabelStage
from tasks.training.train import train_model
from tasks.training.training_task import TrainingTask

STRATA_BINS = 4
KEPT: Literal["last"] = "last"
"""The epoch of the second training whose weights are kept."""
_WORDS = {1: REAL, 0: BOGUS, UNLABELLED: None}


class RelabelRequest(CandidateTrainRequest):
    """How suspects are found and relabelled. Losses and labels are those of the second training."""

    folds: int = Field(default=5, ge=2)
    rule: SuspectRule = "threshold"
    suspect_threshold: float = Field(default=SUSPECT_THRESHOLD, gt=0.5, lt=1)
    """For rule=threshold."""
    handling: Handling = "unlabel"
    rounds: int = Field(default=1, ge=1)
    """Maximum number of rounds of folds and relabelling; it ends earlier when the suspects no longer change."""
    most_of_stratum: float = Field(default=0.2, gt=0, le=1)
    """Largest share of a stratum that may be suspect."""
    stage: RelabelStage = "retrain"
    """The last stage to run; finished stages are not repeated."""

    @model_validator(mode="after")
    def _loss_and_handling(self) -> "RelabelRequest":
        if self.handling == "remove" and self.loss_lds:
            raise ValueError(
                f"handling=remove with loss_lds={self.loss_lds}: a removed candidate takes part in nothing; "
                "use handling=unlabel, or loss_lds=0"
            )
        return self

    def training(self, **changes: Any) -> CandidateTrainRequest:
        """Return the request of a training with some fields changed."""
        fields = {name: getattr(self, name) for name in CandidateTrainRequest.model_fields}
        return CandidateTrainRequest(**fields | changes)


def score_folds(workspace: Workspace, request: RelabelRequest, labels: str | None, executor: Executor) -> pa.Table:
    """Return out-of-fold scores of the training part, sorted by id: ``id, logit, fold, label`` (1 real, 0 bogus).

    Parameters
    ----------
    workspace : Workspace
    request : RelabelRequest
    labels : str or None
        The relabelling to fit to; None: the original labels.
    executor : Executor
    """
    training = open_candidate_training(
        workspace, request.training(labels=labels, loss_ce=1.0, loss_ech=0.0, loss_lds=0.0)
    )
    part = training.part("train")
    labels_digest = hashlib.sha256(f"{request.folds}{part.labels.tobytes().hex()}".encode()).hexdigest()
    folder = training.folder(kind="folds", known=labels_digest, dataset=training.dataset.name, labels=None)
    scores = out_of_fold(training, part, request.folds, folder, executor)
    label_of = dict(zip(part.ids, part.labels.tolist(), strict=True))
    return scores.append_column("label", pa.array([label_of[name] for name in scores["id"].to_pylist()], pa.int32()))


def select_suspects(
    workspace: Workspace, request: RelabelRequest, scores: pa.Table, source: str | None, number: int
) -> tuple[str, NDArray[np.bool_]]:
    """Find suspect labels and publish the relabelling of a round.

    Parameters
    ----------
    workspace : Workspace
    request : RelabelRequest
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
        The rule selects a whole class, or too much of a stratum.
    """
    training = open_candidate_training(workspace, request.training(labels=source))
    logits, labels = scores["logit"].to_numpy(), scores["label"].to_numpy()
    suspect = find_suspects(logits, labels, request.rule, request.suspect_threshold)
    strata = suspect_strata(training.dataset.samples(), scores["id"])
    check_suspect_shares(suspect, labels, strata, request.most_of_stratum)
    name = relabelling_name(training.dataset.digest, source, request, number, suspect)
    changes = label_changes(scores, suspect, request, number, " ".join(training.description.words))
    publish_relabelling(training.dataset, training.scheme, name, changes, source, datetime.now(UTC))
    return name, suspect


def suspect_strata(samples: pa.Table, ids: Ids) -> dict[str, NDArray]:
    """Return the strata of samples, from each of which only a limited share may be suspect.

    Parameters
    ----------
    samples : Table
        Columns id, kind, detector, mag, galaxy_separation_re.
    ids : (n,) text

    Returns
    -------
    dict of (n,) str
        By column: kind, detector, and the quartile of magnitude and of host separation; empty where unknown. Fewer
        values than there are quartiles are not divided.
    """
    samples = align_rows(samples, ids)
    strata: dict[str, NDArray] = {name: to_text(samples[name]) for name in ("kind", "detector")}
    for column in ("mag", "galaxy_separation_re"):
        values = to_float(samples[column])
        is_known = np.isfinite(values)
        words = np.full(len(values), "", object)
        if is_known.sum() >= STRATA_BINS:
            edges = np.quantile(values[is_known], np.linspace(0, 1, STRATA_BINS + 1)[1:-1])
            words[is_known] = [
                f"bin {position + 1} of {STRATA_BINS}" for position in np.searchsorted(edges, values[is_known])
            ]
        strata[column] = np.array(words, str)
    return strata


def relabelling_name(
    dataset_digest: str, source: str | None, request: RelabelRequest, number: int, suspect: NDArray[np.bool_]
) -> str:
    """Return the name of a relabelling, which follows from the labels, the rule, the handling and the suspects."""
    facts = [dataset_digest, source, request.rule, request.handling, suspect.nonzero()[0].tolist()]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
    return f"{request.rule}-{request.handling}-r{number}-{digest}"


def label_changes(
    scores: pa.Table, suspect: NDArray[np.bool_], request: RelabelRequest, number: int, author: str
) -> pa.Table:
    """Return the changed labels: ``id, label`` (null: none), ``reason, score, round, by``; none for handling=keep.

    Parameters
    ----------
    scores : Table
        Columns id, logit, label; n rows.
    suspect : (n,) bool
    request : RelabelRequest
    number : int
        Of the round.
    author : str
        The column ``by``.
    """
    logits, labels = scores["logit"].to_numpy(), scores["label"].to_numpy()
    after = handle_suspects(labels, suspect, request.handling)
    rows = np.flatnonzero(suspect if request.handling != "keep" else np.zeros(len(suspect), bool))
    ids = scores["id"].to_pylist()
    return pa.table(
        {
            "id": pa.array([ids[row] for row in rows], pa.string()),
            "label": pa.array([_WORDS[int(after[row])] for row in rows], pa.string()),
            "reason": pa.array([f"{request.rule}:{request.handling}"] * len(rows), pa.string()),
            "score": pa.array(logits[rows], pa.float64()),
            "round": pa.array([number] * len(rows), pa.int32()),
            "by": pa.array([author] * len(rows), pa.string()),
        }
    )


@dataclass(frozen=True)
class RelabelSteps:
    """The functions that run each stage; the flow replaces them by Prefect tasks of the same signature."""

    score_folds: Callable[[Workspace, RelabelRequest, str | None, Executor], pa.Table] = score_folds
    select_suspects: Callable[[Workspace, RelabelRequest, pa.Table, str | None, int], tuple[str, NDArray[np.bool_]]] = (
        select_suspects
    )
    train: Callable[[TrainingTask], dict[str, Any]] = train_model


@dataclass(frozen=True)
class RelabelRound:
    """A finished round.

    Attributes
    ----------
    labels : str
        Name of its relabelling.
    scores : Table
        Columns id, logit, fold, label; n rows.
    suspect : (n,) bool
    """

    labels: str
    scores: pa.Table
    suspect: NDArray[np.bool_]


def relabel_and_retrain(
    workspace: Workspace, request: RelabelRequest, executor: Executor, steps: RelabelSteps | None = None
) -> dict[str, Any]:
    """Run the stages up to the requested one and return the summary, which includes the training's after retrain."""
    steps, started = steps or RelabelSteps(), time.monotonic()
    rounds, settled = list[RelabelRound](), False
    while len(rounds) < request.rounds and not settled:
        source = rounds[-1].labels if rounds else request.labels
        scores = steps.score_folds(workspace, request, source, executor)
        if request.stage == "folds":
            return {"folds": request.folds, "count": scores.num_rows, "seconds": _since(started)}
        name, suspect = steps.select_suspects(workspace, request, scores, source, len(rounds) + 1)
        run_logger().info("round %d: %d suspects", len(rounds) + 1, int(suspect.sum()))
        settled = bool(rounds) and np.array_equal(rounds[-1].suspect, suspect)
        rounds.append(RelabelRound(name, scores, suspect))
    last = rounds[-1]
    account = {"labels": last.labels, "rounds": len(rounds), "settled": settled, "suspects": count_suspects(last)}
    dataset = request.dataset.partition("@")[0]
    if request.stage == "select":
        return {**account, "noise_found": noise_of(last, _truth(workspace, dataset)), "seconds": _since(started)}
    loss_lds = 0.0 if request.handling == "remove" else request.loss_lds
    second = request.training(dataset=dataset, labels=last.labels, loss_lds=loss_lds, keep=KEPT)
    trained = steps.train(open_candidate_training(workspace, second))
    noise = noise_of(last, _truth(workspace, dataset))
    return {**trained, **account, "noise_found": noise, "seconds": _since(started)}


def count_suspects(last: RelabelRound) -> dict[str, int]:
    """Return the number of suspects by their label."""
    labels = last.scores["label"].to_numpy()
    return {REAL: int((last.suspect & (labels == 1)).sum()), BOGUS: int((last.suspect & (labels == 0)).sum())}


def noise_of(last: RelabelRound, truth: pa.Table | None) -> dict[str, Any] | None:
    """Compare a round's suspects with the hidden truth (columns id, truth); None without it.

    Precision is None without suspects, recall without wrong labels.
    """
    if truth is None:
        return None
    words = align_column(truth, "truth", last.scores["id"]).to_pylist()
    numbers = np.array([{REAL: 1, BOGUS: 0}.get(word, UNLABELLED) for word in words])
    noise = score_suspects(last.suspect, last.scores["label"].to_numpy(), numbers)
    return {
        "precision": None if np.isnan(noise.precision) else noise.precision,
        "recall": None if np.isnan(noise.recall) else noise.recall,
        "suspects": noise.suspects,
        "wrong": noise.wrong,
        "both": noise.both,
    }


def _truth(workspace: Workspace, dataset: str) -> pa.Table | None:
    """Return a dataset's hidden truth; it is read after the last stage, so that no stage can depend on it."""
    return Dataset.open(workspace, dataset).truth()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)
