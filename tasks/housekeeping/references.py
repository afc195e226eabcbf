"""What may go: items that need others, what is kept because something kept needs it, and the order of removal.

Removal goes from what needs to what is needed, so a removal that stops at any point leaves nothing that needs a removed
item.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.store.object_store.objects import ObjectFile, ObjectFolder

NEEDED = "needed by a kept "
"""Reason of an item that is kept for another; the kind of the other follows."""


@dataclass(frozen=True)
class Item:
    """A thing of a workspace that is removed as a whole.

    Attributes
    ----------
    key : str
        Its kind and name, such as ``version sky@3``; unique.
    kind : str
    size_bytes : int
        What its removal gives back.
    changed_at : float
        When it was last written, in seconds since 1970.
    paths : tuple of Path, ObjectFile or ObjectFolder
        Files and folders that it consists of. Folders of objects are of its datasets.
    needs : frozenset of str
        Keys of items without which it is not whole.
    words : frozenset of str
        Words by which a text names it; see `tasks.housekeeping.mentions`.
    kept : str, optional
        Why it must be kept whatever else goes; None: no reason of its own.
    datasets : tuple of str
        The datasets whose builders' locks its removal takes.
    count : int
        How many things it is, as a summary counts them.
    """

    key: str
    kind: str
    size_bytes: int
    changed_at: float
    paths: tuple[Path | ObjectFile | ObjectFolder, ...] = ()
    needs: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    kept: str | None = None
    datasets: tuple[str, ...] = ()
    count: int = 1


@dataclass(frozen=True)
class Plan:
    """What is removed, in order, and what is kept.

    Attributes
    ----------
    removed : list of Item
    kept : dict of str to str
        By key of every other item: why it is kept.
    """

    removed: list[Item]
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def removed_bytes(self) -> int:
        """What the removal gives back."""
        return sum(item.size_bytes for item in self.removed)


def kept_items(items: Iterable[Item]) -> dict[str, str]:
    """Return the reason by key of every item that must be kept: for a reason of its own, or as one such needs it."""
    by_key = {item.key: item for item in items}
    reasons = {item.key: item.kept for item in by_key.values() if item.kept is not None}
    reached = list(reasons)
    while reached:
        item = by_key[reached.pop()]
        for key in sorted(item.needs & by_key.keys() - reasons.keys()):
            reasons[key] = f"{NEEDED}{item.kind}"
            reached.append(key)
    return reasons


def plan_removal(items: Sequence[Item], total_bytes: int, budget_bytes: int | None) -> Plan:
    """Choose what is removed: the oldest first, and nothing that an item which stays needs.

    Items that need each other in a circle stay.

    Parameters
    ----------
    items : sequence of Item
    total_bytes : int
        Size of the workspace, whose parts the items are.
    budget_bytes : int or None
        Removal stops when the workspace is no larger; None: all that may go goes.
    """
    by_key = {item.key: item for item in items}
    reasons = kept_items(items)
    dependents = count_dependents(by_key)
    free = [(item.changed_at, key) for key, item in by_key.items() if key not in reasons and not dependents[key]]
    heapq.heapify(free)
    removed: list[Item] = []
    left = total_bytes
    while free and (budget_bytes is None or left > budget_bytes):
        item = by_key[heapq.heappop(free)[1]]
        removed.append(item)
        left -= item.size_bytes
        for key in item.needs & by_key.keys():
            dependents[key] -= 1
            if not dependents[key] and key not in reasons:
                heapq.heappush(free, (by_key[key].changed_at, key))
    gone = {item.key for item in removed}
    within = "within the budget" if budget_bytes is not None and left <= budget_bytes else "named by one that stays"
    return Plan(removed, {key: reasons.get(key, within) for key in by_key if key not in gone})


def count_dependents(items: Mapping[str, Item]) -> Counter[str]:
    """Return by key how many of the items need that one."""
    return Counter(key for item in items.values() for key in item.needs & items.keys())
