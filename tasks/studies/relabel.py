"""Two stages of training: find suspect labels out of fold, relabel, train anew with what is left.

Folds, suspects and changes concern the training part alone; the test part decides nothing. The validation part keeps
the labels that it has, so it cannot choose the second training's epoch: the surer a network fitted to cleaner labels
becomes, the larger is its loss on wrong ones. The last epoch is kept, at which the learning rate has come to its end.
"""

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import Field, model_validator

from realbogus.models.suspects import SUSPECT_THRESHOLD, Handling, Rule, find_suspects, guard, handled, noise_found
from realbogus.records import BOGUS, REAL
from tasks.candidates.folds import out_of_fold
from tasks.candidates.training import CandidateTraining, CandidateTrainRequest, open_candidate_training
from tasks.learning.relabelling import publish_relabelling
from tasks.learning.split_parts import UNLABELLED
from tasks.runtime.cluster import Executor
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, align_rows, to_float, to_text
from tasks.store.dataset import Dataset
from tasks.training.training_task import train

STRATA_BINS = 4
KEPT: Literal["last"] = "last"
"""Which epoch of the second training is kept."""


class RelabelRequest(CandidateTrainRequest):
    """How labels are doubted, and how the second training goes; the losses and labels are of the second one."""

    folds: int = Field(default=5, ge=2)
    rule: Rule = "threshold"
    suspect_threshold: float = Field(default=SUSPECT_THRESHOLD, gt=0.5, lt=1)
    """For rule=threshold."""
    handling: Handling = "unlabel"
    rounds: int = Field(default=1, ge=1)
    """Rounds of folds and relabelling at most; it ends before when the suspects stay the same."""
    most_of_stratum: float = Field(default=0.2, gt=0, le=1)
    stage: Literal["folds", "select", "retrain"] = "retrain"
    """Where to stop; what is finished is not done again."""

    @model_validator(mode="after")
    def _loss_and_handling(self) -> "RelabelRequest":
        if self.handling == "remove" and self.loss_lds:
            raise ValueError(
                f"handling=remove with loss_lds={self.loss_lds}: a removed candidate takes part in nothing; "
                "use handling=unlabel, or loss_lds=0"
            )
        return self

    def training(self, **changes: Any) -> CandidateTrainRequest:
        """Return the request of a training."""
        own = {name: getattr(self, name) for name in CandidateTrainRequest.model_fields}
        return CandidateTrainRequest(**own | changes)


@task(name="folds", description="Score the training part out of fold", cache_policy=NO_CACHE)
def score_folds(workspace: Workspace, request: RelabelRequest, labels: str | None, executor: Executor) -> pa.Table:
    """Return out-of-fold scores of the training part: id, logit, fold, label."""
    first = request.training(labels=labels, loss_ce=1.0, loss_ech=0.0, loss_lds=0.0)
    training = open_candidate_training(workspace, first)
    part = training.part("train")
    known = hashlib.sha256(f"{request.folds}{part.labels.tobytes().hex()}".encode()).hexdigest()
    folder = training.folder(kind="folds", known=known, dataset=training.dataset.name, labels=None)
    scores = out_of_fold(training, part, request.folds, folder, executor)
    label_of = dict(zip(part.ids, part.labels.tolist(), strict=True))
    return scores.append_column("label", pa.array([label_of[name] for name in scores["id"].to_pylist()], pa.int32()))


@task(name="select", description="Find suspects, publish the relabelling", cache_policy=NO_CACHE)
def select_suspects(
    workspace: Workspace, request: RelabelRequest, scores: pa.Table, source: str | None, number: int
) -> tuple[str, NDArray[np.bool_]]:
    """Publish a round's relabelling; return its name and which of the scored samples are suspect."""
    training = open_candidate_training(workspace, request.training(labels=source))
    logits, labels = scores["logit"].to_numpy(), scores["label"].to_numpy()
    suspect = find_suspects(logits, labels, request.rule, request.suspect_threshold)
    guard(suspect, labels, _strata(training, scores["id"].to_pylist()), request.most_of_stratum)
    name = _name(request, training, number, suspect, source)
    after = handled(labels, suspect, request.handling)
    words = {1: REAL, 0: BOGUS, UNLABELLED: None}
    at = np.flatnonzero(suspect if request.handling != "keep" else np.zeros(len(suspect), bool))
    ids = scores["id"].to_pylist()
    changes = pa.table(
        {
            "id": pa.array([ids[row] for row in at], pa.string()),
            "label": pa.array([words[int(after[row])] for row in at], pa.string()),
            "reason": pa.array([f"{request.rule}:{request.handling}"] * len(at), pa.string()),
            "score": pa.array(logits[at], pa.float64()),
            "round": pa.array([number] * len(at), pa.int32()),
            "by": pa.array([" ".join(training.words)] * len(at), pa.string()),
        }
    )
    publish_relabelling(training.dataset, training.scheme, name, changes, source, datetime.now(UTC))
    return name, suspect


def relabel_and_retrain(workspace: Workspace, request: RelabelRequest, executor: Executor) -> dict[str, Any]:
    """Run the stages up to the one that is asked for; return the account, with the training's where it is made."""
    started = time.monotonic()
    source, settled, rounds = request.labels, False, 0
    before: NDArray[np.bool_] | None = None
    scores: Any = None
    suspect: Any = None
    while rounds < request.rounds and not settled:
        scores = score_folds(workspace, request, source, executor)
        if request.stage == "folds":
            return {"folds": request.folds, "count": scores.num_rows, "seconds": _since(started)}
        rounds += 1
        source, suspect = select_suspects(workspace, request, scores, source, rounds)
        run_logger().info("round %d: %d suspects", rounds, int(suspect.sum()))
        settled = before is not None and np.array_equal(before, suspect)
        before = suspect
    assert source is not None
    account = {"labels": source, "rounds": rounds, "settled": settled, **_account(scores, suspect)}
    name = request.dataset.partition("@")[0]
    if request.stage == "select":
        return {**account, "noise_found": _found(workspace, name, scores, suspect), "seconds": _since(started)}
    lds = 0.0 if request.handling == "remove" else request.loss_lds
    second = request.training(dataset=name, labels=source, loss_lds=lds, keep=KEPT)
    trained = train(open_candidate_training(workspace, second))
    found = _found(workspace, name, scores, suspect)
    return {**trained, **account, "noise_found": found, "seconds": _since(started)}


def _account(scores: pa.Table, suspect: NDArray[np.bool_]) -> dict[str, Any]:
    labels = scores["label"].to_numpy()
    return {"suspects": {REAL: int((suspect & (labels == 1)).sum()), BOGUS: int((suspect & (labels == 0)).sum())}}


def _since(started: float) -> float:
    return round(time.monotonic() - started, 1)


def _name(
    request: RelabelRequest, training: CandidateTraining, number: int, suspect: NDArray[np.bool_], source: str | None
) -> str:
    """Return a name that follows from what was done, and to which labels."""
    told = json.dumps([training.dataset.digest, source, request.rule, request.handling, suspect.nonzero()[0].tolist()])
    return f"{request.rule}-{request.handling}-r{number}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _strata(training: CandidateTraining, ids: list[str]) -> dict[str, NDArray]:
    """Return by what suspects must not be picked: magnitude, host separation, kind and detector of each sample."""
    samples = align_rows(training.dataset.samples(), ids)
    strata: dict[str, NDArray] = {name: to_text(samples[name]) for name in ("kind", "detector")}
    for column in ("mag", "galaxy_separation_re"):
        values = to_float(samples[column])
        known = np.isfinite(values)
        words = np.full(len(values), "", object)
        if known.sum() >= STRATA_BINS:
            edges = np.quantile(values[known], np.linspace(0, 1, STRATA_BINS + 1)[1:-1])
            words[known] = [f"bin {at + 1} of {STRATA_BINS}" for at in np.searchsorted(edges, values[known])]
        strata[column] = np.array(words, str)
    return strata


def _found(workspace: Workspace, name: str, scores: pa.Table, suspect: NDArray[np.bool_]) -> dict[str, Any] | None:
    """Compare the suspects with the hidden truth, after all is trained; None where there is none."""
    truth = Dataset.open(workspace, name).truth()
    if truth is None:
        return None
    true = align_column(truth, "truth", scores["id"]).to_pylist()
    numbers = np.array([{REAL: 1, BOGUS: 0}.get(word, UNLABELLED) for word in true])
    found = noise_found(suspect, scores["label"].to_numpy(), numbers)
    return {
        "precision": None if np.isnan(found.precision) else found.precision,
        "recall": None if np.isnan(found.recall) else found.recall,
        "suspects": found.suspects,
        "wrong": found.wrong,
        "both": found.both,
    }
