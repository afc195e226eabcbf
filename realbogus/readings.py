"""What was understood of an input: which column or keyword as which quantity, what was ignored, what is missing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MOST_NOTES = 20
"""Further notes of a merged reading are dropped; their number is the last note."""


@dataclass(frozen=True)
class Reading:
    """An account of what was read.

    Attributes
    ----------
    understood : mapping of str to str
        Role (quantity) to the column, keyword or field that it was taken from.
    ignored : tuple of str
        Columns or fields that nothing was taken from and that are not kept.
    missing : mapping of str to int
        Role to the number of rows or frames that lack it.
    notes : tuple of str
        Sentences on values that contradict each other or cannot be read.
    """

    understood: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def under(self, prefix: str) -> "Reading":
        """Return the reading with ``prefix.`` before every role and ignored column."""
        return Reading(
            {f"{prefix}.{role}": name for role, name in self.understood.items()},
            tuple(f"{prefix}.{name}" for name in self.ignored),
            {f"{prefix}.{role}": count for role, count in self.missing.items()},
            self.notes,
        )

    def to_json(self) -> str:
        """Return the reading as JSON text."""
        fields = {name: getattr(self, name) for name in ("understood", "ignored", "missing", "notes")}
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Reading":
        """Return the reading of `to_json`."""
        fields = json.loads(text)
        return cls(fields["understood"], tuple(fields["ignored"]), fields["missing"], tuple(fields["notes"]))

    def to_summary(self) -> dict[str, object]:
        """Return the entries ``understood``, ``ignored``, ``missing`` and ``notes`` of a summary."""
        return {
            "understood": dict(self.understood),
            "ignored": list(self.ignored),
            "missing": {role: count for role, count in self.missing.items() if count},
            "notes": list(self.notes),
        }


def merge_readings(readings: Iterable[Reading]) -> Reading:
    """Return one reading of several inputs: names of a role joined by commas, counts added, notes once each."""
    names: dict[str, dict[str, None]] = {}
    ignored: dict[str, None] = {}
    missing: dict[str, int] = {}
    notes: dict[str, None] = {}
    for reading in readings:
        for role, name in reading.understood.items():
            names.setdefault(role, {}).update(dict.fromkeys(name.split(", ")))
        ignored.update(dict.fromkeys(reading.ignored))
        for role, count in reading.missing.items():
            missing[role] = missing.get(role, 0) + count
        notes.update(dict.fromkeys(reading.notes))
    understood = {role: ", ".join(sorted(found)) for role, found in names.items()}
    kept = list(notes)[:MOST_NOTES]
    if len(notes) > MOST_NOTES:
        kept.append(f"and {len(notes) - MOST_NOTES} more")
    return Reading(understood, tuple(ignored), missing, tuple(kept))
