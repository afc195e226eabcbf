"""A row of the ledger in MLflow: a run of its own, and tags of the model that it is about."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.decisions.ledger_rows import LedgerRow
from tasks.runtime.workspace import Workspace
from tasks.tracking.mlflow_runs import has_finished_run, mlflow_name, open_run
from tasks.tracking.model_registry import UnknownModelError, resolve_model, tag_model
from tasks.training.registered_models import problem_of

_LONGEST_TAG = 5000
"""MLflow's limit of a tag."""


def record_run(workspace: Workspace, row: LedgerRow) -> None:
    """Write the row as a run of its problem's experiment, unless there is one, and tag the model that it is about."""
    problem = problem_of(row.name)
    if not has_finished_run(workspace, problem, {"row_sha256": row.row_sha256}):
        run_name = f"decision {row.sequence}: {row.verdict} {row.name}"
        with open_run(workspace, problem=problem, run_name=run_name, params={}, tags=_tags(row), dataset=None) as run:
            run.log_metrics({mlflow_name(name): value for name, value in numbers_of(row.figures)})
            run.log_text("".join(f"{reason}\n" for reason in row.reasons), "reasons.txt")
            run.log_text(json.dumps(row.figures, indent=2, ensure_ascii=False), "figures.json")
    _tag_model(workspace, row)


def numbers_of(figures: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers among nested figures under dotted names, such as ``strata.0.count``; truth values are none."""
    if isinstance(figures, bool):
        return
    if isinstance(figures, int | float):
        yield place, figures
    named = figures.items() if isinstance(figures, Mapping) else enumerate(figures) if isinstance(figures, list) else ()
    for name, value in named:
        yield from numbers_of(value, f"{place}.{name}" if place else str(name))


def _tags(row: LedgerRow) -> dict[str, str]:
    given = {
        "kind": "decision",
        "decision_kind": row.kind,
        "verdict": row.verdict,
        "model_name": row.name,
        "night": row.night,
        "by": row.by,
        "champion_before": row.champion_before,
        "champion_after": row.champion_after,
        "challenger": row.challenger,
        "reasons": "; ".join(row.reasons),
        "sequence": str(row.sequence),
        "row_sha256": row.row_sha256,
        **{f"digest.{mlflow_name(name)}": value for name, value in row.digests.items()},
    }
    return {name: value[:_LONGEST_TAG] for name, value in given.items() if value}


def _tag_model(workspace: Workspace, row: LedgerRow) -> None:
    """Tag the challenger, else the champion that a row is about; a version that was deleted has no tags."""
    address = row.challenger or row.champion_after
    if address is None or row.kind == "accept":
        return
    tags = {"decision": row.verdict, "decision_kind": row.kind, "decision_row": str(row.sequence)}
    try:
        tag_model(
            workspace, resolve_model(workspace, address, row.name), tags | ({"night": row.night} if row.night else {})
        )
    except UnknownModelError:
        return
