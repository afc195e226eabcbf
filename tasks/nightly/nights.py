"""Which nights are due, and how one is worked on, step by step."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.decisions.aliases import accepted_nights, carry_out, finish_interrupted, record_outside_moves
from tasks.decisions.decision import Decision
from tasks.decisions.gate import GateSettings
from tasks.decisions.holdouts import HoldoutError, check_overlap, freeze_holdout, open_holdout
from tasks.decisions.ledger import read_ledger
from tasks.learning.split_parts import UNLABELLED
from tasks.learning.training_overlap import read_training_samples
from tasks.nightly.calendar import last_night, missed_nights, parse_night
from tasks.nightly.candidates import CandidateNight
from tasks.nightly.deliveries import NightDelivery, delivered_nights
from tasks.nightly.galaxies import GalaxyNight
from tasks.nightly.label_check import LabelCheck, check_labels
from tasks.nightly.label_versions import BY, added_file, label_version, set_aside_ids
from tasks.nightly.model_gate import compare_and_judge
from tasks.nightly.night_record import NightRecord, State, open_record, read_records, recorded_nights
from tasks.nightly.night_work import NightWork
from tasks.nightly.request import NightlyRequest
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import write_table
from tasks.store.schema import GALAXY, REALBOGUS
from tasks.tracking.model_registry import CHAMPION, UnknownModelError, resolve_model

WORK: dict[str, type[NightWork]] = {REALBOGUS: CandidateNight, GALAXY: GalaxyNight}


@dataclass(frozen=True)
class NightFigures:
    """What a night's rows showed.

    Attributes
    ----------
    efficiency, drift : dict
        Entries of the summary; empty where they do not apply.
    labels : LabelCheck
    """

    efficiency: dict[str, Any]
    drift: dict[str, Any]
    labels: LabelCheck


def due_nights(workspace: Workspace, request: NightlyRequest, now: datetime) -> list[str]:
    """Return the nights to work on, oldest first.

    The night of the request, or else every night since the last recorded one, those that a file source delivered, and
    those whose state a later run takes up again.

    Raises
    ------
    NightDateError
        The night is no date, or not over.
    InboxError
        The inbox cannot be read.
    """
    newest = last_night(now, request.timezone)
    if request.night is not None:
        return [parse_night(request.night, newest).isoformat()]
    records = read_records(workspace, request.training_set)
    recorded = recorded_nights(records)
    if recorded and max(recorded) > newest:
        run_logger().warning(
            "the clock says that the newest night is %s, but night %s is recorded: later nights are left alone",
            newest,
            max(recorded),
        )
        return []
    nights = {night.isoformat() for night in missed_nights(recorded, newest, request.max_catch_up)}
    nights |= {record.night for record in records if not record.is_finished and record.state != "no_data"}
    if request.source in ("frames", "alerts", "triplets"):
        delivered = delivered_nights(workspace, request, newest)[-request.max_catch_up :]
        nights = {night for night in nights if night in delivered or night == newest.isoformat()} | set(delivered)
    return sorted(nights) or [newest.isoformat()]


def open_work(workspace: Workspace, request: NightlyRequest, night: str) -> NightWork:
    """Return a night's work by the request's problem."""
    return WORK[request.problem](workspace, request, night)


def registered(work: NightWork, alias: str = CHAMPION) -> str | None:
    """Return the address ``models:/NAME/VERSION`` of an alias; None if there is no such model."""
    try:
        return resolve_model(work.workspace, alias, work.registered_name).uri
    except UnknownModelError:
        return None


def hold_out(work: NightWork) -> str:
    """Freeze the holdout of a training set once; return its name.

    Raises
    ------
    HoldoutError
        The frozen holdout has changed.
    """
    name, build = work.request.holdout, work.holdout_build()
    try:
        return open_holdout(work.workspace, name).name
    except HoldoutError:
        if (work.workspace.root / "decisions" / "holdouts" / f"{name}.json").is_file():
            raise
    held = work.training_set() if build is None else Dataset.open(work.workspace, build["dataset"])
    part = "test" if build is None else "all"
    return freeze_holdout(work.workspace, name, f"{held.name}@{held.version}", work.scheme, part).name


def keep_added(work: NightWork, record: NightRecord, before: int, after: int) -> list[str]:
    """Write the table of the ids that a night added to the training set, and return them."""
    ids = work.added_ids(before, after) if after > before else []
    write_table(record.folder / added_file(record.revision), pa.table({"id": pa.array(ids, pa.string())}))
    return ids


def require_no_overlap(work: NightWork) -> None:
    """Refuse a training set whose training or validation part holds rows of the holdout.

    Raises
    ------
    HoldoutError
        Names the rows.
    """
    holdout, dataset = open_holdout(work.workspace, work.request.holdout), work.training_set()
    check_overlap(work.workspace, holdout, read_training_samples(dataset), f"dataset {dataset.name}@{dataset.version}")


def examine(work: NightWork, record: NightRecord, ids: Sequence[str]) -> tuple[NightFigures, int]:
    """Return the figures of a night's rows, and how many of them the champion scored."""
    quiet = [other for other in read_records(work.workspace, work.request.training_set) if is_quiet(other, work.night)]
    rows = work.score_rows(ids) if ids else None
    figures = work.night_figures(record, rows, quiet)
    if rows is None:
        return NightFigures(figures["efficiency"], figures["drift"], LabelCheck(0, 0, 0.0, 0.0, 1.0)), 0
    labelled = rows.labels != UNLABELLED
    checked = check_labels(rows.decided[labelled], rows.labels[labelled], rows.error_rates)
    return NightFigures(figures["efficiency"], figures["drift"], checked), len(rows.ids)


def is_quiet(record: NightRecord, night: str) -> bool:
    """Whether a night is an earlier one without drift, with which others are compared."""
    if record.night >= night or record.summary is None or record.state not in ("done", "redelivered"):
        return False
    return not (record.summary.get("drift") or {}).get("drifted")


def is_due(work: NightWork, every: int, step: str) -> bool:
    """Whether a step that is repeated every so many nights is due; 0 is never.

    Nights on which it was not possible, such as those of clouds, count, so that it follows on the next one.
    """
    if every == 0:
        return False
    earlier = [r for r in read_records(work.workspace, work.request.training_set) if r.night < work.night]
    since = next((place for place, record in enumerate(reversed(earlier)) if record.steps.get(step)), None)
    return since is None or since + 1 >= every


def training_labels(work: NightWork, replaced: dict[str, str], at: datetime) -> str | None:
    """Return the name of the label version that tonight's challenger is trained on; None: the original labels."""
    records = read_records(work.workspace, work.request.training_set)
    accepted = accepted_nights(work.workspace, work.registered_name)
    unlabelled = set_aside_ids(records, accepted) | replaced
    relabelled = [record.steps["relabel"] for record in records if record.steps.get("relabel")]
    relabelling = relabelled[-1]["relabelling"] if relabelled else None
    dataset = work.training_set()
    return label_version(dataset, work.scheme, f"nightly-{work.night}", unlabelled, relabelling, at)


def decide(work: NightWork, challenger: str, nights_in_shadow: int) -> Decision:
    """Compare a challenger with the champion, move the alias if it wins, and append the decision to the ledger.

    A decision on the same challenger and night that the ledger has already is returned as it is.

    Raises
    ------
    HoldoutError
        The holdout has changed, or the challenger was trained on rows of it.
    """
    workspace, request, name = work.workspace, work.request, work.registered_name
    finish_interrupted(workspace)
    record_outside_moves(workspace, name)
    history = read_ledger(workspace, name).decisions
    for decision in history:
        if (decision.kind, decision.night, decision.challenger) == ("gate", work.night, challenger):
            return decision
    champion = registered(work)
    assert champion is not None  # noqa: S101
    settings = GateSettings(
        margin=request.margin,
        tolerance=request.tolerance,
        cooldown_nights=request.cooldown_nights,
        shadow_nights=request.shadow_nights,
    )
    decision = compare_and_judge(
        workspace,
        name,
        challenger,
        champion,
        request.holdout,
        settings,
        history,
        night=work.night,
        validation_passed=True,
        by=BY,
        at=datetime.now(UTC),
        nights_in_shadow=nights_in_shadow,
        newest=work.newest(),
    )
    return carry_out(workspace, decision)
