"""Training and evaluating the rows of a study: label noise, treatment of suspects, fit, rates on the test survey."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realbogus.models.label_noise import add_noise, hide_reals
from realbogus.models.network_settings import Network
from tasks.candidates.folds import out_of_fold
from tasks.candidates.methods import CandidateMethods
from tasks.candidates.relabelling.relabel import KEPT, true_labels
from tasks.candidates.relabelling.suspects import (
    brightness_strata,
    class_probabilities,
    doubts,
    never_suspect_injections,
    score_labels,
    suggest,
    sure_reals,
)
from tasks.candidates.rows import are_injections
from tasks.candidates.training import REAL, CandidateTraining, fit_model
from tasks.learning import measures, operating_points
from tasks.learning.labels.dynamics import are_wrong, memorised_share
from tasks.learning.labels.hidden_positives import hidden_shares, pool_strata, positive_targets
from tasks.learning.labels.suspects import (
    check_whole_classes,
    handle_suspects,
    recall_at_precision,
    score_suspects,
)
from tasks.learning.scoring import STAMP_BATCH, score
from tasks.learning.split_parts import UNLABELLED, SplitPart
from tasks.runtime.cluster import Executor
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, align_rows
from tasks.store.dataset import Dataset
from tasks.store.files import whole_file
from tasks.studies.handlings import HANDLINGS
from tasks.studies.resumable_rows import row_name, run_study
from tasks.studies.rows import StudyRequest, StudyRow, StudySetup, study_folder
from tasks.training.evaluation_record import none_for_nan

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
    check_hidden_reals(setup, rows)
    check_numbers(setup, rows)
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
    with whole_file(setup.folder / f"scores-{row_name(row.model_dump())}.npy") as path, path.open("wb") as stream:
        np.save(stream, logits, allow_pickle=False)
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
    part, validation = setup.train_part(training, row), setup.part(training, "validation")
    part, validation, noise = with_noise(setup, row, part, validation)
    part, suspects = treat_suspects(setup, row, training, part, validation)
    if not training.preset.losses.lds:
        part = part.take(np.flatnonzero(part.labels != UNLABELLED))
    state = fit_folder(setup, row, changes)
    memorised = Memorised(part, true_labels(training.dataset.truth(), part.ids))
    watch = None if row.noise_kind == "none" else memorised.add_epoch
    if watch:  # what a fit memorised before it was interrupted is not known
        shutil.rmtree(state, ignore_errors=True)
    model = fit_model(training, part, validation, state, choose_device("auto"), watch)
    rows = setup.test.part.rows if scored is None else setup.test.part.rows[scored]
    logits = operating_points.logit_of(score(model, setup.test_pixels, rows, STAMP_BATCH))
    shutil.rmtree(state, ignore_errors=True)
    keras.backend.clear_session()
    return logits, {"trained_on": len(part), **noise, **suspects, **memorised.to_summary()}


@dataclass(frozen=True)
class Memorised:
    """The memorised share of the wrong labels of a training part, epoch by epoch.

    Attributes
    ----------
    part : SplitPart
        The n samples that are fitted, with their labels.
    truth : (n,) int
        True classes, `UNLABELLED` where unknown. They measure the fit and change nothing in it.
    by_epoch : list of float
        As `memorised_share` returns it.
    """

    part: SplitPart
    truth: NDArray[np.int64]
    by_epoch: list[float] = field(default_factory=list)

    def add_epoch(self, _: int, outputs: NDArray) -> None:
        """Add the share among the network's outputs (n, classes) after another epoch."""
        self.by_epoch.append(memorised_share(outputs, self.part.labels, self.truth))

    def to_summary(self) -> dict[str, Any]:
        """Return ``memorised_share`` by epoch and ``wrong_trained_on``; nothing where no epoch was watched."""
        if not self.by_epoch:
            return {}
        shares = [None if np.isnan(share) else share for share in self.by_epoch]
        return {"memorised_share": shares, "wrong_trained_on": int(are_wrong(self.part.labels, self.truth).sum())}


def second_request(row: StudyRow) -> dict[str, Any]:
    """Return the changes of the training request that a row's method implies.

    As in `tasks.candidates.relabelling.relabel`: with treated suspects the last epoch is kept unless the method names
    another, and removed ones take part in no loss. With a robust loss the noisy validation part chooses no epoch
    either.
    """
    method = HANDLINGS[row.handling]
    changes: dict[str, Any] = {}
    if method.keep or method.handling != "keep" or method.robust_loss:
        changes["keep"] = method.keep or KEPT
    if method.handling == "remove":
        changes["loss_lds"] = 0.0
    if method.handling == "unlabel":
        changes["smoothness"] = method.smoothness
    return changes | ({"robust_loss": method.robust_loss} if method.robust_loss else {})


def with_noise(
    setup: StudySetup, row: StudyRow, part: SplitPart, validation: SplitPart
) -> tuple[SplitPart, SplitPart, dict[str, Any]]:
    """Return both parts with the row's label noise, and the account of the noise.

    Noise depends on the seed, not on the handling. A survey labels its validation part as it labels its training
    part, so both are equally noisy. Of one-sided noise both lack the hidden reals that are left out.

    Returns
    -------
    part, validation : SplitPart
    account : dict
        ``noise_reached`` (of one-sided noise the share of the bogus labels, else of all) and ``largest_bin_rate``.

    Raises
    ------
    ValueError
        The parts have fewer hidden reals than one-sided noise takes.
    """
    rng = np.random.default_rng([row.seed, 42])
    joined = part.join(validation)
    if row.noise_kind == "one-sided":
        hidden = hide_reals(joined.labels, hidden_reals(setup, joined), row.noise, rng)
        account: dict[str, Any] = {"noise_reached": hidden.reached, "largest_bin_rate": None}
        labels, kept = hidden.labels, hidden.kept
    else:
        logits = None
        if row.noise_kind in ("score-matched", "score-matched-bounded") and row.noise:
            other = StudyRow(name="scores", seed=row.seed, network=MATCHING_NETWORK[row.network])
            logits = fold_logits(setup, other, setup.training(other), joined, "matching")
        noisy = add_noise(joined.labels, row.noise_kind if row.noise else "none", row.noise, rng, logits)
        account = none_for_nan({"noise_reached": noisy.reached, "largest_bin_rate": noisy.largest_bin_rate})
        labels, kept = noisy.labels, np.ones(len(joined), bool)
    label_of = dict(zip(np.array(joined.ids)[kept].tolist(), labels[kept].tolist(), strict=True))
    noisy_part, noisy_validation = (_with_labels(clean, label_of) for clean in (part, validation))
    return noisy_part, noisy_validation, account


def check_hidden_reals(setup: StudySetup, rows: Sequence[StudyRow]) -> None:
    """Raise `ValueError` if the dataset has too few hidden reals for the largest share of any row."""
    one_sided = [row for row in rows if row.noise_kind == "one-sided"]
    if one_sided:
        row = max(one_sided, key=lambda one: one.noise)
        training = setup.training(row)
        with_noise(setup, row, setup.part(training, "train"), setup.part(training, "validation"))


def check_numbers(setup: StudySetup, rows: Sequence[StudyRow]) -> None:
    """Raise `PartError` if the training part has fewer reals or bogus than any row takes."""
    if any(row.train_reals or row.train_bogus for row in rows):
        for row in (max(rows, key=lambda one: one.train_reals or 0), max(rows, key=lambda one: one.train_bogus or 0)):
            setup.train_part(setup.training(row), row)


def hidden_reals(setup: StudySetup, part: SplitPart) -> NDArray[np.bool_]:
    """Return which detections of a part are truly real and no injection, (n,); none without a hidden truth."""
    dataset = Dataset.open(setup.workspace, setup.request.dataset)
    is_real = true_labels(dataset.truth(), part.ids) == REAL
    return is_real & ~are_injections(dataset.samples(["id", "kind"]), part.ids)


def _with_labels(part: SplitPart, label_of: Mapping[str, int]) -> SplitPart:
    """Return the samples that have a label in `label_of`, with it."""
    kept = part.take(np.flatnonzero([name in label_of for name in part.ids]))
    return replace(kept, labels=np.array([label_of[name] for name in kept.ids], np.int32))


def treat_suspects(
    setup: StudySetup, row: StudyRow, training: CandidateTraining, part: SplitPart, validation: SplitPart
) -> tuple[SplitPart, dict[str, Any]]:
    """Return the part with its suspects treated, and how well they match the wrong labels by the hidden truth.

    For learning from positive and unlabelled candidates it is the part with its targets instead.
    """
    method = HANDLINGS[row.handling]
    if method.handling == "keep" and method.robust_loss != "nnpu":
        return part, {}
    losses = {"loss_ce": 1.0, "loss_ech": 0.0, "loss_lds": 0.0}
    methods = CandidateMethods(fresh_reals=row.methods.fresh_reals)
    first = setup.training(row, **losses, epochs=setup.request.epochs, methods=methods)
    folder = fits_folder(setup, row, part, "folds")
    scores = score_labels(
        first,
        part,
        method.rule,
        setup.request.folds,
        folder,
        setup.executor,
        suspect_injections=method.suspect_injections,
        recurrence=method.recurrence,
        validation=validation,
    )
    scores = align_rows(scores, part.ids)
    if method.robust_loss == "nnpu":
        return with_hidden_positives(training.dataset, part, class_probabilities(scores["logit"].to_numpy()))
    suggested, doubt = suggest(scores, part.labels, method.rule), doubts(scores, part.labels, method.rule)
    if not method.suspect_injections:
        suggested = never_suspect_injections(suggested, part.labels, training.dataset, part.ids)
        doubt = np.where(sure_reals(training.dataset, part.ids), doubt.min() - 1, doubt)
    suspect = suggested != part.labels
    check_whole_classes(suspect, part.labels, training.classes)
    truth = true_labels(training.dataset.truth(), part.ids)
    noise = score_suspects(suspect, part.labels, truth)
    account = {
        "precision": none_for_nan(noise.precision),
        "recall": none_for_nan(noise.recall),
        "recall_at_precision_80": none_for_nan(recall_at_precision(doubt, part.labels, truth)),
        "suspects": noise.suspects,
        "wrong": noise.wrong,
    }
    return replace(part, labels=handle_suspects(part.labels, suggested, method.handling)), account


def with_hidden_positives(
    dataset: Dataset, part: SplitPart, probabilities: NDArray
) -> tuple[SplitPart, dict[str, Any]]:
    """Return the part with the targets of the non-negative risk, and ``hidden_share``, the estimate behind them.

    The share of reals among the bogus labels is estimated stratum by stratum, by S/N and distance to a galaxy.

    Parameters
    ----------
    dataset : Dataset
    part : SplitPart
    probabilities : (n, 2)
        Out of fold.
    """
    samples = dataset.samples(["id", "snr", "galaxy_separation_re"])
    strata = pool_strata(brightness_strata(samples, part.ids), part.labels)
    shares = hidden_shares(probabilities, part.labels, strata)
    is_bogus = part.labels == 1 - REAL
    account = {"hidden_share": float(shares[is_bogus].mean()) if is_bogus.any() else None}
    return replace(part, targets=positive_targets(part.labels, shares, strata)), account


def fold_logits(
    setup: StudySetup, row: StudyRow, training: CandidateTraining, part: SplitPart, purpose: str
) -> NDArray[np.float64]:
    """Return out-of-fold logits (n,) in the part's order; finished folds are not repeated."""
    folder = fits_folder(setup, row, part, purpose)
    scores = out_of_fold(training, part, setup.request.folds, folder, setup.executor)
    return np.asarray(align_column(scores, "logit", part.ids).to_numpy())


def fit_folder(setup: StudySetup, row: StudyRow, changes: Mapping[str, Any]) -> Path:
    """Return the folder of the state of a row's own fit, from which a row that was interrupted continues."""
    return setup.folder / f"fit-{row_name({**row.model_dump(), 'changes': dict(changes)})}"


def fits_folder(setup: StudySetup, row: StudyRow, part: SplitPart, purpose: str) -> Path:
    """Return the folder of first fits, which all rows with the same network, seed, labels and fresh reals share."""
    facts = [row.network, row.size, row.profile, row.seed, purpose, part.ids, part.labels.tolist()]
    facts += [row.methods.fresh_reals] if purpose == "folds" else []
    return setup.folder / f"{purpose}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"
