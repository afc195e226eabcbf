"""A flow's summary as a short table on stderr; stdout has the whole of it as JSON."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_ROWS = 24
MOST_COUNTS = 8
MOST_LETTERS = 160
SHOWN_EMPTY = frozenset({"rejected"})
"""Entries that have a row also when they are empty; the account of a build balances with it."""
_ENDS = ("_low", "_high")


def show(name: str, summary: Any) -> None:
    """Write the table of a flow's summary to stderr, in a file without wrapped lines."""
    if not isinstance(summary, Mapping):
        return
    console, rows = Console(stderr=True), summary_rows(summary)
    if not console.is_terminal:
        width = max((len(row) for row, _ in rows), default=0)
        print(f"{name}:", *(f"{row:{width}}  {text}" for row, text in rows), sep="\n", file=sys.stderr, flush=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row, text in rows:
        table.add_row(Text(row), Text(text))
    console.print(f"{name}:", style="bold", highlight=False)
    console.print(table, highlight=False)


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return rows (name, text): scalars, counts, and one level of parts; a last row names what is left out."""
    shown: list[tuple[str, str]] = []
    left_out: list[str] = []
    for name, text in _rows(summary, ""):
        if text is None or len(shown) == MOST_ROWS:
            left_out.append(name)
        else:
            shown.append((name, text))
    if left_out:
        shown.append(("also", f"{', '.join(left_out)}: in the JSON on stdout"))
    return shown


def _rows(values: Mapping[str, Any], part: str) -> Iterator[tuple[str, str | None]]:
    """Yield name and text of every entry; None for what a table has no room for. Empty values have no row."""
    for name, value in values.items():
        if _has_no_row(name, value, values):
            continue
        if isinstance(value, Mapping) and not part and _is_part(value):
            yield from _rows(value, f"{name}: ")
        else:
            yield f"{part}{name}", _text(value, [values.get(f"{name}{end}") for end in _ENDS])


def _has_no_row(name: str, value: Any, values: Mapping[str, Any]) -> bool:
    """Return whether an entry is empty, or an end of another entry's interval."""
    is_empty = value is None or (value in ({}, [], "") and name not in SHOWN_EMPTY)
    return is_empty or (name.endswith(_ENDS) and _main_name(name) in values)


def _main_name(name: str) -> str:
    return name.removesuffix("_low").removesuffix("_high")


def _is_part(value: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a part of the summary, such as the metrics of the test part, and no long counts."""
    numbers = [entry for entry in value.values() if isinstance(entry, int | float) and not isinstance(entry, bool)]
    return bool(numbers) and not all(isinstance(entry, int) for entry in value.values())


def _is_counts(value: Mapping[str, Any]) -> bool:
    return len(value) <= MOST_COUNTS and all(isinstance(entry, int) for entry in value.values())


def _text(value: Any, ends: list[Any]) -> str | None:
    """Return a value as text, with the ends of its interval; None if it is too long or of many entries."""
    if isinstance(value, Mapping):
        counts = ", ".join(f"{name} {count}" for name, count in value.items())
        return (counts or "none") if _is_counts(value) else None
    if isinstance(value, list | tuple):
        text = ", ".join(map(str, value))
        plain = all(isinstance(entry, str | int | float) for entry in value)
        return text if plain and len(text) <= MOST_LETTERS else None
    if all(isinstance(end, int | float) for end in ends):
        return f"{_number(value)} ({_number(ends[0])} to {_number(ends[1])})"
    return _number(value) if not isinstance(value, str) or len(value) <= MOST_LETTERS else None


def _number(value: Any) -> str:
    """Return a number with four significant digits, a truth value as a word, anything else as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)
