"""The page of a housekeeping: each item is on it or counted, sizes add up, and every kind has its reason."""

import re
from collections import Counter
from typing import Any

import pytest

from tasks.housekeeping import dataset_items, file_items, model_items
from tasks.housekeeping.page import (
    MOST_KEPT,
    MOST_ROWS,
    WHY,
    Account,
    housekeeping_page,
    item_name,
    sizes_figure,
)
from tasks.housekeeping.references import Item, Plan
from tasks.housekeeping.removal import Outcome
from tasks.housekeeping.request import HousekeepingRequest
from tasks.housekeeping.rules import ALIAS, DAY_S, Rules
from tasks.housekeeping.survey import Contents
from tests.page_tables import tables_of

NOW = 100 * DAY_S
SPACE = "\N{NARROW NO-BREAK SPACE}"


def item(number: int, size: int = 1000, kind: str = model_items.RUN, **changes: Any) -> Item:
    return Item(f"{kind} r{number}", kind, size, NOW - number * DAY_S, **changes)


def page_of(removed: list[Item], kept: list[Item], outcome: Outcome | None = None, **request: Any) -> str:
    plan = Plan(removed, {item.key: item.kept or "needed by a kept run" for item in kept})
    contents = Contents([*kept, *removed], problems=["a.parquet cannot be read"], busy=["training/abc"])
    rules = Rules(HousekeepingRequest(**request), NOW)
    total = sum(item.size_bytes for item in contents.items)
    return housekeeping_page(Account(rules, contents, plan, outcome or Outcome(), total, plan.removed_bytes))


def test_every_kind_of_item_has_a_reason_why_it_may_go() -> None:
    kinds = {
        *(dataset_items.VERSION, dataset_items.COPY, dataset_items.SHARD, dataset_items.RAW, dataset_items.STAGING),
        *(file_items.NIGHT, file_items.SCORES, file_items.UNFINISHED, file_items.PAGE),
        *(model_items.MODEL, model_items.RUN, model_items.CACHE),
    }
    assert set(WHY) == kinds


def test_each_thing_that_goes_is_in_the_table_with_its_age_in_the_order_of_the_plan() -> None:
    tables = tables_of(page_of([item(40), item(31, 2_500_000, model_items.CACHE)], [item(2, kept=ALIAS), item(5)]))
    header, *rows = tables["Oldest first"]
    assert header == ["kind", "name", "size", "age (days)", "why"]
    assert [row[:4] for row in rows] == [
        ["run", "r40", f"1{SPACE}kB", "40"],
        ["cache", "r31", f"2.5{SPACE}MB", "31"],
    ]
    assert [row[4] for row in rows] == [WHY[model_items.RUN], WHY[model_items.CACHE]]
    assert [row[1] for row in tables["The largest"][1:]] == ["r2", "r5"]
    assert sorted(tables["By reason"][1:]) == [[ALIAS, "1"], ["needed by a kept run", "1"]]


def test_what_a_table_has_no_room_for_is_counted() -> None:
    removed = [item(number) for number in range(MOST_ROWS + 3)]
    kept = [item(number, 1000 + number, model_items.CACHE, kept=ALIAS) for number in range(MOST_KEPT + 2)]
    tables = tables_of(page_of(removed, kept))
    assert len(tables["Oldest first; 3 more"]) == 1 + MOST_ROWS
    largest = tables["The largest; 2 more"]
    assert [row[1] for row in largest[1:]] == [f"r{number}" for number in range(MOST_KEPT + 1, 1, -1)]


@pytest.mark.parametrize(
    ("plan_only", "told", "not_told"),
    [
        (True, "Nothing was removed: this is a plan.", "cannot be brought back"),
        (False, "cannot be brought back", "May go"),
    ],
)
def test_a_plan_and_a_removal_are_told_apart(plan_only: bool, told: str, not_told: str) -> None:
    text = page_of([item(40, count=3), item(41)], [item(2)], plan_only=plan_only, budget_gb=2.0)
    assert told in text
    assert not_told not in text
    assert "4 things, the oldest first" in text
    assert f"budget 2{SPACE}GB" in text


def test_what_was_planned_and_stays_is_told_by_reason_and_a_table_without_rows_is_left_out() -> None:
    outcome = Outcome([item(1)], Counter({"needed by what stays": 2, "at work": 1}))
    tables = tables_of(page_of([item(1)], [], outcome, plan_only=False))
    assert tables["Planned, but stays"][1:] == [["needed by what stays", "2"], ["at work", "1"]]
    assert tables["At work"][1:] == [["training/abc"]]
    assert tables["Cannot be read; all that it may need stays"][1:] == [["a.parquet cannot be read"]]
    assert "Planned, but stays" not in tables_of(page_of([item(1)], []))


@pytest.mark.parametrize(
    ("key", "kind", "count", "name"),
    [
        ("night 2026-11-28", "night", 1, "2026-11-28"),
        ("run 0123456789abcdef0123456789abcdef", "run", 1, "0123456789ab…"),
        (f"cache cascade/{'a' * 16}-{'b' * 64}.json", "cache", 1, f"cascade/{'a' * 16}-{'b' * 12}….json"),
        ("raw bytes of day 3, owners 5", "raw bytes", 1, "1 file of 1970-01-05"),
        ("raw bytes of day 3, owners 5", "raw bytes", 1200, "1,200 files of 1970-01-05"),
    ],
)
def test_a_name_is_short_and_raw_bytes_are_named_by_number_and_day(key: str, kind: str, count: int, name: str) -> None:
    assert item_name(Item(key, kind, 1, 4.9 * DAY_S, count=count)) == name


def bars(svg: str) -> list[tuple[float, float, float]]:
    """Left end, right end and place from the top of each bar, of what goes and then of what stays."""
    corner = r"([\d.]+) ([\d.]+)"
    found = re.findall(rf'<path d="M {corner} L {corner} L [^z]*z " clip-path="[^"]*" style="fill: (?!none)', svg)
    return [(float(left), float(right), float(top)) for left, top, right, _ in found]


def test_bars_are_as_long_as_their_bytes_one_after_the_other_and_the_largest_kind_is_on_top() -> None:
    drawn = bars(sizes_figure({"run": 3 * 10**9, "night": 10**9}, {"run": 2 * 10**9, "cache": 5 * 10**8}, "may go").svg)
    gone, stay = drawn[:3], drawn[3:]
    unit = gone[1][1] - gone[1][0]
    assert [right - left for left, right, _ in gone] == pytest.approx([0, unit, 3 * unit], abs=0.03)
    assert [right - left for left, right, _ in stay] == pytest.approx([unit / 2, 0, 2 * unit], abs=0.03)
    assert [left for left, _, _ in stay] == [right for _, right, _ in gone]
    assert [top for *_, top in gone] == sorted((top for *_, top in gone), reverse=True)


def test_a_workspace_without_items_has_a_figure_without_bars() -> None:
    assert bars(sizes_figure({}, {}, "may go").svg) == []
