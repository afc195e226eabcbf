"""Studies of real/bogus training: rows of settings, each trained, and judged on a test survey of its own.

A row trains on a part of one dataset, chooses its epoch on that dataset's validation part, and is judged against the
hidden truth of another survey: reals are true transients that were not injected, bogus is what truly is.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from realbogus.models.label_noise import add_noise
from realbogus.models.suspects import find_suspects, check_suspect_shares, handle_suspects, score_suspects, recall_at_precision
from realbogus.records import BOGUS, REAL
from tasks.candidates.folds import out_of_fold
from tasks.candidates.rows import EvaluationRows, evaluation_rows
from tasks.candidates.training import CandidateTraining, CandidateTrainRequest, fit_model, open_candidate_training
from tasks.learning import measures, operating_points
from tasks.learning.scoring import score
from tasks.learning.split_parts import UNLABELLED, PartError, SplitPart
from tasks.runtime.cluster import Executor
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.sampling import hash_order
from tasks.studies.relabel import KEPT
from tasks.studies.resumable_rows import row_name, run_study

SCORE_BATCH = 256
HANDLINGS: dict[str, tuple[str, str]] = {
    "none": ("misclassified", "keep"),
    "remove": ("threshold", "remove"),
    "unlabel": ("threshold", "unlabel"),
    "flip": ("threshold", "flip"),
    "confident": ("confident", "remove"),
}
"""What a study calls a way to treat suspects -> rule and handling."""
MATCHING_NETWORK = {"complex": "simple", "compact": "simple", "simple": "first", "first": "simple"}
"""Whose scores match noise to a network: another architecture's."""


class StudyRequest(BaseModel):
    """What every study takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    test_dataset: str
    seeds: list[int] = [0, 1, 2]
    epochs: int = Field(ge=1)
    limit: int | None = Field(default=None, ge=100)
    """Training triplets, by a hash of their ids; None: all."""
    folds: int = Field(default=5, ge=2)


class Row(BaseModel):
    """One training of a study."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What the row is called in tables."""
    seed: int
    network: str = "complex"
    size: str = "small"
    profile: str = "fixed"
    treatment: str = "all"
    loss_ce: float | None = None
    loss_ech: float | None = None
    loss_lds: float | None = None
    optimizer: str | None = None
    handling: str = "none"
    noise_kind: str = "none"
    noise: float = 0.0


@dataclass(frozen=True)
class Bench:
    """A training dataset and a test survey, with what rows share.

    Attributes
    ----------
    workspace : Workspace
    request : StudyRequest
    folder : Path
        Where rows, scores and folds are kept.
    executor : Executor
        Runs folds.
    """

    workspace: Workspace
    request: StudyRequest
    folder: Path
    executor: Executor

    @cached_property
    def test(self) -> EvaluationRows:
        """The rows of the test survey that count."""
        dataset = Dataset.open(self.workspace, self.request.test_dataset)
        if dataset.truth() is None:
            raise PartError(f"dataset {dataset.name!r} has no hidden truth: a study is judged on a simulated survey")
        chosen = evaluation_rows(dataset, dataset.schemes[0], "all")
        return chosen.take(np.flatnonzero(chosen.headline & (~chosen.injected | ~chosen.real)))

    @cached_property
    def test_pixels(self) -> zarr.Array:
        """The test survey's pixels."""
        return Dataset.open(self.workspace, self.request.test_dataset).pixels

    def training(self, row: Row, **changes: Any) -> CandidateTraining:
        """Open a row's training."""
        own = {name: getattr(row, name) for name in ("network", "size", "profile", "seed", "optimizer")}
        losses = {name: getattr(row, name) for name in ("loss_ce", "loss_ech", "loss_lds")}
        asked = {"dataset": self.request.dataset, "epochs": self.request.epochs, **own, **losses, **changes}
        return open_candidate_training(self.workspace, CandidateTrainRequest(**asked))

    def part(self, training: CandidateTraining, name: str) -> SplitPart:
        """Return a part of the training dataset, at most `limit` of its train part."""
        part = training.part(name)
        limit = self.request.limit
        if name != "train" or limit is None or limit >= len(part):
            return part
        order = hash_order(part.ids, 0)
        return part.take(np.sort(order[:limit]))


@task(name="study", description="Train and judge every row that is not there yet", cache_policy=NO_CACHE)
def run_rows(
    workspace: Workspace, name: str, request: StudyRequest, rows: Sequence[Row], executor: Executor
) -> list[dict[str, Any]]:
    """Run a study's rows; return their results."""
    quiet_tensorflow()
    bench = Bench(workspace, request, study_folder(workspace, name, request), executor)
    return run_study(
        bench.folder,
        [row.model_dump() for row in rows],
        lambda settings: _run_row(bench, Row(**settings)),
        run_logger().info,
    )


def study_folder(workspace: Workspace, name: str, request: StudyRequest) -> Path:
    """Return where a study keeps its rows: it follows from datasets and sizes, not from the rows asked for."""
    same = request.model_dump(include={"epochs", "limit", "folds"})
    digests = [Dataset.open(workspace, which).digest for which in (request.dataset, request.test_dataset)]
    told = json.dumps([same, digests], sort_keys=True)
    return workspace.root / "studies" / f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _run_row(bench: Bench, row: Row) -> dict[str, Any]:
    """Train and judge one row; its scores of the test survey are kept for paired comparisons."""
    started = time.monotonic()
    logits, told = _each(bench, row) if row.treatment == "each" else _one(bench, row, {})
    np.save(bench.folder / f"scores-{row_name(row.model_dump())}.npy", logits, allow_pickle=False)
    real = bench.test.real
    point = operating_points.at_tpr(logits, real, bench.test.part.groups, 0.9)
    return {
        **told,
        "auc": measures.auc(logits, real),
        "fpr_at_tpr90": point.fpr.value,
        "fpr_at_tpr90_low": point.fpr.low,
        "fpr_at_tpr90_high": point.fpr.high,
        "bogus_passed": point.passed,
        "real": point.positives,
        "bogus": point.negatives,
        "fit_seconds": round(time.monotonic() - started, 1),
    }


def _each(bench: Bench, row: Row) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Train a model a detector; each judges the test rows of its own."""
    detectors = np.array(bench.test.samples["detector"].to_pylist(), str)
    logits = np.full(len(detectors), np.nan)
    told: dict[str, Any] = {}
    for detector in np.unique(detectors):
        found, told = _one(bench, row, {"treatment": "each", "detector": str(detector)}, detectors == detector)
        logits[detectors == detector] = found
    return logits, told


def _one(
    bench: Bench, row: Row, changes: Mapping[str, Any], judged: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Train one model and return its logits of the test rows, and what was done to the labels."""
    import keras

    from tasks.learning.devices import choose_device

    treatment = {} if changes else {"treatment": row.treatment}
    handling = HANDLINGS[row.handling][1]
    second: dict[str, Any] = {} if handling == "keep" else {"keep": KEPT}
    if handling == "remove":
        second["loss_lds"] = 0.0
    training = bench.training(row, **{**treatment, **changes, **second})
    part, validation = bench.part(training, "train"), bench.part(training, "validation")
    part, validation, reached = with_noise(bench, row, part, validation)
    part, found = _with_handling(bench, row, training, part)
    if not training.preset.losses.lds:
        part = part.take(np.flatnonzero(part.labels != UNLABELLED))
    state = bench.folder / "fit"
    shutil.rmtree(state, ignore_errors=True)
    model = fit_model(training, part, validation, state, choose_device("auto"))
    rows = bench.test.part.rows if judged is None else bench.test.part.rows[judged]
    logits = operating_points.logit_of(score(model, bench.test_pixels, rows, SCORE_BATCH))
    shutil.rmtree(state, ignore_errors=True)
    keras.backend.clear_session()
    return logits, {"trained_on": len(part), "noise_reached": reached, **found}


def with_noise(bench: Bench, row: Row, part: SplitPart, validation: SplitPart) -> tuple[SplitPart, SplitPart, float]:
    """Return both parts with the row's noise, the same for all handlings, and the share of labels that it flipped.

    A survey's validation labels come from where its training labels come from, so they are as noisy.
    """
    rng = np.random.default_rng([row.seed, 42])
    both = part.joined(validation)
    if row.noise_kind != "score-matched" or not row.noise:
        noisy = add_noise(both.labels, row.noise_kind if row.noise else "none", row.noise, rng)  # type: ignore[arg-type]
    else:
        other = Row(name="scores", seed=row.seed, network=MATCHING_NETWORK[row.network])
        scores = _folds(bench, other, bench.training(other), both, "matching")
        noisy = add_noise(both.labels, "score-matched", row.noise, rng, scores)
    label_of = dict(zip(both.ids, noisy.labels.tolist(), strict=True))
    noisy_part, noisy_validation = (
        replace(one, labels=np.array([label_of[name] for name in one.ids], np.int32)) for one in (part, validation)
    )
    return noisy_part, noisy_validation, noisy.reached


def _with_handling(
    bench: Bench, row: Row, training: CandidateTraining, part: SplitPart
) -> tuple[SplitPart, dict[str, Any]]:
    """Return the part with its suspects treated, and how good they were against the hidden truth."""
    rule, handling = HANDLINGS[row.handling]
    if handling == "keep":
        return part, {}
    first = bench.training(row, loss_ce=1.0, loss_ech=0.0, loss_lds=0.0)
    logits = _folds(bench, row, first, part, "folds")
    suspect = find_suspects(logits, part.labels, rule)  # type: ignore[arg-type]
    check_suspect_shares(suspect, part.labels, {})
    truth = _truth_of(training.dataset, part)
    found = score_suspects(suspect, part.labels, truth)
    told = {
        "precision": _known(found.precision),
        "recall": _known(found.recall),
        "recall_at_precision_80": _known(recall_at_precision(logits, part.labels, truth)),
        "suspects": found.suspects,
        "wrong": found.wrong,
    }
    return replace(part, labels=handle_suspects(part.labels, suspect, handling)), told  # type: ignore[arg-type]


def _folds(bench: Bench, row: Row, training: CandidateTraining, part: SplitPart, what: str) -> NDArray[np.float64]:
    """Return out-of-fold logits in the part's order, shared by all rows of the same network, seed and labels."""
    told = [row.network, row.size, row.profile, row.seed, what, part.ids, part.labels.tolist()]
    folder = bench.folder / f"{what}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"
    scores = out_of_fold(training, part, bench.request.folds, folder, bench.executor)
    logit_by_id = dict(zip(scores["id"].to_pylist(), scores["logit"].to_pylist(), strict=True))
    return np.array([logit_by_id[name] for name in part.ids])


def _truth_of(dataset: Dataset, part: SplitPart) -> NDArray[np.int64]:
    """Return what each sample truly is, for the account of the suspects alone: 1, 0, or -1 where it is a blend."""
    truth = dataset.truth()
    if truth is None:
        return np.full(len(part), UNLABELLED)
    known = dict(zip(truth["id"].to_pylist(), truth["truth"].to_pylist(), strict=True))
    return np.array([{REAL: 1, BOGUS: 0}.get(str(known.get(name)), UNLABELLED) for name in part.ids])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
