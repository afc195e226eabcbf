"""The split: train, validation and test in 8:1:1 by whole groups, drawn once and then only added to.

The first labelled version draws it, stratified by class. A group that comes later is placed by a keyed
hash of its name alone, so neither the order of arrival nor a new scheme moves anything.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

PARTS = ("train", "validation", "test")
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


class LeakError(ValueError):
    """A group, or the same pixels, stand in two parts of a split."""


def hash_share(name: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on `name` and `seed` alone."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def part_by_hash(group: str, seed: int) -> str:
    """Place a group that came after the split was drawn."""
    share = hash_share(group, seed)
    if share < SHARES["train"]:
        return "train"
    return "validation" if share < SHARES["train"] + SHARES["validation"] else "test"


def draw_split(groups: Sequence[str], labels: Sequence[str | None], seed: int) -> dict[str, str]:
    """Draw the first split.

    Groups are taken largest first, equal ones in the order of their keyed hash, and each goes to the
    part that lacks most of what the group brings: its classes, weighted by their rarity.

    Parameters
    ----------
    groups, labels : sequences, one entry a sample
        An unlabelled sample has None, which is a stratum of its own.
    seed : int

    Returns
    -------
    dict of group to part
    """
    members: dict[str, Counter[str | None]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        members[group][label] += 1
    totals: Counter[str | None] = Counter(labels)
    filled: dict[str, Counter[str | None]] = {part: Counter() for part in PARTS}
    parts: dict[str, str] = {}
    for group in sorted(members, key=lambda name: (-members[name].total(), hash_share(name, seed), name)):
        brings = members[group]
        parts[group] = max(PARTS, key=lambda part: _need(brings, totals, filled[part], SHARES[part]))
        filled[parts[group]].update(brings)
    return parts


def _need(
    brings: Counter[str | None], totals: Counter[str | None], has: Counter[str | None], share: float
) -> tuple[float, float]:
    """Return how much a part lacks of a group's classes, as a share of what the part should hold."""
    lack = sum(count * (1 - has[label] / (share * totals[label])) for label, count in brings.items())
    return lack, 1 - has.total() / (share * totals.total())


def place(groups: Sequence[str], labels: Sequence[str | None], known: Mapping[str, str], seed: int) -> dict[str, str]:
    """Return the part of every group: as published, by hash for newcomers, or drawn where nothing is published."""
    if not known:
        return draw_split(groups, labels, seed)
    return {group: known.get(group) or part_by_hash(group, seed) for group in groups}


def split_by_time(groups: Sequence[str], nights: Sequence[str]) -> list[str | None]:
    """Place samples by night: the first eight tenths train, then validation, then test, in whole nights.

    Parameters
    ----------
    groups, nights : sequences, one entry a sample
        Nights in an order that is that of time when sorted as text.

    Returns
    -------
    list of str or None
        The part of each sample. None for a sample whose group was seen in an earlier part: it may not be used, as
        the same sky would be on both sides. Fewer than three nights give None throughout.
    """
    of_night = Counter(nights)
    if len(of_night) < len(PARTS):
        return [None] * len(nights)
    part_of_night: dict[str, str] = {}
    before = 0
    names = sorted(of_night)
    for number, night in enumerate(names):
        share = before / len(nights)
        part = PARTS[0] if share < SHARES["train"] else PARTS[1] if share < 1 - SHARES["test"] else PARTS[2]
        # However uneven the nights are, the last two are left for validation and test.
        part_of_night[night] = PARTS[max(PARTS.index(part), number + len(PARTS) - len(names))]
        before += of_night[night]
    first: dict[str, str] = {}
    for group, night in sorted(zip(groups, nights, strict=True), key=lambda item: item[1]):
        first.setdefault(group, part_of_night[night])
    return [
        part_of_night[night] if first[group] == part_of_night[night] else None
        for group, night in zip(groups, nights, strict=True)
    ]


def check_no_leak(groups: Sequence[str], parts: Sequence[str], digests: Sequence[str]) -> None:
    """Refuse a split in which a group or a pixel digest stands in two parts.

    Raises
    ------
    LeakError
        Naming the first five of them.
    """
    for what, keys in (("group", groups), ("pixel sha256", digests)):
        seen: dict[str, str] = {}
        torn = [key for key, part in zip(keys, parts, strict=True) if seen.setdefault(key, part) != part]
        if torn:
            first = ", ".join(sorted(set(torn))[:5])
            raise LeakError(f"{len(set(torn))} {what}s stand in two parts of the split, such as {first}")
