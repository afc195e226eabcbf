"""The newest night of each training set, and the newest scores."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from tasks.home.datasets import published_version
from tasks.home.figures import gate_figures, known_figures
from tasks.home.file_memory import FileMemory, Found, read_each
from tasks.home.status import NightLine, NightStatus, ScoringStatus
from tasks.nightly.night_record import NIGHTLY, RECORD, STATE_WORDS, NightRecord, night_folders, read_record
from tasks.runtime.workspace import Workspace
from tasks.store.files import read_table

NIGHTS_SHOWN = 14
"""Nights of a training set."""
SCORINGS_SHOWN = 3
EFFICIENCY = {
    "detection": "detection of injections",
    "classification": "classification of injections",
    "completeness": "completeness of injections",
}
"""Rates of a night's efficiency, and how they are called."""


def read_nights(workspace: Workspace, memory: FileMemory) -> Found[NightStatus]:
    """Return the newest night of every training set, the newest first."""
    folders = [path for path in (workspace.root / NIGHTLY).glob("*") if path.is_dir() and path.name[0] != "."]
    rows, faults = read_each(
        sorted(folders), lambda path: _night(workspace, path.name, memory), lambda path: f"nights of {path.name}"
    )
    return sorted(rows, key=lambda row: row.night or "", reverse=True), faults


def _night(workspace: Workspace, dataset: str, memory: FileMemory) -> NightStatus | None:
    folders = night_folders(workspace, dataset)[::-1][:NIGHTS_SHOWN]
    records = [memory.read(folder / RECORD, _record) for folder in folders]
    ended = [record.summary for record in records if record.summary is not None]
    unfinished = _unfinished(records[0]) if records and records[0].summary is None else None
    if not ended:
        none = NightStatus(dataset=dataset, night=None, state=None, words=None, unfinished=unfinished)
        return none if unfinished else None
    newest, *earlier = ended
    drift = newest["drift"] or {}
    report = f"nights-{dataset}.html"
    return NightStatus(
        dataset=dataset,
        pixels=published_version(workspace, dataset, memory).pixels,
        night=newest["night"],
        state=newest["state"],
        words=STATE_WORDS[newest["state"]],
        message=newest["message"],
        ingested=newest["ingested"],
        rejected=newest["rejected"],
        scored=newest["scored"],
        selected=newest["selected"],
        efficiency=known_figures(newest["efficiency"] or {}, EFFICIENCY),
        drift=drift.get("verdict"),
        drift_reasons=tuple(drift.get("reasons", ())),
        challenger=newest["challenger"],
        champion=newest["champion"],
        decision=newest["decision"],
        reasons=tuple(newest["reasons"]),
        gate=gate_figures(newest.get("figures") or {}),
        unfinished=unfinished,
        report=report if (workspace.reports / report).is_file() else None,
        earlier=tuple(_line(summary) for summary in earlier),
    )


def _record(path: Path) -> NightRecord:
    return read_record(path.parent)


def _unfinished(record: NightRecord) -> str:
    return f"{record.night}: {', '.join(record.steps)} done" if record.steps else f"{record.night}: no step is done yet"


def _line(summary: Mapping[str, Any]) -> NightLine:
    names = ("night", "state", "ingested", "scored", "selected", "decision")
    return NightLine(**{name: summary[name] for name in names}, drift=(summary["drift"] or {}).get("verdict"))


def read_scorings(workspace: Workspace, memory: FileMemory) -> Found[ScoringStatus]:
    """Return the newest scores of nights with a record, the newest first."""
    records = sorted(workspace.scores.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return read_each(
        records[:SCORINGS_SHOWN], lambda path: _scoring(workspace, path, memory), lambda path: f"scores {path.stem}"
    )


def _scoring(workspace: Workspace, path: Path, memory: FileMemory) -> ScoringStatus | None:
    record = memory.read(path, _json)
    if "model" not in record:
        return None
    selected, not_scored = memory.read(path.with_suffix(".parquet"), _outcome)
    report = f"night-{path.stem}.html"
    return ScoringStatus(
        night=record["night"],
        rows=record["rows"],
        selected=selected,
        not_scored=not_scored,
        model=record["model"]["address"],
        scored_at=datetime.fromisoformat(record["scored_at"]),
        report=report if (workspace.reports / report).is_file() else None,
    )


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _outcome(path: Path) -> tuple[int, int]:
    """Return the numbers of rows that were selected, and that have no score."""
    table = read_table(path, ["decision", "not_scored"])
    selected = pc.sum(pc.equal(table["decision"], "real")).as_py() or 0
    return selected, table.num_rows - table["not_scored"].null_count
