"""Nothing that a kept item needs is ever removed, at whatever point a removal stops; the oldest go first."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.housekeeping.references import Item, kept_items, plan_removal


@st.composite
def workspaces(draw: st.DrawFn) -> list[Item]:
    """Up to 12 items with any needs, circles too, some of them kept."""
    count = draw(st.integers(0, 12))
    keys = [f"item {number}" for number in range(count)]
    any_keys = st.frozensets(st.sampled_from([*keys, "absent"]), max_size=4)
    return [
        Item(
            key,
            "thing",
            draw(st.integers(0, 5)),
            float(draw(st.integers(0, 6))),
            needs=draw(any_keys) - {key},
            kept=draw(st.sampled_from([None, None, "root"])),
        )
        for key in keys
    ]


def reachable(items: list[Item]) -> set[str]:
    """By another way than the plan's: repeated until nothing is added."""
    found = {item.key for item in items if item.kept}
    while True:
        more = {key for item in items if item.key in found for key in item.needs} & {item.key for item in items}
        if more <= found:
            return found
        found |= more


@given(workspaces(), st.none() | st.integers(0, 30))
def test_no_item_that_a_kept_one_needs_is_removed_and_every_prefix_is_whole(
    items: list[Item], budget: int | None
) -> None:
    plan = plan_removal(items, sum(item.size_bytes for item in items), budget)
    assert not reachable(items) & {item.key for item in plan.removed}
    assert {item.key for item in items} == {item.key for item in plan.removed} | set(plan.kept)
    there = {item.key: item for item in items}
    for item in plan.removed:
        del there[item.key]
        assert not any(item.key in other.needs for other in there.values())


@given(workspaces(), st.integers(0, 30))
def test_removal_stops_as_soon_as_the_budget_is_met(items: list[Item], budget: int) -> None:
    total = sum(item.size_bytes for item in items)
    plan, everything = plan_removal(items, total, budget), plan_removal(items, total, None)
    left = total - plan.removed_bytes
    assert plan.removed == everything.removed[: len(plan.removed)]
    assert left <= budget or plan.removed == everything.removed
    if plan.removed:
        assert left + plan.removed[-1].size_bytes > budget


@given(workspaces())
def test_what_is_removed_before_an_older_one_had_to_go_first(items: list[Item]) -> None:
    removed = plan_removal(items, 0, None).removed
    by_key = {item.key: item for item in items}
    for position, item in enumerate(removed):
        for later in removed[position + 1 :]:
            if later.changed_at < item.changed_at:
                # The older one was needed, by a chain of needs, by what went at this place or after it.
                waiting = {other.key for other in removed[position:]} - {later.key}
                assert any(later.key in by_key[key].needs for key in waiting)


def test_a_reason_says_of_what_kind_the_item_is_that_needs_it() -> None:
    items = [
        Item("a", "model", 1, 0.0, needs=frozenset({"b"}), kept="a model with an alias"),
        Item("b", "version", 1, 0.0, needs=frozenset({"c"})),
        Item("c", "shard", 1, 0.0),
    ]
    reasons = {"a": "a model with an alias", "b": "needed by a kept model", "c": "needed by a kept version"}
    assert kept_items(items) == reasons
