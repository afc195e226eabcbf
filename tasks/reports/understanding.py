"""What a page says of the inputs: which were understood as what, from ``understood``, ``missing``, ... of a summary."""

from collections.abc import Mapping
from typing import Any

from tasks.reports.page import Block, Heading, Table, Text


def understood_blocks(summary: Mapping[str, Any], counted: str) -> list[Block]:
    """Return what each quantity was taken from, the number of `counted` (such as ``rows``) without it, and the rest.

    The rest is a table where the summary says why columns were ignored, else a list. Empty where the summary has
    nothing on it, as for simulated inputs.
    """
    understood, missing = summary.get("understood", {}), summary.get("missing", {})
    if not understood and not missing:
        return []
    roles = dict.fromkeys([*understood, *missing])
    rows = [(role, understood.get(role, "nothing"), missing.get(role, 0)) for role in roles]
    blocks: list[Block] = [
        Heading("What was understood of the inputs"),
        Table("Quantities", ("quantity", "taken from", f"{counted} without it"), rows),
    ]
    others = [("kept as text", ", ".join(summary["kept"]))] if summary.get("kept") else []
    others += [(f"ignored: {why}", ", ".join(names)) for why, names in summary.get("why_ignored", {}).items()]
    if others:
        blocks.append(Table("Other columns", ("what was done", "columns"), others))
    elif summary.get("ignored"):
        blocks.append(Text(f"Not read: {', '.join(summary['ignored'])}."))
    return blocks + [Text(f"{note}.") for note in summary.get("notes", [])]
