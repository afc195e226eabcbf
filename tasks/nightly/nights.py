"""Which nights are due, and how one is worked on, step by step."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tasks.decisions.aliases import carry_out, champion_of, record_outside_moves
from tasks.decisions.by_hand import accepted_nights
from tasks.decisions.decision import Decision
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.holdouts import check_overlap, freeze_holdout, holdout_file, open_holdout
from tasks.decisions.kept_scores import open_contender
from tasks.decisions.ledger import read_ledger
from tasks.learning.split_parts import ALL, UNLABELLED
from tasks.learning.training_overlap import read_training_samples
from tasks.nightly.calendar import NightDateError, last_night, missed_nights, parse_night
from tasks.nightly.candidates import CandidateNight
from tasks.nightly.deliveries import NightDelivery, delivered_nights
from tasks.nightly.galaxies import GalaxyNight
from tasks.nightly.judged_rates import judged_section
from tasks.nightly.label_check import LabelCheck, check_labels
from tasks.nightly.label_versions import (
    BY,
    added_file,
    keep_replaced,
    label_version,
    present_ids,
    replaced_rows,
    set_aside_ids,
)
from tasks.nightly.model_gate import compare_and_judge, confirm_sealed
from tasks.nightly.night_record import NightRecord, read_records, recorded_nights
from tasks.nightly.night_work import NightlyError, NightWork
from tasks.nightly.quiet_nights import is_quiet
from tasks.nightly.request import NightlyRequest
from tasks.reports.page import Block
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import write_table
from tasks.store.schema import GALAXY, REALBOGUS
from tasks.store.versions import stored_rows

WORK: dict[str, Callable[[Workspace, NightlyRequest, str], NightWork]] = {
    REALBOGUS: CandidateNight,
    GALAXY: GalaxyNight,
}


@dataclass(frozen=True)
class Shadow:
    """A challenger that scores beside the champion.

    Attributes
    ----------
    challenger : str
        ``models:/NAME/VERSION``.
    nights : int
        Nights on which it has done so, tonight included.
    """

    challenger: str
    nights: int


def due_nights(workspace: Workspace, request: NightlyRequest, now: datetime) -> list[str]:
    """Return the nights to work on, oldest first.

    The night of the request, or else every night since the last recorded one, those that a file source delivered, and
    those whose state a later run takes up again.

    Raises
    ------
    NightDateError
        The night is no date, or not over; or the clock went back.
    InboxError
        The inbox cannot be read.
    """
    newest = last_night(now, request.timezone)
    if request.night is not None:
        return [parse_night(request.night, newest).isoformat()]
    records = read_records(workspace, request.training_set)
    recorded = recorded_nights(records)
    if recorded and max(recorded) > newest:
        raise NightDateError(
            f"by the clock the newest night is {newest}, but night {max(recorded)} is recorded: set the clock, or name "
            "a night with night=YYYY-MM-DD"
        )
    nights = {night.isoformat() for night in missed_nights(recorded, newest, request.max_catch_up)}
    nights |= {record.night for record in records if not record.is_finished and record.state != "no_data"}
    if request.source in ("frames", "alerts", "triplets"):
        delivered = delivered_nights(workspace, request, newest)[-request.max_catch_up :]
        nights = {night for night in nights if night in delivered or night == newest.isoformat()} | set(delivered)
    return sorted(nights) or [newest.isoformat()]


def open_work(workspace: Workspace, request: NightlyRequest, night: str) -> NightWork:
    """Return a night's work by the request's problem."""
    return WORK[request.problem](workspace, request, night)


def champion(work: NightWork) -> str | None:
    """Return the champion, ``models:/NAME/VERSION``; None if there is none."""
    return champion_of(work.workspace, work.registered_name)


def is_held_out(work: NightWork) -> bool:
    """Whether the holdout of the training set has been frozen."""
    return holdout_file(work.workspace, work.request.holdout).is_file()


def hold_out(work: NightWork) -> str:
    """Freeze the holdout of a training set; return its name.

    Raises
    ------
    HoldoutError
        It is too small to compare models.
    """
    build = work.holdout_build()
    held = work.training_set() if build is None else Dataset.open(work.workspace, build["dataset"])
    part = "test" if build is None else ALL
    holdout = freeze_holdout(work.workspace, work.request.holdout, f"{held.name}@{held.version}", work.scheme, part)
    return holdout.name


def require_labels(work: NightWork) -> None:
    """Refuse a label version that the training set does not have.

    Raises
    ------
    NightlyError
        Names those that it has.
    """
    dataset, name = work.training_set(), work.request.labels
    names = dataset.label_versions(work.scheme)
    if name is not None and name not in names:
        raise NightlyError(
            f"labels={name}: dataset {dataset.name}@{dataset.version} has no such label version of {work.scheme}, only "
            f"{', '.join(names) or 'the original labels'}; `starloom run publish-labels` makes one of people's answers"
        )


def labels_of(work: NightWork, challenger: str) -> str | None:
    """Return the name of the label version that a challenger was trained on; None: the original labels."""
    return open_contender(work.workspace, challenger, work.registered_name).label_version.get("labels")


def keep_added(work: NightWork, record: NightRecord, before: int, after: int) -> tuple[list[str], dict[str, int]]:
    """Write the table of the ids that a night added to the training set; return them, and the rejected by reason."""
    added = work.added_rows(before, after)
    ids = stored_rows(added)["id"].to_pylist()
    write_table(record.folder / added_file(record.revision), pa.table({"id": pa.array(ids, pa.string())}))
    return ids, dict(Counter(added["reason"].drop_null().to_pylist()).most_common())


def replace_earlier(work: NightWork, record: NightRecord, delivery: NightDelivery) -> None:
    """Write the table of the ids that earlier deliveries of a night added, and that its present one replaces."""
    if record.revision > 1:
        keep_replaced(record, work.replaced_ids(record, delivery))


def require_no_overlap(work: NightWork) -> None:
    """Refuse a training set whose training or validation part holds rows of the holdout.

    Raises
    ------
    HoldoutError
        Names the rows.
    """
    holdout, dataset = open_holdout(work.workspace, work.request.holdout), work.training_set()
    check_overlap(holdout, read_training_samples(dataset), f"dataset {dataset.name}@{dataset.version}")


def examine(work: NightWork, record: NightRecord) -> dict[str, Any]:
    """Return the entries of the summary on efficiency, drift and labels of the rows that a night has now."""
    ids = present_ids(record)
    nights = read_records(work.workspace, work.request.training_set)
    quiet = [other for other in nights if other.night < work.night and is_quiet(other)]
    rows = work.score_rows(ids) if ids else None
    figures = work.night_figures(record, rows, quiet)
    if rows is None:
        return {**figures, "labels": LabelCheck(0, 0, 0.0, 0.0, 1.0).to_summary()}
    labelled = rows.labels != UNLABELLED
    checked = check_labels(rows.decided[labelled], rows.labels[labelled], rows.error_rates)
    return {**figures, "labels": checked.to_summary()}


def judged_nights(work: NightWork) -> list[Block]:
    """Return the section of the nights' page on people's verdicts; empty without a training set."""
    if not work.has_training_set():
        return []
    return judged_section(work.workspace, work.registered_name, work.training_set().classes(work.scheme))


def set_aside(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of the summary of a night whose labels look wrong."""
    message = (
        f"{labels['contradicted']} of {labels['labelled']} labels contradict the champion, where "
        f"{labels['expected']:.1%} are expected: no training uses the night until a person accepts it "
        "(`starloom run accept`)"
    )
    return {"state": "set_aside", "message": message, "reasons": [message]}


def is_due(work: NightWork, every: int, step: str) -> bool:
    """Whether a step that is repeated every so many nights is due; 0 is never.

    Nights on which it was not possible, such as those of clouds, count, so that it follows on the next one.
    """
    if every == 0:
        return False
    earlier = [r for r in read_records(work.workspace, work.request.training_set) if r.night < work.night]
    since = next((place for place, record in enumerate(reversed(earlier)) if record.steps.get(step)), None)
    return since is None or since + 1 >= every


def in_shadow(work: NightWork) -> Shadow | None:
    """Return the challenger that has not yet scored beside the champion on enough nights; None if none has to."""
    if work.request.shadow_nights == 0:
        return None
    records = read_records(work.workspace, work.request.training_set)
    challengers = [r.steps["train"]["model_uri"] for r in records if r.night < work.night and r.steps.get("train")]
    if not challengers:
        return None
    beside = sum(1 for uri in challengers if uri == challengers[-1])
    return Shadow(challengers[-1], beside + 1) if beside <= work.request.shadow_nights else None


def training_labels(work: NightWork, record: NightRecord) -> str | None:
    """Return the name of the label version that tonight's challenger is trained on; None: the original labels."""
    records = read_records(work.workspace, work.request.training_set)
    accepted = accepted_nights(work.workspace, work.registered_name)
    relabelled = [other.steps["relabel"] for other in records if other.steps.get("relabel")]
    relabelling = work.request.labels or (relabelled[-1]["labels"] if relabelled else None)
    unlabelled = set_aside_ids(records, accepted) | replaced_rows(records)
    if not unlabelled and work.request.labels is not None:
        return work.request.labels
    name = f"nightly-{work.night}-r{record.revision}"
    return label_version(work.training_set(), work.scheme, name, unlabelled, relabelling, datetime.now(UTC))


def decide(work: NightWork, record: NightRecord, challenger: str, nights_in_shadow: int) -> dict[str, Any]:
    """Compare a challenger with the champion, move the alias if it wins, and append the decision to the ledger.

    The rows on which both differ go to the labelling queue. A decision on the same challenger and night that the
    ledger has already is taken as it is.

    Raises
    ------
    HoldoutError
        The holdout has changed, or the challenger was trained on rows of it.
    """
    workspace, name = work.workspace, work.registered_name
    record_outside_moves(workspace, name)
    history = read_ledger(workspace, name).decisions
    key = ("gate", work.night, challenger)
    made = next((row for row in history if (row.kind, row.night, row.challenger) == key), None)
    if made is None:
        _confirm_last_month(work, history)
        made = carry_out(workspace, _judge(work, record, challenger, history, nights_in_shadow))
    return {
        "challenger": challenger,
        "champion": made.champion_after or made.champion_before,
        "decision": made.verdict,
        "reasons": list(made.reasons),
        "figures": made.figures,
    }


def _confirm_last_month(work: NightWork, history: Sequence[Decision]) -> None:
    """Compare the champion with that of a month before on the sealed half, at the first look of a calendar month."""
    gates = [row for row in history if row.kind == "gate" and row.night is not None]
    months = sorted({str(row.night)[:7] for row in gates})
    if not months or months[-1] >= work.night[:7]:
        return
    before = next(row.champion_before for row in gates if str(row.night)[:7] == months[-1])
    present = champion(work)
    if before is None or present is None or before == present:
        return
    carry_out(
        work.workspace,
        confirm_sealed(
            work.workspace,
            work.registered_name,
            present,
            before,
            work.request.holdout,
            _gate_settings(work.request),
            night=work.night,
            by=BY,
            at=datetime.now(UTC),
        ),
    )


def _gate_settings(request: NightlyRequest) -> GateSettings:
    return GateSettings(
        margin=request.margin,
        tolerance=request.tolerance,
        cooldown_nights=request.cooldown_nights,
        shadow_nights=request.shadow_nights,
    )


def _judge(
    work: NightWork, record: NightRecord, challenger: str, history: Sequence[Decision], nights_in_shadow: int
) -> Decision:
    workspace, request, name = work.workspace, work.request, work.registered_name
    present = champion(work)
    if present is None:
        raise NightlyError(f"{name} has no champion: `starloom run promote` makes a model the champion")
    work.write_queue(record, challenger)
    return compare_and_judge(
        workspace,
        name,
        challenger,
        present,
        request.holdout,
        _gate_settings(request),
        history,
        night=work.night,
        validation_passed=True,
        by=BY,
        at=datetime.now(UTC),
        nights_in_shadow=nights_in_shadow,
        newest=work.newest(record),
    )
