"""A row of the ledger: its columns, what a decision has to be to become one, and its digest."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from tasks.decisions.decision import Decision, Kind, Verdict
from tasks.inbox.nights import is_night

SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("night", pa.string()),
        ("name", pa.string()),
        ("kind", pa.string()),
        ("verdict", pa.string()),
        ("by", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("champion_before", pa.string()),
        ("champion_after", pa.string()),
        ("challenger", pa.string()),
        ("figures", pa.string()),
        ("digests", pa.string()),
        ("previous_sha256", pa.string()),
        ("row_sha256", pa.string()),
    ]
)
"""``figures`` and ``digests`` are canonical JSON; ``previous_sha256`` is null in the first row."""


class LedgerError(ValueError):
    """A decision cannot be a row of the ledger, or an interrupted one cannot be read."""


@dataclass(frozen=True, kw_only=True)
class LedgerRow(Decision):
    """A decision as the ledger holds it.

    Attributes
    ----------
    sequence : int
        From 1.
    previous_sha256 : str, optional
        ``row_sha256`` of the row before; None in the first.
    row_sha256 : str
        See `row_digest`.
    """

    sequence: int
    previous_sha256: str | None
    row_sha256: str


def checked_decision(decision: Decision) -> Decision:
    """Return the decision as a row can hold it: times in UTC, figures as JSON values, numbers that are not finite null.

    Raises
    ------
    LedgerError
        Kind, verdict or night is none, there is no reason, the time has no zone, a text is no Unicode, or a figure is
        no JSON value; the message names it.
    """
    _require_words(decision)
    if decision.at.tzinfo is None:
        raise LedgerError(f"at={decision.at} of a decision on {decision.name} has no time zone: give it in UTC")
    if decision.night is not None:
        night_date(decision.night)
    given = {each.name: getattr(decision, each.name) for each in fields(Decision) if each.name != "at"}
    checked = {name: _json_value(name, value) for name, value in given.items()}
    return Decision(**checked | {"at": decision.at.astimezone(UTC), "reasons": tuple(checked["reasons"])})


def night_date(night: str) -> date:
    """Return the date of a night, the local evening's.

    Raises
    ------
    LedgerError
        It is no date of the form YYYY-MM-DD.
    """
    if is_night(night):
        return date.fromisoformat(night)
    raise LedgerError(f"night={night!r} is no date: give that of the local evening as YYYY-MM-DD")


def row_digest(columns: Mapping[str, Any]) -> str:
    """Return the sha256 of a row, from the values of its columns.

    It is that of the canonical JSON of all columns but ``row_sha256``: keys sorted, no spaces, UTF-8, ``at`` in ISO
    8601 with microseconds and ``+00:00``.
    """
    values = {name: columns[name] for name in SCHEMA.names if name != "row_sha256"}
    values["at"] = written_time(values["at"])
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, the same text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def written_time(at: datetime) -> str:
    """Return a time in ISO 8601, UTC, with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _require_words(decision: Decision) -> None:
    """Refuse a kind or verdict that is none, and a name, user or reason that is empty."""
    for name, value, known in (
        ("kind", decision.kind, get_args(Kind)),
        ("verdict", decision.verdict, get_args(Verdict)),
    ):
        if value not in known:
            raise LedgerError(f"{name}={value!r} of a decision is none of {', '.join(known)}")
    for name, text in (("name", decision.name), ("by", decision.by)):
        if not text.strip():
            raise LedgerError(f"{name}={text!r} of a decision is empty")
    if not decision.reasons or not all(reason.strip() for reason in decision.reasons):
        raise LedgerError(f"a decision on {decision.name} has the reasons {decision.reasons}: state why, in words")


def _json_value(place: str, value: Any) -> Any:
    """Return a value as JSON holds it; `place` names it in errors."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        if not _is_unicode(value):
            raise LedgerError(f"{place}={value!r} of a decision is no Unicode text")
        return value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and _is_unicode(key) for key in value):
            raise LedgerError(f"{place} of a decision has keys that are no text: {list(value)}")
        return {key: _json_value(f"{place}.{key}", inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(f"{place}[{number}]", inner) for number, inner in enumerate(value)]
    raise LedgerError(f"{place} of a decision is of type {type(value).__name__}, which is no JSON value")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def make_row(decision: Decision, sequence: int, previous_sha256: str | None) -> LedgerRow:
    """Return a checked decision as the row behind the one with digest `previous_sha256`."""
    own = {each.name: getattr(decision, each.name) for each in fields(Decision)}
    row = LedgerRow(**own, sequence=sequence, previous_sha256=previous_sha256, row_sha256="")
    return replace(row, row_sha256=row_digest(columns_of(row)))


def columns_of(row: LedgerRow) -> dict[str, Any]:
    """Return the row's values by column."""
    values = {name: getattr(row, name) for name in SCHEMA.names}
    texts = {name: canonical_json(values[name]) for name in ("figures", "digests")}
    return {**values, **texts, "reasons": list(row.reasons)}


def row_from_columns(columns: Mapping[str, Any]) -> LedgerRow:
    """Return the row with these values by column."""
    parsed = {name: json.loads(columns[name]) for name in ("figures", "digests")}
    at, reasons = columns["at"].astimezone(UTC), tuple(columns["reasons"])
    return LedgerRow(**{**columns, **parsed, "at": at, "reasons": reasons})
