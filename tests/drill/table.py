"""The table of faults and flows, as Markdown."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.drill.cases import Case
from tests.drill.faults import FAULTS, Fault


def read_outcomes(path: Path) -> list[dict[str, Any]]:
    """Return the newest outcome of every cell."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return list({(line["fault"], line["flow"], line["seed"]): line for line in lines}.values())


def table(outcomes: Sequence[dict[str, Any]], cases: Iterable[Case]) -> str:
    """Return the table and the list of what did not hold."""
    lines = [
        f"| flow | {' | '.join(fault.name for fault in FAULTS)} |",
        f"|---|{'---|' * len(FAULTS)}",
        *(f"| `{case.flow}` | {' | '.join(_cell(outcomes, fault, case) for fault in FAULTS)} |" for case in cases),
        "",
        f"{_counts(outcomes)} A cell is green of all trials; `-`: cannot happen; empty: not run.",
        "",
        "| fault | what is done |",
        "|---|---|",
        *(f"| {fault.name} | {fault.says} |" for fault in FAULTS),
    ]
    red = [outcome for outcome in outcomes if outcome["verdict"] != "green"]
    if red:
        lines += ["", "| not green | at | what was seen |", "|---|---|---|"]
        lines += [f"| {line['fault']}, `{line['flow']}` | {line['at']} | {_seen(line)} |" for line in red]
    return "\n".join([*lines, ""])


def _cell(outcomes: Sequence[dict[str, Any]], fault: Fault, case: Case) -> str:
    if fault.unfit(case) is not None:
        return "-"
    found = [line["verdict"] for line in outcomes if (line["fault"], line["flow"]) == (fault.name, case.flow)]
    return f"{found.count('green')}/{len(found)}" if found else ""


def _counts(outcomes: Sequence[dict[str, Any]]) -> str:
    count = Counter(line["verdict"] for line in outcomes)
    return f"{len(outcomes)} trials: {count['green']} green, {count['red']} red, {count['missed']} missed."


def _seen(line: dict[str, Any]) -> str:
    return "; ".join(line["complaints"]).replace("|", "\\|")[:600]
