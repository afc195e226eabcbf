"""Scoring stale nights again with today's models, each by its own rule; an interrupted rescoring goes on."""

from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.learning.models.inference import Engine
from tasks.night.models import NightError, check_card
from tasks.night.pipeline import score_night
from tasks.past_nights.staleness import NightState, TodaysModels, examine_nights
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DiskFullError, StoreError

_KEPT = ("path", "count", "scored", "selected", "overlap_with_training", "threshold", "threshold_version", "report")
"""Entries of the summary of score-night that are in that of a rescoring."""


class RescoreRequest(BaseModel):
    """The nights to score again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    night: str | None = None
    """None: every night with scores."""
    only_stale: bool = True
    """Leave nights alone that a rescoring would not change; otherwise every night whose source is there is scored.

    A night without its page or its run in MLflow, because the process that scored it died, is never left alone.
    """
    plan_only: bool = False
    """State what would be done, and do nothing."""
    model: str = "champion"
    engine: Engine = "auto"


def rescore(workspace: Workspace, request: RescoreRequest) -> dict[str, Any]:
    """Score nights again and return the entries of the summary; one of several that fails is named and costs itself.

    Raises
    ------
    NightError
        The named night has no scores, or cannot be scored again; or today's model cannot be used.
    UnknownModelError
        There is no model of that address.
    """
    today = TodaysModels(workspace, request.model)
    check_card(today.full.name, today.full.card)
    states = examine_nights(workspace, today, request.night)
    if request.night is not None and action_for(states[0], request) == "not_possible":
        raise NightError(f"night {request.night} cannot be scored again: {impossible(states[0])}")
    entries = [_entry(workspace, state, request, today) for state in states]
    counts = Counter(entry["state"] for entry in entries)
    return {
        "nights": entries,
        "state": "failed" if counts["failed"] else "planned" if request.plan_only else "done",
        **{name: counts[name] for name in ("rescored", "planned", "current", "needs_rethreshold", "not_possible")},
        "failed": [entry["night"] for entry in entries if entry["state"] == "failed"],
        "champion": today.full.name,
    }


def action_for(state: NightState, request: RescoreRequest) -> str:
    """Return what is done with a night: ``rescore``, or the state in which it is left."""
    if state.remedy == "rescore":
        return "rescore"
    if not state.current and state.remedy == "none":
        return "not_possible"
    if not request.only_stale or state.file.files.untold.exists():
        return "not_possible" if "source_missing" in state.reasons else "rescore"
    return "current" if state.current else "needs_rethreshold"


def impossible(state: NightState) -> str:
    """Return why a night cannot be scored again."""
    note = state.note or ", ".join(state.reasons)
    if state.file.record is None:
        return f"{note}, so its source is unknown: score it by score-night with path=... and night={state.file.night}"
    return note


def _entry(workspace: Workspace, state: NightState, request: RescoreRequest, today: TodaysModels) -> dict[str, Any]:
    """Score a night again if it is to be, and return its entry of the summary."""
    action = action_for(state, request)
    entry = {"night": state.file.night, "reasons": list(state.reasons), "model_before": state.file.model}
    if action == "not_possible":
        return entry | {"state": action, "message": impossible(state)}
    if action != "rescore":
        return entry | {"state": action}
    if request.plan_only:
        return entry | {"state": "planned", "model": today.full.name}
    try:
        return entry | {"state": "rescored", **_rescore_night(workspace, state, request, today)}
    except (ValueError, LookupError, StoreError, OSError) as error:  # of this night: its rule, source or first model
        if request.night is not None or isinstance(error, DiskFullError):
            raise
        run_logger().error("night %s keeps its scores: %s", state.file.night, error)
        return entry | {"state": "failed", "message": str(error)}


def _rescore_night(
    workspace: Workspace, state: NightState, request: RescoreRequest, today: TodaysModels
) -> dict[str, Any]:
    record = state.file.record
    assert record is not None
    asked = record.night_request(workspace, model=request.model, engine=request.engine, against=None)
    if asked.threshold is not None and today.full.sha256 != record.model.sha256:
        run_logger().warning(
            "night %s keeps threshold=%g, which is a logit of %s: logits of %s may have another scale",
            *(state.file.night, asked.threshold, record.model.name, today.full.name),
        )
    summary = score_night(workspace, asked)
    return {"model": summary["model"], **{name: summary[name] for name in _KEPT}}
