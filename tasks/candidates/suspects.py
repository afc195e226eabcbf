"""Suspect labels of candidates: scored out of fold, by two views, or by the dynamics of one fit to all.

Scores are a table with ``id, logit, fold`` of the n candidates of a part, sorted by id. ``two-views`` adds ``forest``,
the probability of being real by a forest on scalars; ``dynamics`` adds ``limit``, and its logit is the mean over the
early epochs of one fit to all candidates, fold 0.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit, logit

from realbogus.audits.difficulty import NEAR_RADII
from tasks.candidates.baselines import candidate_scalars, out_of_fold_forest
from tasks.candidates.folds import out_of_fold
from tasks.candidates.rows import are_injections
from tasks.candidates.training import REAL, CandidateTraining
from tasks.learning.labels.dynamics import (
    areas_under_margin,
    draw_indicators,
    early_means,
    margin_limits,
    suggest_by_margin,
)
from tasks.learning.labels.suspects import SUSPECT_THRESHOLD, SuspectRule, quantile_strata, suggest_labels
from tasks.learning.labels.two_views import combine_views, suggest_by_two_views
from tasks.learning.split_parts import SplitPart
from tasks.runtime.cluster import Executor
from tasks.store.columns import Ids, align_rows, positions_of, to_float
from tasks.store.dataset import Dataset
from tasks.training.dynamics import training_outputs

VIEW_LEAST_LEAF = 20
"""Fewest samples of a leaf of the forest of the rule two-views, so that it does not learn single labels by heart."""
_INDICATORS = 5
"""Key of the random stream of the labels that are changed on purpose."""


def score_labels(
    training: CandidateTraining,
    part: SplitPart,
    rule: SuspectRule,
    folds: int,
    folder: Path,
    executor: Executor,
    *,
    suspect_injections: bool = True,
    validation: SplitPart | None = None,
) -> pa.Table:
    """Return the scores by which a rule finds suspects; finished fits are not repeated.

    Parameters
    ----------
    training : CandidateTraining
    part : SplitPart
        The candidates with the labels to fit to.
    rule : str
    folds : int
    folder : Path
        Keeps the fits; it must belong to this training and these samples and labels alone.
    executor : Executor
    suspect_injections : bool
        Whether injections can be suspect; if not, dynamics mislabels injections alone on purpose.
    validation : SplitPart, optional
        For dynamics: the validation part of the fit; None: the training's.

    Raises
    ------
    PartError
        A fit lacks a class.
    """
    if rule == "dynamics":
        eligible, name = np.ones(len(part), bool), "dynamics"
        if not suspect_injections:
            eligible, name = are_injections(training.dataset.samples(["id", "kind"]), part.ids), "dynamics-anchored"
        validation = training.part("validation") if validation is None else validation
        return _score_dynamics(training, (part, validation), folder / name, eligible)
    scores = out_of_fold(training, part, folds, folder, executor)
    if rule == "two-views":
        aligned = part.take(positions_of(scores["id"], part.ids))
        scalars = candidate_scalars(training.dataset, aligned)
        forest = out_of_fold_forest(scalars, aligned.labels == REAL, scores["fold"].to_numpy(), VIEW_LEAST_LEAF)
        scores = scores.append_column("forest", pa.array(forest))
    return scores


def _score_dynamics(
    training: CandidateTraining, parts: tuple[SplitPart, SplitPart], folder: Path, eligible: NDArray[np.bool_]
) -> pa.Table:
    part, validation = parts
    rng = np.random.default_rng([training.request.seed, _INDICATORS])
    indicators, given = draw_indicators(part.labels, eligible, len(training.classes), rng)
    means = early_means(training_outputs(training, (replace(part, labels=given), validation), folder))
    table = pa.table(
        {
            "id": part.ids,
            "logit": means[:, REAL] - means[:, 1 - REAL],
            "fold": np.zeros(len(part), np.int32),
            "limit": margin_limits(means, indicators, given),
        }
    )
    return table.sort_by("id")


def suggest(
    scores: pa.Table, labels: NDArray, rule: SuspectRule, threshold: float = SUSPECT_THRESHOLD
) -> NDArray[np.int32]:
    """Return the class (n,) that the rule holds for right; it differs from suspect labels.

    Parameters
    ----------
    scores : Table
        Of `score_labels` for this rule.
    labels : (n,) int
        In its order.
    rule : str
    threshold : float
        For the rules ``threshold`` and ``two-views``.
    """
    if rule == "dynamics":
        return suggest_by_margin(_two_logits(scores), labels, scores["limit"].to_numpy())
    if rule == "two-views":
        views = (class_probabilities(scores["logit"].to_numpy()), _of_forest(scores))
        return suggest_by_two_views(*views, labels, threshold)
    return suggest_labels(class_probabilities(scores["logit"].to_numpy()), labels, rule, threshold)


def doubts(scores: pa.Table, labels: NDArray, rule: SuspectRule) -> NDArray[np.float64]:
    """Return how much the scores doubt each label, (n,): the log odds of the other class, of both views together."""
    if rule == "dynamics":
        return -areas_under_margin(_two_logits(scores), labels)
    logits = scores["logit"].to_numpy()
    if rule == "two-views":
        logits = logit(combine_views(class_probabilities(logits), _of_forest(scores))[:, REAL])
    return np.where(np.asarray(labels) == REAL, -1.0, 1.0) * logits


def never_suspect_injections(suggested: NDArray, labels: NDArray, dataset: Dataset, ids: Ids) -> NDArray[np.int32]:
    """Return the suggested classes (n,) with those of injections replaced by their labels (n,)."""
    injected = are_injections(dataset.samples(["id", "kind"]), ids)
    return np.where(injected, labels, suggested).astype(np.int32)


def class_probabilities(logits: NDArray) -> NDArray[np.float64]:
    """Return the probabilities (n, 2) of bogus and real, from logits (n,) of being real."""
    real = expit(np.asarray(logits, float))
    return np.stack([1 - real, real], axis=1)


def brightness_strata(samples: pa.Table, ids: Ids) -> NDArray[np.str_]:
    """Return the quartile of the S/N and whether a galaxy is within two effective radii, (n,).

    `samples` has columns id, snr and galaxy_separation_re.
    """
    samples = align_rows(samples, ids)
    near = to_float(samples["galaxy_separation_re"]) <= NEAR_RADII
    quartiles = quantile_strata(to_float(samples["snr"]))
    return np.array(
        [f"{quartile}, {'near' if flag else 'far'}" for quartile, flag in zip(quartiles, near, strict=True)]
    )


def _two_logits(scores: pa.Table) -> NDArray[np.float64]:
    logits = scores["logit"].to_numpy()
    return np.stack([np.zeros(len(logits)), logits], axis=1)


def _of_forest(scores: pa.Table) -> NDArray[np.float64]:
    real = scores["forest"].to_numpy()
    return np.stack([1 - real, real], axis=1)
