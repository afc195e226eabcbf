"""Training and evaluating the rows of a study: label noise, treatment of suspects, fit, rates on the test survey."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realbogus.models.label_noise import add_noise
from realbogus.models.network_settings import Network
from tasks.candidates.choices import Handling
from tasks.candidates.folds import out_of_fold
from tasks.candidates.relabel import KEPT, class_probabilities, true_labels
from tasks.candidates.training import CandidateTraining, fit_model
from tasks.learning import measures, operating_points
from tasks.learning.labels.suspects import (
    SuspectRule,
    check_suspect_shares,
    handle_suspects,
    recall_at_precision,
    score_suspects,
    suggest_labels,
)
from tasks.learning.scoring import STAMP_BATCH, score
from tasks.learning.split_parts import UNLABELLED, SplitPart
from tasks.runtime.cluster import Executor
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column
from tasks.studies.choices import StudyHandling
from tasks.studies.resumable_rows import row_name, run_study
from tasks.studies.rows import StudyRequest, StudyRow, StudySetup, study_folder
from tasks.training.evaluation_record import none_for_nan

HANDLINGS: dict[StudyHandling, tuple[SuspectRule, Handling]] = {
    "none": ("misclassified", "keep"),
    "remove": ("threshold", "remove"),
    "unlabel": ("threshold", "unlabel"),
    "flip": ("threshold", "flip"),
    "confident": ("confident", "remove"),
}
"""Rule and handling of suspects, by the study's name for both."""
MATCHING_NETWORK: dict[Network, Network] = {
    "complex": "simple",
    "compact": "simple",
    "simple": "first",
    "first": "simple",
}
"""The network whose scores place score-matched noise, by the trained network: of another architecture."""


def run_rows(
    workspace: Workspace, name: str, request: StudyRequest, rows: Sequence[StudyRow], executor: Executor
) -> list[dict[str, Any]]:
    """Run the rows of a study that have no result yet, and return the results of all, in their order."""
    quiet_tensorflow()
    setup = StudySetup(workspace, request, study_folder(workspace, name, request), executor)
    return run_study(
        setup.folder,
        [row.model_dump() for row in rows],
        lambda settings: train_row(setup, StudyRow(**settings)),
        run_logger().info,
    )


def train_row(setup: StudySetup, row: StudyRow) -> dict[str, Any]:
    """Train and evaluate one row; its logits of the test survey are saved for paired comparisons.

    Returns
    -------
    dict
        AUC, FPR at TPR 0.9 with its interval and counts, and what `fit_row` returns.
    """
    started = time.monotonic()
    logits, account = fit_by_detector(setup, row) if row.treatment == "each" else fit_row(setup, row, {})
    np.save(setup.folder / f"scores-{row_name(row.model_dump())}.npy", logits, allow_pickle=False)
    real = setup.test.real
    point = operating_points.point_at_tpr(logits, real, setup.test.part.groups, 0.9)
    return {
        **account,
        "auc": measures.auc(logits, real),
        **point.fpr.to_summary("fpr_at_tpr90"),
        "bogus_passed": point.passed,
        "real": point.positives,
        "bogus": point.negatives,
        "fit_seconds": round(time.monotonic() - started, 1),
    }


def fit_by_detector(setup: StudySetup, row: StudyRow) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Train one model per detector; return the logits of all test rows (n,) and the account of the last model.

    Each model scores the test rows of its detector.
    """
    detectors = setup.test.words("detector")
    logits = np.full(len(detectors), np.nan)
    account: dict[str, Any] = {}
    for detector in np.unique(detectors):
        is_of_detector = detectors == detector
        changes = {"treatment": "each", "detector": str(detector)}
        logits[is_of_detector], account = fit_row(setup, row, changes, is_of_detector)
    return logits, account


def fit_row(
    setup: StudySetup, row: StudyRow, changes: Mapping[str, Any], scored: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Train one model; return its logits of the test rows, and the account of its labels.

    Parameters
    ----------
    setup : StudySetup
    row : StudyRow
    changes : mapping
        Changes of the training request: treatment and detector.
    scored : (n,) bool, optional
        The test rows to score; all by default.
    """
    import keras

    from tasks.learning.fits.devices import choose_device

    training = setup.training(row, **second_request(row), **(changes or {"treatment": row.treatment}))
    part, validation = setup.part(training, "train"), setup.part(training, "validation")
    part, validation, reached = with_noise(setup, row, part, validation)
    part, suspects = treat_suspects(setup, row, training, part)
    if not training.preset.losses.lds:
        part = part.take(np.flatnonzero(part.labels != UNLABELLED))
    state = setup.folder / "fit"
    shutil.rmtree(state, ignore_errors=True)
    model = fit_model(training, part, validation, state, choose_device("auto"))
    rows = setup.test.part.rows if scored is None else setup.test.part.rows[scored]
    logits = operating_points.logit_of(score(model, setup.test_pixels, rows, STAMP_BATCH))
    shutil.rmtree(state, ignore_errors=True)
    keras.backend.clear_session()
    return logits, {"trained_on": len(part), "noise_reached": reached, **suspects}


def second_request(row: StudyRow) -> dict[str, Any]:
    """Return the changes of the training request that a row's handling of suspects implies.

    As in `tasks.candidates.relabel`: treated suspects keep the last epoch, and removed ones take part in no loss.
    """
    handling = HANDLINGS[row.handling][1]
    changes: dict[str, Any] = {} if handling == "keep" else {"keep": KEPT}
    return changes | {"loss_lds": 0.0} if handling == "remove" else changes


def with_noise(
    setup: StudySetup, row: StudyRow, part: SplitPart, validation: SplitPart
) -> tuple[SplitPart, SplitPart, float]:
    """Return both parts with the row's label noise, and the share of labels flipped.

    Noise depends on the seed, not on the handling. A survey labels its validation part as it labels its training
    part, so both are equally noisy.
    """
    rng = np.random.default_rng([row.seed, 42])
    joined = part.join(validation)
    logits = None
    if row.noise_kind == "score-matched" and row.noise:
        other = StudyRow(name="scores", seed=row.seed, network=MATCHING_NETWORK[row.network])
        logits = fold_logits(setup, other, setup.training(other), joined, "matching")
    noisy = add_noise(joined.labels, row.noise_kind if row.noise else "none", row.noise, rng, logits)
    label_of = dict(zip(joined.ids, noisy.labels.tolist(), strict=True))
    noisy_part, noisy_validation = (
        replace(clean, labels=np.array([label_of[name] for name in clean.ids], np.int32))
        for clean in (part, validation)
    )
    return noisy_part, noisy_validation, noisy.reached


def treat_suspects(
    setup: StudySetup, row: StudyRow, training: CandidateTraining, part: SplitPart
) -> tuple[SplitPart, dict[str, Any]]:
    """Return the part with its suspects treated, and how well they match the wrong labels by the hidden truth."""
    rule, handling = HANDLINGS[row.handling]
    if handling == "keep":
        return part, {}
    first = setup.training(row, loss_ce=1.0, loss_ech=0.0, loss_lds=0.0)
    logits = fold_logits(setup, row, first, part, "folds")
    suggested = suggest_labels(class_probabilities(logits), part.labels, rule)
    suspect = suggested != part.labels
    check_suspect_shares(suspect, part.labels, {}, training.classes)
    truth = true_labels(training.dataset.truth(), part.ids)
    noise = score_suspects(suspect, part.labels, truth)
    doubts = np.where(part.labels == 1, -1.0, 1.0) * logits
    account = {
        "precision": none_for_nan(noise.precision),
        "recall": none_for_nan(noise.recall),
        "recall_at_precision_80": none_for_nan(recall_at_precision(doubts, part.labels, truth)),
        "suspects": noise.suspects,
        "wrong": noise.wrong,
    }
    return replace(part, labels=handle_suspects(part.labels, suggested, handling)), account


def fold_logits(
    setup: StudySetup, row: StudyRow, training: CandidateTraining, part: SplitPart, purpose: str
) -> NDArray[np.float64]:
    """Return out-of-fold logits (n,) in the part's order.

    They are cached in the study's folder, and shared by all rows with the same network, seed and labels. `purpose` is
    a part of the cache's name.
    """
    facts = [row.network, row.size, row.profile, row.seed, purpose, part.ids, part.labels.tolist()]
    folder = setup.folder / f"{purpose}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"
    scores = out_of_fold(training, part, setup.request.folds, folder, setup.executor)
    return np.asarray(align_column(scores, "logit", part.ids).to_numpy())
