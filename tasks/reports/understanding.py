"""Tables of a page on what was understood of the inputs, from a summary's ``understood``, ``ignored``, ``missing``."""

from collections.abc import Mapping
from typing import Any

from tasks.reports.page import Block, Table, Text


def understood_blocks(summary: Mapping[str, Any], counted: str) -> list[Block]:
    """Return what each quantity was taken from, the number of `counted` (such as ``rows``) without it, and the rest.

    Empty where the summary has nothing on it, as for simulated inputs.
    """
    understood, missing = summary.get("understood", {}), summary.get("missing", {})
    if not understood and not missing:
        return []
    roles = dict.fromkeys([*understood, *missing])
    rows = [(role, understood.get(role, "nothing"), missing.get(role, 0)) for role in roles]
    blocks: list[Block] = [Table("What was understood", ("quantity", "taken from", f"{counted} without it"), rows)]
    if summary.get("ignored"):
        blocks.append(Text(f"Not read: {', '.join(summary['ignored'])}."))
    blocks += [Text(f"{note}.") for note in summary.get("notes", [])]
    return blocks
