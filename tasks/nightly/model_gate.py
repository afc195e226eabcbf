"""A challenger before the gate: both models on the frozen holdout and on the newest night, and the decision."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from expectations.split_shares import ALL
from tasks.candidates.model_comparison import CandidateComparison
from tasks.decisions.alpha_spending import COMPARED, next_look
from tasks.decisions.decision import Decision
from tasks.decisions.gate import Judgement, Situation, judge, judge_beforehand, last_change
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.holdouts import Half, Holdout, check_overlap, open_holdout, open_sealed
from tasks.decisions.kept_scores import Contender, open_contender
from tasks.decisions.labelling_queue import Verdict, queue_tables, read_verdicts
from tasks.decisions.model_rows import ComparedProblem, compared_rows, leave_out_seen
from tasks.decisions.paired_comparison import (
    CONFIDENCE,
    ComparedRows,
    compare,
    comparison_figures,
    describe_change,
)
from tasks.galaxies.model_comparison import GalaxyComparison
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.sampling import hash_stream
from tasks.store.schema import GALAXY, REALBOGUS

PROBLEMS: dict[str, ComparedProblem] = {REALBOGUS: CandidateComparison(), GALAXY: GalaxyComparison()}
NEWEST_LEAST = 10
"""Fewest rows of a class of the newest night for its figures to be given."""


def compare_and_judge(
    workspace: Workspace,
    name: str,
    challenger: str,
    champion: str,
    holdout: str,
    settings: GateSettings,
    history: Sequence[Decision],
    *,
    night: str,
    validation_passed: bool,
    by: str,
    at: datetime,
    nights_in_shadow: int = 0,
    newest: tuple[str, Sequence[str]] | None = None,
    verdicts: Sequence[Path] = (),
) -> Decision:
    """Return the gate's decision on a challenger; no alias is moved and nothing is appended.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Registered name of both models.
    challenger, champion : str
        Addresses.
    holdout : str
        Name of a frozen holdout; its open half decides.
    settings : GateSettings
    history : sequence of Decision
        Past decisions; those on other names are ignored.
    night : str
        Date of the local evening, YYYY-MM-DD.
    validation_passed : bool
    by : str
        The user, or the flow that decides.
    at : datetime
        UTC.
    nights_in_shadow : int
        Nights on which the challenger scored beside the champion.
    newest : (str, sequence of str), optional
        The newest night's samples: a dataset, and ids in it. Compared and reported; they decide nothing.
    verdicts : sequence of Path
        Tables of people beside those of the labelling queues; of an id in several the last counts.

    Raises
    ------
    HoldoutError
        The holdout's rows have changed, or the challenger was trained on some of them.
    EvaluationError
        A model does not take the holdout's samples.
    QueueError
        A table of verdicts cannot be used.
    SavedModelError, UnknownModelError
        A model is not registered, lacks its card, or is not the one that its card describes.
    """
    held = open_holdout(workspace, holdout)
    models = open_contender(workspace, champion, name), open_contender(workspace, challenger, name)
    digests = _digests(models, held, held.digests["open"])
    past = [decision for decision in history if decision.name == name]
    compared = {key: digests[key] for key in COMPARED}
    situation = Situation(
        date.fromisoformat(night),
        next_look(past, night, compared, settings.looks, settings.alpha),
        validation_passed=validation_passed,
        same_model=models[0].sha256 == models[1].sha256,
        last_change=last_change(past),
        nights_in_shadow=nights_in_shadow,
    )
    figures: dict[str, Any] = {}
    labels = {} if not models[1].label_version else {"challenger_labels": models[1].label_version}
    judgement = judge_beforehand(situation)
    if judgement is None:
        _require_unseen(held, models[1])
        problem = PROBLEMS[held.dataset.manifest["problem"]]
        known_verdicts = _verdicts(workspace, name, held.dataset.classes(held.scheme), verdicts)
        judgement, figures = _judge_holdout(workspace, held, models, problem, known_verdicts, settings, situation)
        if newest is not None:
            figures["newest"] = _compare_newest(
                workspace, newest, held.scheme, models, problem, known_verdicts, settings
            )
    champion_after = models[1] if judgement.verdict == "PROMOTE" else models[0]
    return Decision(
        at,
        name,
        "gate",
        judgement.verdict,
        by,
        judgement.reasons,
        night,
        models[0].ref.uri,
        champion_after.ref.uri,
        models[1].ref.uri,
        {**judgement.figures, **figures, **labels, "settings": settings.model_dump(mode="json")},
        digests,
    )


def confirm_sealed(
    workspace: Workspace,
    name: str,
    champion: str,
    before: str,
    holdout: str,
    settings: GateSettings,
    *,
    night: str,
    by: str,
    at: datetime,
    verdicts: Sequence[Path] = (),
) -> Decision:
    """Compare the champion with the one before it on the sealed half of a holdout, once a calendar month.

    The open half chose the champion, so that its figures there are too good; the sealed one chose nothing. The decision
    has the verdict RECORD and says whether the gain is confirmed at 95 %; what follows is a person's to decide.

    Parameters
    ----------
    champion, before : str
        The present champion, and the one at the month's beginning.

    Raises
    ------
    HoldoutError
        The sealed half was opened in this month already, its rows have changed, or a model was trained on some of them.
    """
    held = open_holdout(workspace, holdout)
    models = open_contender(workspace, before, name), open_contender(workspace, champion, name)
    digests = _digests(models, held, held.digests["sealed"])
    same = models[0].sha256 == models[1].sha256
    reasons: tuple[str, ...] = ("The champion is the one of the month's beginning: there is nothing to confirm.",)
    figures: dict[str, Any] = {}
    if not same:
        _require_unseen(held, models[1])
        problem = PROBLEMS[held.dataset.manifest["problem"]]
        known_verdicts = _verdicts(workspace, name, held.dataset.classes(held.scheme), verdicts)
        open_sealed(held, night, {"champion": models[1].ref.uri, "before": models[0].ref.uri})
        reasons, figures = _compare_sealed(workspace, held, models, problem, known_verdicts, settings)
    uri = models[1].ref.uri
    return Decision(at, name, "gate", "RECORD", by, reasons, night, uri, uri, None, figures, digests)


def _digests(models: tuple[Contender, Contender], holdout: Holdout, rows_digest: str) -> dict[str, str]:
    return {
        "champion": models[0].sha256,
        "challenger": models[1].sha256,
        "holdout": rows_digest,
        "dataset": holdout.dataset.digest,
    }


def _verdicts(workspace: Workspace, name: str, classes: Sequence[str], more: Sequence[Path]) -> dict[str, Verdict]:
    return read_verdicts([*queue_tables(workspace, name), *more], classes)


def _require_unseen(holdout: Holdout, model: Contender) -> None:
    """Refuse a model that was trained on rows of the holdout."""
    if model.training_samples is not None:
        check_overlap(holdout, model.training_samples, f"the training or validation part of {model.ref.uri}")


def _judge_holdout(
    workspace: Workspace,
    holdout: Holdout,
    models: tuple[Contender, Contender],
    problem: ComparedProblem,
    verdicts: Mapping[str, Verdict],
    settings: GateSettings,
    situation: Situation,
) -> tuple[Judgement, dict[str, Any]]:
    """Return the judgement on the open half, and which rows it rests on."""
    rows, figures = _rows_of_half(workspace, holdout, "open", models, problem, verdicts, settings)
    figure = problem.figure(holdout.dataset.classes(holdout.scheme), settings)
    return judge(rows, figure, settings, situation, _rng(models, holdout.digests["open"])), figures


def _compare_sealed(
    workspace: Workspace,
    holdout: Holdout,
    models: tuple[Contender, Contender],
    problem: ComparedProblem,
    verdicts: Mapping[str, Verdict],
    settings: GateSettings,
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return what the sealed half says of a champion against the one before it, in words and figures."""
    rows, figures = _rows_of_half(workspace, holdout, "sealed", models, problem, verdicts, settings)
    figure = problem.figure(holdout.dataset.classes(holdout.scheme), settings)
    too_few = figure.too_few(rows.labels, rows.groups, settings.least_events)
    if too_few is not None:
        return (too_few,), figures
    tail = (1 - CONFIDENCE) / 2
    comparison = compare(rows, figure, settings, tail, _rng(models, holdout.digests["sealed"]))
    shown = "is confirmed" if comparison.high < 1 else "is contradicted" if comparison.low > 1 else "is not shown"
    reason = (
        f"{describe_change(figure, comparison)} On the sealed half of holdout {holdout.name} the gain over "
        f"{models[0].ref.uri} {shown} at {CONFIDENCE:.0%}: the ratio is {comparison.ratio:.3g}, from "
        f"{comparison.low:.3g} to {comparison.high:.3g}."
    )
    return (reason,), figures | comparison_figures(figure, comparison)


def _rows_of_half(
    workspace: Workspace,
    holdout: Holdout,
    half: Half,
    models: tuple[Contender, Contender],
    problem: ComparedProblem,
    verdicts: Mapping[str, Verdict],
    settings: GateSettings,
) -> tuple[ComparedRows, dict[str, Any]]:
    """Return both models' outputs on the known rows of a half, and the account of its rows."""
    dataset, ids = holdout.dataset, holdout.halves[half]
    for model in models:
        problem.require_fit(dataset, holdout.scheme, model.card)
    known = problem.known_rows(dataset, holdout.scheme, holdout.part, ids, verdicts, models[1], settings)
    known = leave_out_seen(known, dataset, {"champion": models[0], "challenger": models[1]})
    rows = compared_rows(workspace, known, dataset, ids, models, problem, holdout.digests[half])
    return rows, {
        "holdout": {
            "name": holdout.name,
            "half": half,
            "dataset": f"{dataset.name}@{dataset.version}",
            **known.to_json(),
        }
    }


def _compare_newest(
    workspace: Workspace,
    newest: tuple[str, Sequence[str]],
    scheme: str,
    models: tuple[Contender, Contender],
    problem: ComparedProblem,
    verdicts: Mapping[str, Verdict],
    settings: GateSettings,
) -> dict[str, Any]:
    """Return both models' figure on the newest night's known rows, with an interval at 95 %; they decide nothing."""
    dataset = Dataset.open(workspace, newest[0])
    for model in models:
        problem.require_fit(dataset, scheme, model.card)
    known = problem.known_rows(dataset, scheme, ALL, newest[1], verdicts, models[1], settings)
    known = leave_out_seen(known, dataset, {"champion": models[0], "challenger": models[1]})
    account = {"dataset": f"{dataset.name}@{dataset.version}", **known.to_json()}
    figure = problem.figure(dataset.classes(scheme), settings)
    too_few = figure.too_few(known.part.labels, np.array(known.part.groups), NEWEST_LEAST)
    if too_few is not None:
        return account | {"not_compared": too_few}
    rows = compared_rows(workspace, known, dataset, known.part.ids, models, problem)
    if not (np.isfinite(rows.champion).all() and np.isfinite(rows.challenger).all()):
        return account | {"not_compared": "An output of a model is not finite."}
    rng = _rng(models, dataset.digest)
    return account | comparison_figures(figure, compare(rows, figure, settings, (1 - CONFIDENCE) / 2, rng))


def _rng(models: tuple[Contender, Contender], rows_digest: str) -> np.random.Generator:
    """Return the random stream of a comparison: the same models on the same rows give the same judgement.

    Models count by their addresses, since the file of a model has the time at which it was saved.
    """
    return hash_stream("/".join((*(model.ref.uri for model in models), rows_digest)))
