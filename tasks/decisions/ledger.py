"""The ledger of decisions: one part file and one row a decision, appended and never rewritten.

``decisions/ledger.parquet/`` holds ``part-SEQUENCE-DIGEST.parquet``, whose name ends with the first 16 digits of the
sha256 of its bytes, so that a changed byte is found before anything is read from it. A row holds the sha256 of itself
and of the row before it, and ``decisions/head.json`` the newest one: a row that was changed, put in or taken out is
found too, also at the end. Rows are ordered by sequence, never by the clock.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from tasks.decisions.decision import Decision
from tasks.decisions.ledger_rows import (
    SCHEMA,
    LedgerRow,
    checked_decision,
    columns_of,
    make_row,
    row_digest,
    row_from_columns,
)
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file, write_json

_PART = re.compile(r"part-(?P<sequence>\d{6,})-(?P<digest>[0-9a-f]{16})\.parquet")
_WAIT_S = 120


@dataclass(frozen=True)
class Ledger:
    """The rows that can be trusted, by sequence.

    Attributes
    ----------
    decisions : list of LedgerRow
        Of all names, or of the one that was asked for.
    table : Table
        The same rows, with `ledger_rows.SCHEMA`.
    damage : list of str
        Of the whole ledger, whatever the name: parts that cannot be read, rows that are missing or were changed.
    faults : list of str
        The damage, and where the clock went back. Empty where all is as it should be.
    """

    decisions: list[LedgerRow]
    table: pa.Table
    damage: list[str]
    faults: list[str]


@dataclass(frozen=True)
class _Head:
    """The newest row, as ``head.json`` has it."""

    sequence: int
    row_sha256: str


class _PartFaultError(Exception):
    """A part is not taken into the ledger; the message names it."""


def decisions_folder(workspace: Workspace) -> Path:
    """Return the folder of everything that decisions need."""
    return workspace.root / "decisions"


def ledger_folder(workspace: Workspace) -> Path:
    """Return the folder of the ledger's parts."""
    return decisions_folder(workspace) / "ledger.parquet"


def ledger_lock(workspace: Workspace) -> FileLock:
    """Return the lock of the ledger; the thread that holds it may take it again."""
    decisions_folder(workspace).mkdir(parents=True, exist_ok=True)
    return FileLock(decisions_folder(workspace) / "ledger.lock", timeout=_WAIT_S, is_singleton=True)


def append(workspace: Workspace, decision: Decision) -> LedgerRow:
    """Append a decision to the ledger and return its row.

    Several processes may append at once. A damaged ledger is appended to all the same: the sequence goes on behind
    what is missing. Where `at` is earlier than that of the row before, the row says so in its reasons.

    Raises
    ------
    LedgerError
        The decision cannot be a row; see `ledger_rows.checked_decision`.
    """
    decision = checked_decision(decision)
    folder = ledger_folder(workspace)
    with ledger_lock(workspace):
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob(".*.part"):
            unfinished.unlink()  # of a process that was killed: nobody else writes under this lock
        sequence, previous_sha256, newest = _end(workspace)
        if newest is not None and decision.at < newest.at:
            note = (
                f"the clock went back: {_clock(decision.at)} is before {_clock(newest.at)} of row "
                f"{newest.sequence}; the order of the rows is that of their sequence"
            )
            decision = replace(decision, reasons=(*decision.reasons, note))
        row = make_row(decision, sequence + 1, previous_sha256)
        content = _part_bytes(row)
        with whole_file(folder / _part_name(row.sequence, content)) as path:
            path.write_bytes(content)
        write_json(_head_file(workspace), {"sequence": row.sequence, "row_sha256": row.row_sha256})
    return row


def read_ledger(workspace: Workspace, name: str | None = None) -> Ledger:
    """Return the ledger's rows, or those of the models of one registered name.

    A part that was changed or cannot be read is named in the faults, and the other rows stand. Needs no lock.
    """
    damage: list[str] = []
    head = _head(workspace, damage)  # before the parts: a row that is appended meanwhile is not missed
    rows: dict[int, LedgerRow] = {}
    seen: set[int] = set()
    for path in _parts(workspace):
        try:
            row = _read_part(path)
            if row.sequence in rows:
                raise _PartFaultError(f"{path.name} has the sequence {row.sequence} of another part, and is left out")
            rows[row.sequence] = row
        except _PartFaultError as error:
            damage.append(str(error))
        if found := _PART.fullmatch(path.name):
            seen.add(int(found["sequence"]))
    ordered = [rows[sequence] for sequence in sorted(rows)]
    damage += [*_gaps(seen, head), *_broken_links(ordered, head)]
    chosen = [row for row in ordered if name in (None, row.name)]
    table = pa.Table.from_pylist([columns_of(row) for row in chosen], SCHEMA)
    return Ledger(chosen, table, damage, [*damage, *_clock_faults(ordered)])


def newest_rows(workspace: Workspace, count: int) -> tuple[list[LedgerRow], list[str]]:
    """Return the newest rows of the ledger, the newest first, and what is wrong with their parts.

    Only these parts are read: `read_ledger` alone notices a row that is missing, or one that was replaced.
    """
    numbered = [(int(found["sequence"]), path) for path in _parts(workspace) if (found := _PART.fullmatch(path.name))]
    rows, damage = [], []
    for _, path in sorted(numbered, reverse=True)[:count]:
        try:
            rows.append(_read_part(path))
        except _PartFaultError as error:
            damage.append(str(error))
    return rows, damage


def rows_behind(workspace: Workspace, sequence: int) -> tuple[list[LedgerRow], list[str]]:
    """Return the rows behind a sequence, in order, and what is wrong with their parts; no other part is read."""
    rows, damage = [], []
    for path in _parts(workspace):
        found = _PART.fullmatch(path.name)
        if found is None or int(found["sequence"]) <= sequence:
            continue
        try:
            rows.append(_read_part(path))
        except _PartFaultError as error:
            damage.append(str(error))
    return sorted(rows, key=lambda row: row.sequence), damage


def _part_bytes(row: LedgerRow) -> bytes:
    stream = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([columns_of(row)], SCHEMA), stream)
    return bytes(stream.getvalue())


def _part_name(sequence: int, content: bytes) -> str:
    return f"part-{sequence:06d}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"


def _parts(workspace: Workspace) -> list[Path]:
    """Return the parts by name; what begins with a dot is being written."""
    folder = ledger_folder(workspace)
    return sorted(path for path in folder.iterdir() if path.name[0] != ".") if folder.is_dir() else []


def _read_part(path: Path) -> LedgerRow:
    """Return the row of a part, having compared its bytes with its name and the row with its digest."""
    named = _PART.fullmatch(path.name)
    if named is None or not path.is_file():
        raise _PartFaultError(f"{path} is no part of the ledger, and is left out")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _PartFaultError(f"{path} cannot be read ({error.strerror}); its row is left out") from error
    if hashlib.sha256(content).hexdigest()[:16] != named["digest"]:
        raise _PartFaultError(
            f"{path} is torn or was changed: its {len(content)} bytes are not those that its name tells; its row is "
            "left out, restore the file from a backup"
        )
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _PartFaultError(f"{path} is no Parquet ({error}); its row is left out") from error
    if table.num_rows != 1 or not table.schema.equals(SCHEMA):
        raise _PartFaultError(f"{path} holds {table.num_rows} rows of {table.schema.names}, not one row of the ledger")
    (columns,) = table.to_pylist()
    if columns["sequence"] != int(named["sequence"]):
        raise _PartFaultError(f"{path} holds row {columns['sequence']}, and is left out")
    if row_digest(columns) != columns["row_sha256"]:
        raise _PartFaultError(
            f"{path}: row {columns['sequence']} was changed, its digest does not match; it is left out"
        )
    return row_from_columns(columns)


def _end(workspace: Workspace) -> tuple[int, str | None, LedgerRow | None]:
    """Return the last sequence that was given, its row's digest, and the newest row that can be read."""
    head = _head(workspace, [])
    numbered = [(int(found["sequence"]), path) for path in _parts(workspace) if (found := _PART.fullmatch(path.name))]
    newest = next(_readable(path for _, path in sorted(numbered, reverse=True)), None)
    last = max([0, *(number for number, _ in numbered), *([head.sequence] if head else [])])
    if head is not None and head.sequence == last:
        return last, head.row_sha256, newest
    return last, newest.row_sha256 if newest else None, newest


def _readable(paths: Iterable[Path]) -> Iterator[LedgerRow]:
    for path in paths:
        try:
            yield _read_part(path)
        except _PartFaultError:
            continue


def _head_file(workspace: Workspace) -> Path:
    return decisions_folder(workspace) / "head.json"


def _head(workspace: Workspace, faults: list[str]) -> _Head | None:
    """Return the recorded end of the ledger; None, and a fault where it should be there, if it cannot be told."""
    path = _head_file(workspace)
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        return _Head(int(recorded["sequence"]), str(recorded["row_sha256"]))
    except FileNotFoundError:
        if len(_parts(workspace)) > 1:  # the first row's process may have been killed before it wrote the file
            faults.append(f"{path} is missing: rows that were deleted at the end of the ledger would not be noticed")
    except (OSError, ValueError, TypeError, KeyError) as error:
        faults.append(f"{path} cannot be read ({error}): the end of the ledger is not checked")
    return None


def _gaps(seen: set[int], head: _Head | None) -> list[str]:
    """Return a text for each run of sequence numbers that no part has."""
    last = max([0, *seen, *([head.sequence] if head else [])])
    missing = set(range(1, last + 1)) - seen
    starts = sorted(number for number in missing if number - 1 not in missing)
    ends = sorted(number for number in missing if number + 1 not in missing)
    return [
        f"row {start} of the ledger is missing" if start == end else f"rows {start} to {end} of the ledger are missing"
        for start, end in zip(starts, ends, strict=True)
    ]


def _broken_links(rows: Sequence[LedgerRow], head: _Head | None) -> list[str]:
    """Return a text for each row that does not follow the one before it, or is not the head's."""
    faults = []
    if rows and rows[0].sequence == 1 and rows[0].previous_sha256 is not None:
        faults.append("row 1 of the ledger names a row before it")
    for before, row in pairwise(rows):
        if row.sequence == before.sequence + 1 and row.previous_sha256 != before.row_sha256:
            faults.append(f"row {row.sequence} does not follow row {before.sequence}: one of them was replaced")
    for row in rows:
        if head is not None and row.sequence == head.sequence and row.row_sha256 != head.row_sha256:
            faults.append(f"row {row.sequence} is not the one that was written: head.json has another digest")
    return faults


def _clock_faults(rows: Sequence[LedgerRow]) -> list[str]:
    return [
        f"the clock went back before row {row.sequence}: {_clock(row.at)} after {_clock(before.at)}"
        for before, row in pairwise(rows)
        if row.at < before.at
    ]


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f} UTC"
