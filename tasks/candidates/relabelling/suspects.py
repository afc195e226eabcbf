"""Suspect labels of candidates: scored out of fold, by two views, or by the dynamics of one fit to all.

Scores are a table with ``id, logit, fold`` of the n candidates of a part, sorted by id. ``two-views`` and
``hidden-reals`` add ``forest``, the probability of being real by a forest on scalars; ``dynamics`` adds ``limit``, and
its logit is the mean over the early epochs of one fit to all candidates, fold 0. With recurrence there are ``fault``
and ``hidden`` too, see `tasks.candidates.relabelling.recurrence`: a bogus label of a fault is never suspect, and what
may be hidden is so more readily.
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
from tasks.candidates.relabelling.recurrence import COLUMNS, Recurring, find_recurring
from tasks.candidates.rows import are_injections
from tasks.candidates.training import REAL, CandidateTraining
from tasks.learning.labels.dynamics import (
    areas_under_margin,
    draw_indicators,
    early_means,
    margin_limits,
    suggest_by_margin,
)
from tasks.learning.labels.hidden_positives import suggest_hidden
from tasks.learning.labels.suspects import SUSPECT_THRESHOLD, SuspectRule, quantile_strata, suggest_labels
from tasks.learning.labels.two_views import combine_views, suggest_by_two_views
from tasks.learning.split_parts import UNLABELLED, SplitPart
from tasks.runtime.cluster import Executor
from tasks.store.columns import Ids, align_column, align_rows, positions_of, to_bool, to_float
from tasks.store.dataset import Dataset
from tasks.training.dynamics import training_outputs

FOREST_RULES: frozenset[SuspectRule] = frozenset({"two-views", "hidden-reals"})
"""Rules that combine the network with a forest on scalars."""
VIEW_LEAST_LEAF = 20
"""Fewest samples of a leaf of that forest, so that it does not learn single labels by heart."""
HIDDEN_LOG_ODDS = 2.0
"""Added to the logit of what recurs like a hidden transient: the logarithm of how much more often reals recur so than
bogus, measured on a simulated survey that no study is judged on."""
DETECTED_BEFORE = "detected_before"
"""Column of the ledger: the place of an injection is detected without it."""
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
    recurrence: bool = False,
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
    recurrence : bool
        Whether the scores have the columns of recurrence.
    validation : SplitPart, optional
        For dynamics: the validation part of the fit; None: the training's.

    Raises
    ------
    PartError
        A fit lacks a class.
    """
    recurring = find_recurring(training.dataset.samples(list(COLUMNS)), sorted(part.ids)) if recurrence else None
    if rule == "dynamics":
        eligible, name = np.ones(len(part), bool), "dynamics"
        if not suspect_injections:
            eligible, name = sure_reals(training.dataset, part.ids), "dynamics-anchored"
        validation = training.part("validation") if validation is None else validation
        return _with_recurrence(_score_dynamics(training, (part, validation), folder / name, eligible), recurring)
    scores = out_of_fold(training, part, folds, folder, executor)
    if rule in FOREST_RULES:
        aligned = part.take(positions_of(scores["id"], part.ids))
        scalars = candidate_scalars(training.dataset, aligned)
        if recurring is not None:
            scalars = np.concatenate([scalars, recurring.at_pixel[:, None]], axis=1)
        forest = out_of_fold_forest(scalars, aligned.labels == REAL, scores["fold"].to_numpy(), VIEW_LEAST_LEAF)
        scores = scores.append_column("forest", pa.array(forest))
    return _with_recurrence(scores, recurring)


def _with_recurrence(scores: pa.Table, recurring: Recurring | None) -> pa.Table:
    """Return the scores with the columns of recurrence, which is in their order."""
    if recurring is None:
        return scores
    scores = scores.append_column("fault", pa.array(recurring.is_fault))
    return scores.append_column("hidden", pa.array(recurring.may_be_hidden))


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
    labels = np.asarray(labels, np.int32)
    logits = _prior_logits(scores)
    if rule == "dynamics":
        suggested = suggest_by_margin(_two_logits(logits), labels, scores["limit"].to_numpy())
    elif rule == "two-views":
        suggested = suggest_by_two_views(class_probabilities(logits), _of_forest(scores), labels, threshold)
    elif rule == "hidden-reals":
        open_labels = np.where(_sure_bogus(scores, labels), UNLABELLED, labels)
        suggested = suggest_hidden(_of_both_views(logits, scores), open_labels)
    else:
        suggested = suggest_labels(class_probabilities(logits), labels, rule, threshold)
    return np.where(_sure_bogus(scores, labels), labels, suggested).astype(np.int32)


def doubts(scores: pa.Table, labels: NDArray, rule: SuspectRule) -> NDArray[np.float64]:
    """Return how much the scores doubt each label, (n,): the log odds of the other class, of both views together.

    A bogus label of a fault is doubted least.
    """
    logits = _prior_logits(scores)
    if rule == "dynamics":
        doubt = -areas_under_margin(_two_logits(logits), labels)
    else:
        if rule in FOREST_RULES:
            logits = _of_both_views(logits, scores)
        doubt = np.where(np.asarray(labels) == REAL, -1.0, 1.0) * logits
    return np.where(_sure_bogus(scores, labels), doubt.min() - 1, doubt)


def never_suspect_injections(suggested: NDArray, labels: NDArray, dataset: Dataset, ids: Ids) -> NDArray[np.int32]:
    """Return the suggested classes (n,) with those of `sure_reals` replaced by their labels (n,)."""
    return np.where(sure_reals(dataset, ids), labels, suggested).astype(np.int32)


def sure_reals(dataset: Dataset, ids: Ids) -> NDArray[np.bool_]:
    """Return which of n ids are injections whose place is not detected without them, (n,).

    A ledger that was written without the column ``detected_before`` excepts none.
    """
    samples = dataset.samples()
    injected = are_injections(samples, ids)
    if DETECTED_BEFORE not in samples.column_names:
        return injected
    return injected & ~to_bool(align_column(samples, DETECTED_BEFORE, ids))


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


def _prior_logits(scores: pa.Table) -> NDArray[np.float64]:
    """Return the logits (n,) with the log odds of what may be hidden."""
    logits = scores["logit"].to_numpy()
    return logits + HIDDEN_LOG_ODDS * scores["hidden"].to_numpy() if "hidden" in scores.column_names else logits


def _sure_bogus(scores: pa.Table, labels: NDArray) -> NDArray[np.bool_]:
    """Return which bogus labels are of a fault, (n,)."""
    is_bogus = np.asarray(labels) == 1 - REAL
    return is_bogus & scores["fault"].to_numpy() if "fault" in scores.column_names else np.zeros(len(is_bogus), bool)


def _two_logits(logits: NDArray) -> NDArray[np.float64]:
    return np.stack([np.zeros(len(logits)), logits], axis=1)


def _of_both_views(logits: NDArray, scores: pa.Table) -> NDArray[np.float64]:
    """Return the logits (n,) of network and forest together."""
    return np.asarray(logit(combine_views(class_probabilities(logits), _of_forest(scores))[:, REAL]))


def _of_forest(scores: pa.Table) -> NDArray[np.float64]:
    real = scores["forest"].to_numpy()
    return np.stack([1 - real, real], axis=1)
