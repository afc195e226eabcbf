"""The page of a housekeeping: what goes, what stays, and why."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tasks.housekeeping.dataset_items import COPY, RAW, SHARD, STAGING, VERSION
from tasks.housekeeping.disk import size_text
from tasks.housekeeping.file_items import NIGHT, PAGE, SCORES, UNFINISHED
from tasks.housekeeping.model_items import CACHE, MODEL, RUN
from tasks.housekeeping.references import Item, Plan
from tasks.housekeeping.removal import Outcome
from tasks.housekeeping.request import GB
from tasks.housekeeping.rules import Rules
from tasks.housekeeping.survey import Contents
from tasks.reports.canvas import canvas
from tasks.reports.colours import BLUE, ORANGE, PAPER
from tasks.reports.drawing import Drawing
from tasks.reports.page import Block, Figure, Heading, Headline, Headlines, Table, Text, page

MOST_ROWS = 200
"""Items that a table lists; the others are counted."""
MOST_KEPT = 30

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{12,}\b")

WHY = {
    VERSION: "not published, not among the newest, named by no model, holdout, page or decision",
    COPY: "the object store has no such version",
    SHARD: "no version uses it",
    RAW: "no ledger names them",
    STAGING: "nobody goes on with it",
    MODEL: "no alias, not among the newest, named by no page or decision",
    RUN: "without a registered model, named by no page",
    NIGHT: "not among the newest, named by no page or decision",
    SCORES: "named by no page",
    UNFINISHED: "nobody goes on with it",
    CACHE: "made again when it is needed",
    PAGE: "named by no page or decision",
}
"""By kind: why an item may go, beside being older than `keep_days`."""


@dataclass(frozen=True)
class Account:
    """All that a page tells.

    Attributes
    ----------
    rules : Rules
    contents : Contents
    plan : Plan
    outcome : Outcome
    total_bytes, gone_bytes : int
        Size of the workspace before the removal, and of what may go or went, with what earlier removals had begun.
    """

    rules: Rules
    contents: Contents
    plan: Plan
    outcome: Outcome
    total_bytes: int
    gone_bytes: int


def housekeeping_page(account: Account) -> str:
    """Return the page as HTML."""
    request, plan = account.rules.request, account.plan
    kept = sorted((item for item in account.contents.items if item.key in plan.kept), key=lambda item: -item.size_bytes)
    verb = "may go" if request.plan_only else "went"
    blocks: list[Block] = [
        Headlines(
            [
                Headline("Workspace before", size_text(account.total_bytes), _budget(account)),
                Headline(
                    "May go" if request.plan_only else "Removed",
                    size_text(account.gone_bytes),
                    f"{sum(item.count for item in plan.removed):,} things, the oldest first",
                ),
                Headline("Named and kept", size_text(sum(item.size_bytes for item in kept)), f"{len(kept)} items"),
            ]
        ),
        Text(
            "Nothing was removed: this is a plan."
            if request.plan_only
            else "Removed things cannot be brought back; a dataset version that is needed again is built again."
        ),
        Figure("Size by kind", sizes_figure(_by_kind(plan.removed), _by_kind(kept), verb), "bars of size by kind"),
        Heading(f"What {verb}"),
        _table("Oldest first", account, plan.removed[:MOST_ROWS], lambda item: WHY[item.kind], len(plan.removed)),
        Heading("What stays"),
        Table("By reason", ("reason", "items"), Counter(plan.kept.values()).most_common()),
        _table("The largest", account, kept[:MOST_KEPT], lambda item: plan.kept[item.key], len(kept)),
    ]
    contents = account.contents
    exceptions = (
        Table("Planned, but stays", ("reason", "items"), account.outcome.skipped.most_common()),
        Table("At work", ("what",), [(name,) for name in contents.busy]),
        Table("Cannot be read; all that it may need stays", ("problem",), [(each,) for each in contents.problems]),
    )
    blocks += [table for table in exceptions if table.rows]
    settings = [(name, str(value)) for name, value in request.model_dump().items()]
    blocks += [Heading("Settings"), Table("Parameters", ("parameter", "value"), settings)]
    return page("Housekeeping", blocks, "plan" if request.plan_only else None)


def sizes_figure(removed: Mapping[str, int], kept: Mapping[str, int], verb: str) -> Drawing:
    """Draw the bytes of each kind as a bar: what goes, then what stays; the largest kind at the top."""
    kinds = sorted({*removed, *kept}, key=lambda kind: removed.get(kind, 0) + kept.get(kind, 0))
    largest = max((removed.get(kind, 0) + kept.get(kind, 0) for kind in kinds), default=0)
    unit, factor = next(((u, f) for u, f in (("GB", GB), ("MB", 10**6)) if largest >= f), ("kB", 10**3))
    gone = np.array([removed.get(kind, 0) for kind in kinds]) / factor
    stay = np.array([kept.get(kind, 0) for kind in kinds]) / factor
    with canvas(7.2, 0.36 * max(len(kinds), 1) + 1.3) as (figure, finish):
        axes = figure.subplots()
        axes.barh(kinds, gone, color=ORANGE, label=verb, height=0.62, hatch="//", edgecolor=PAPER, linewidth=0)
        axes.barh(kinds, stay, left=gone, color=BLUE, label="stays", height=0.62)
        for place, kind in enumerate(kinds):
            total = removed.get(kind, 0) + kept.get(kind, 0)
            axes.annotate(
                size_text(total),
                (gone[place] + stay[place], place),
                (5, 0),
                va="center",
                fontsize=8,
                textcoords="offset points",
            )
        axes.set(xlabel=f"size ({unit})", xlim=(0, 1.12 * max(largest, 1) / factor))
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside upper right", ncols=2, fontsize=9)
        return finish()


def _table(caption: str, account: Account, items: Sequence[Item], why: Callable[[Item], str], count: int) -> Table:
    more = f"; {count - len(items)} more" if count > len(items) else ""
    rows = [
        (
            item.kind,
            item_name(item),
            size_text(item.size_bytes),
            f"{account.rules.age_days(item.changed_at):.0f}",
            why(item),
        )
        for item in items
    ]
    return Table(f"{caption}{more}", ("kind", "name", "size", "age (days)", "why"), rows)


def item_name(item: Item) -> str:
    """Return the name of an item, digests in it shortened; of raw bytes their number and day."""
    if item.kind == RAW:
        files = "1 file" if item.count == 1 else f"{item.count:,} files"
        return f"{files} of {datetime.fromtimestamp(item.changed_at, UTC):%Y-%m-%d}"
    return _DIGEST.sub(r"\1…", item.key.removeprefix(f"{item.kind} "))


def _by_kind(items: Sequence[Item]) -> dict[str, int]:
    sizes: dict[str, int] = defaultdict(int)
    for item in items:
        sizes[item.kind] += item.size_bytes
    return sizes


def _budget(account: Account) -> str:
    budget = account.rules.request.budget_bytes
    return "no budget" if budget is None else f"budget {size_text(budget)}"
