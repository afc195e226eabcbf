"""From one survey to another: a model's scores on a survey that it was not trained on, with few or no labels of it.

Candidates that are fainter in the new frame than in the reference are scored with the two exchanged. The model's logit
and scores of the stamp that need no training are stacked by a logistic regression. It is fitted to
the validation part of the dataset that the model was trained on, and refitted to N labels of the target survey. Labels
are drawn from other groups than those that are judged, and for the figures of one night from other nights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from realbogus.models.preprocessing import PREPROCESSING_VERSION
from realbogus.stamps import exchange_fainter
from tasks.candidates import baselines
from tasks.candidates.rows import EvaluationRows, evaluation_rows, unseen_rows
from tasks.learning import measures
from tasks.learning.operating_points import logit_of
from tasks.learning.resampling import resampled_rows
from tasks.learning.scoring import STAMP_BATCH, Scorer, score
from tasks.learning.stacked_scores import StackedScores, fit_stack
from tasks.learning.training_overlap import read_training_samples
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.schema import REALBOGUS
from tasks.training.evaluation_record import EvaluationError, require_card_fits
from tasks.training.registered_models import RegisteredModel, open_registered

ALL_NIGHTS = "all nights"
AS_STORED, NETWORK = "the network, stamps as stored", "the network"
STAMP, STACK = "scores of the stamp, stacked", "network and scores of the stamp, stacked"
REPEATS = 500
"""Number of resamplings of an interval, over all draws together."""
PENALTY = 4.0
"""Of a weight's departure from the one fitted on simulation: one over the variance of its prior."""


class TransferRequest(BaseModel):
    """The parameters of `transfer-to-survey`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset: str
    labels: list[int] = Field(default=[0, 10, 50], min_length=1)
    """Numbers of labels of the target survey."""
    draws: int = Field(default=20, ge=1, le=REPEATS)
    leave_out_night: str | None = None
    """A night of which nothing is read, so that settings can be chosen on the others."""
    seed: int = Field(default=0, ge=0)

    @field_validator("labels")
    @classmethod
    def _counts_differ(cls, labels: list[int]) -> list[int]:
        if min(labels) < 0 or len(set(labels)) < len(labels):
            raise ValueError(f"labels={labels}: give different numbers of labels, 0 or more")
        return sorted(labels)


@dataclass(frozen=True)
class ScoredRows:
    """The n candidates of a survey with what is stacked.

    Attributes
    ----------
    rows : EvaluationRows
    logits : (n,)
    stamp : dict of name to (n,)
        Scores that need no training, the same for every survey.
    """

    rows: EvaluationRows
    logits: NDArray[np.float64]
    stamp: dict[str, NDArray[np.float64]]

    @property
    def stamp_columns(self) -> NDArray[np.float64]:
        """The stamp's scores, (n, k)."""
        return np.stack(list(self.stamp.values()), axis=1)

    @property
    def columns(self) -> NDArray[np.float64]:
        """The stamp's scores and the logit, (n, k + 1)."""
        return np.concatenate([self.stamp_columns, self.logits[:, None]], axis=1)


@dataclass(frozen=True)
class Draw:
    """The scores of one draw of labels: values of all n rows, and the positions (m,) of those that are judged."""

    scores: NDArray[np.float64]
    judged: NDArray[np.int64]


@dataclass(frozen=True)
class Transfer:
    """The results of a transfer.

    Attributes
    ----------
    model : RegisteredModel
    source, target : Dataset
    results : list of dict
        One per scope and score, see `compare_scores`.
    untrained : dict of name to dict of scope to AUC
    weights : dict of name to float
        Of the stack fitted on the source.
    counts : dict of scope to (real, bogus)
    source_auc : dict of name to float
        On the source's test part.
    """

    model: RegisteredModel
    source: Dataset
    target: Dataset
    results: list[dict[str, Any]]
    untrained: dict[str, dict[str, float]]
    weights: dict[str, float]
    counts: dict[str, tuple[int, int]]
    source_auc: dict[str, float]


def measure_transfer(workspace: Workspace, request: TransferRequest) -> Transfer:
    """Score the target survey by a model, by the stamp, and by stacks of both.

    Raises
    ------
    EvaluationError
        The model does not take the target's samples; the dataset that it was trained on cannot be opened or is another;
        or a class is absent.
    """
    target = Dataset.open(workspace, request.dataset)
    model = open_registered(workspace, request.model, REALBOGUS, target.schemes[0])
    card = model.card
    require_card_fits(target, str(card["scheme"]), card, PREPROCESSING_VERSION)
    source = Dataset.open(workspace, f"{card['dataset']}@{card['dataset_version']}")
    if source.digest != card["dataset_digest"]:
        raise EvaluationError(f"dataset {source.name!r} here is not the one that {model.label} was trained on")
    rows = evaluation_rows(target, str(card["scheme"]), "all")
    left_out = np.zeros(len(rows.part), bool)
    if request.leave_out_night is not None:
        left_out = rows.words("night") == request.leave_out_night
    rows = rows.take(np.flatnonzero(rows.headline & ~left_out))
    rows, _ = unseen_rows(rows, read_training_samples(source), "all")
    as_stored = logit_of(score(model.model, target.pixels, rows.part.rows, STAMP_BATCH))
    on_target = _score_rows(model.model, target, rows)
    fitted_on, tested_on = (
        _score_rows(model.model, source, evaluation_rows(source, str(card["scheme"]), part))
        for part in ("validation", "test")
    )
    stack = fit_stack(fitted_on.columns, fitted_on.rows.real)
    stamp_stack = fit_stack(fitted_on.stamp_columns, fitted_on.rows.real)
    untrained = {
        name: values
        for name, values in (baselines.untrained_scores(target, rows.part) | _signed(on_target)).items()
        if not baselines.is_classifier(name)
    }
    nights = rows.words("night")
    scopes = {ALL_NIGHTS: np.arange(len(nights))} | {
        night: np.flatnonzero(nights == night) for night in baselines.large_nights(nights, rows.real)
    }
    results = []
    for scope, positions in scopes.items():
        candidates = {
            (AS_STORED, 0): [Draw(as_stored, positions)],
            (NETWORK, 0): [Draw(on_target.logits, positions)],
            (STAMP, 0): [Draw(stamp_stack.log_odds(on_target.stamp_columns), positions)],
        } | {(STACK, count): draw_stacks(stack, on_target, positions, count, request) for count in request.labels}
        results += compare_scores(scope, candidates, untrained, rows, positions)
    return Transfer(
        model=model,
        source=source,
        target=target,
        results=results,
        untrained={
            name: {scope: measures.auc(values[at], rows.real[at]) for scope, at in scopes.items()}
            for name, values in untrained.items()
        },
        weights=dict(zip([*on_target.stamp, "the network's logit"], stack.weights.tolist(), strict=True)),
        counts={scope: (int(rows.real[at].sum()), int((~rows.real[at]).sum())) for scope, at in scopes.items()},
        source_auc={
            NETWORK: measures.auc(tested_on.logits, tested_on.rows.real),
            STAMP: measures.auc(stamp_stack.log_odds(tested_on.stamp_columns), tested_on.rows.real),
            STACK: measures.auc(stack.log_odds(tested_on.columns), tested_on.rows.real),
        },
    )


def draw_stacks(
    stack: StackedScores, target: ScoredRows, positions: NDArray[np.int64], count: int, request: TransferRequest
) -> list[Draw]:
    """Return the stack refitted to `count` labels of the target, once for each draw of labels; 0 labels: one draw.

    Of all nights any labels are drawn, and no row is judged whose group has one. Of fewer rows labels are drawn from
    the groups that have no row among them, and all of them are judged.

    Raises
    ------
    EvaluationError
        Fewer rows than `count` can be labelled.
    """
    if count == 0:
        return [Draw(stack.log_odds(target.columns), positions)]
    groups, real = np.asarray(target.rows.part.groups), target.rows.real
    is_whole = len(positions) == len(groups)
    pool = np.arange(len(groups)) if is_whole else np.flatnonzero(~np.isin(groups, groups[positions]))
    if len(pool) < count:
        raise EvaluationError(f"labels={count}: only {len(pool)} candidates of other groups can be labelled")
    draws = []
    for number in range(request.draws):
        drawn = np.random.default_rng([request.seed, count, number]).choice(pool, count, replace=False)
        refitted = stack.refitted(target.columns[drawn], real[drawn], PENALTY)
        judged = positions[~np.isin(groups[positions], groups[drawn])]
        draws.append(Draw(refitted.log_odds(target.columns), judged))
    return draws


def compare_scores(
    scope: str,
    candidates: dict[tuple[str, int], list[Draw]],
    untrained: dict[str, NDArray[np.float64]],
    rows: EvaluationRows,
    positions: NDArray[np.int64],
) -> list[dict[str, Any]]:
    """Return the AUC of each score within a scope, and its lead over the scope's best untrained score.

    The best untrained score is chosen, with its sign, on the rows that are judged.

    Parameters
    ----------
    scope : str
    candidates : dict of (name, number of labels) to draws
    untrained : dict of name to (n,)
    rows : EvaluationRows
    positions : (m,)
        Rows of the scope.

    Returns
    -------
    list of dict
        ``scope, score, labels, draws``; ``auc``, the median over draws, with its deciles ``auc_10, auc_90`` and
        the interval ``auc_low, auc_high``; ``best_untrained`` and ``lead`` over it, median over draws, with
        ``lead_low, lead_high``. Intervals resample groups, and the draws with them.
    """
    real, groups = rows.real, np.asarray(rows.part.groups)
    areas = {name: measures.auc(values[positions], real[positions]) for name, values in untrained.items()}
    best = max(areas, key=lambda name: areas[name])
    results = []
    for (name, count), draws in candidates.items():
        per_draw = np.array([_areas(draw, untrained[best], real, draw.judged) for draw in draws])
        rng = np.random.default_rng(0)
        resampled = np.array(
            [
                _areas(draw, untrained[best], real, draw.judged[at])
                for draw in draws
                for at in resampled_rows(groups[draw.judged], rng, REPEATS // len(draws))
            ]
        ).reshape(-1, 2)
        area, lead = np.median(per_draw[:, 0]), np.median(per_draw[:, 0] - per_draw[:, 1])
        results.append(
            {
                "scope": scope,
                "score": name,
                "labels": count,
                "draws": len(draws),
                "auc": float(area),
                **_ends("auc", resampled[:, 0]),
                "auc_10": float(np.quantile(per_draw[:, 0], 0.1)),
                "auc_90": float(np.quantile(per_draw[:, 0], 0.9)),
                "best_untrained": best,
                "lead": float(lead),
                **_ends("lead", resampled[:, 0] - resampled[:, 1]),
            }
        )
    return results


def _areas(draw: Draw, best: NDArray, real: NDArray[np.bool_], at: NDArray[np.int64]) -> tuple[float, float]:
    return measures.rank_auc(draw.scores[at], real[at]), measures.rank_auc(best[at], real[at])


def _ends(name: str, values: NDArray) -> dict[str, float | None]:
    """Return the ends of the 95 % interval of resampled values (r,), None without any."""
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.025, 0.975]).tolist() if len(values) else (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _score_rows(model: Scorer, dataset: Dataset, rows: EvaluationRows) -> ScoredRows:
    logits = logit_of(score(model, dataset.pixels, rows.part.rows, STAMP_BATCH, exchange_fainter))
    return ScoredRows(rows, logits, baselines.exchanged_stamp_scores(dataset, rows.part))


def _signed(scored: ScoredRows) -> dict[str, NDArray[np.float64]]:
    """Return the stamp's scores with the better sign on these rows, which favours them as a baseline."""
    return {
        f"{name}, fainter exchanged": baselines.with_better_sign(values, scored.rows.real)
        for name, values in scored.stamp.items()
    }


def result_of(results: Sequence[dict[str, Any]], scope: str, score_name: str, labels: int) -> dict[str, Any]:
    """Return one result of `compare_scores`."""
    key = {"scope": scope, "score": score_name, "labels": labels}
    return next(result for result in results if {name: result[name] for name in key} == key)
