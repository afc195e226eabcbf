"""The page of all decisions: the faults of the ledger, the champion of each name, its history and every row."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.decisions.aliases import recorded_champion
from tasks.decisions.decision_runs import numbers_of
from tasks.decisions.ledger import Ledger, ledger_folder, read_ledger
from tasks.decisions.ledger_rows import LedgerRow
from tasks.decisions.timeline import champion_timeline, version_of
from tasks.learning.intervals import intervals_among
from tasks.reports.page import Block, Cell, Figure, Heading, Headline, Headlines, Table, Text, cell_text, page
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file

_FIGURES_SHOWN = 6
_DIGITS_SHOWN = 8
COLUMNS = ("row", "night", "verdict", "versions", "by", "why")
"""Of the table of decisions; `table_rows` has the cells."""


def decisions_page(workspace: Workspace) -> Path:
    """Return the path of the page."""
    return workspace.reports / "decisions.html"


def write_decisions_page(workspace: Workspace) -> Path:
    """Write ``reports/decisions.html`` from the whole ledger and return its path."""
    ledger = read_ledger(workspace)
    target = decisions_page(workspace)
    subtitle = f"{_counted(len(ledger.decisions), 'row')} of {ledger_folder(workspace).relative_to(workspace.root)}"
    with whole_file(target) as path:
        path.write_text(page("Decisions on models", _blocks(ledger), subtitle), encoding="utf-8")
    return target


def table_rows(rows: Sequence[LedgerRow]) -> list[list[Cell]]:
    """Return the cells of decisions under `COLUMNS`, the newest first.

    Versions are ``1 → 2`` where the champion changed, else the challenger's against the champion's.
    """
    return [
        [
            row.sequence,
            row.night,
            f"{row.verdict} ({row.kind})" if row.kind.upper() != row.verdict else row.verdict,
            _versions_text(row),
            row.by,
            "; ".join(row.reasons),
        ]
        for row in reversed(rows)
    ]


def _blocks(ledger: Ledger) -> list[Block]:
    names = sorted({row.name for row in ledger.decisions})
    by_name = {name: [row for row in ledger.decisions if row.name == name] for name in names}
    blocks: list[Block] = []
    if ledger.faults:
        blocks += [
            Heading("Faults of the ledger"),
            Text(
                "What is named here is not as it was written, or not in order. All other rows were checked, and stand."
            ),
            Table("Faults", ("fault",), [(fault,) for fault in ledger.faults]),
        ]
    if not names:
        return [*blocks, Text("The ledger has no decision yet.")]
    blocks.append(Headlines([_headline(name, rows) for name, rows in by_name.items()]))
    for name, rows in by_name.items():
        blocks += _blocks_of(name, rows)
    return blocks


def _headline(name: str, rows: Sequence[LedgerRow]) -> Headline:
    champion = recorded_champion(rows)
    if champion is None:
        return Headline(name, "no champion", _counted(len(rows), "decision"))
    made = (row for row in reversed(rows) if row.champion_after == champion and row.champion_before != champion)
    since = next(made, rows[0])
    detail = f"champion since {_when(since)}, row {since.sequence}; {_counted(len(rows), 'decision')}"
    return Headline(name, f"version {version_of(champion)}", detail)


def _blocks_of(name: str, rows: Sequence[LedgerRow]) -> list[Block]:
    details = [
        (
            row.sequence,
            f"{row.at:%Y-%m-%d\N{NO-BREAK SPACE}%H:%M}",
            _figures_text(row.figures),
            _digests_text(row.digests),
            row.row_sha256[:_DIGITS_SHOWN],
        )
        for row in reversed(rows)
    ]
    return [
        Heading(name),
        Figure(
            "The line is the champion's version; a mark is the version that a decision was about.",
            champion_timeline(rows),
            f"champion of {name} over its decisions",
        ),
        Table(f"Decisions on {name}, the newest first", COLUMNS, table_rows(rows)),
        Table("When, and what they rest on", ("row", "at (UTC)", "figures", "digests", "row's own"), details),
        Text(
            f"At most {_FIGURES_SHOWN} figures a row, and the first {_DIGITS_SHOWN} digits of each sha256. The ledger "
            "and the row's run in MLflow have all.",
            quiet=True,
        ),
    ]


def _versions_text(row: LedgerRow) -> str:
    before, after = (version_of(address) or "none" for address in (row.champion_before, row.champion_after))
    if before != after:
        words = [before, "→", after]
    else:
        challenger = version_of(row.challenger)
        words = [after] if challenger is None else [challenger, "against", after]
    return "\N{NO-BREAK SPACE}".join(map(str, words))


def _when(row: LedgerRow) -> str:
    return row.night or f"{row.at:%Y-%m-%d}"


def _figures_text(figures: Mapping[str, Any]) -> str | None:
    """Return the first numbers, each with its interval where its ends are beside it."""
    shown = []
    for name, (value, low, high) in intervals_among(dict(numbers_of(figures))).items():
        interval = "" if math.isnan(low) or math.isnan(high) else f" ({cell_text(low)} to {cell_text(high)})"
        shown.append(f"{name} {cell_text(value)}{interval}")
    rest = len(shown) - _FIGURES_SHOWN
    more = [f"and {rest} more"] if rest > 0 else []
    return "; ".join([*shown[:_FIGURES_SHOWN], *more]) or None


def _digests_text(digests: Mapping[str, str]) -> str | None:
    return ", ".join(f"{name} {digest[:_DIGITS_SHOWN]}" for name, digest in digests.items()) or None


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
