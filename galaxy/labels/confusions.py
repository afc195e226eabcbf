"""How two classes of the Hubble sequence differ: in roundness, bulge, bar, or family.

Classes are known by their names, those of the shipped schemes: ``E``, ``E0``, ``E3``, ``E7``; ``S`` and ``SB``, with or
without a bulge letter ``a`` (dominant) to ``d`` (none); ``elliptical`` and ``spiral``. Any other name is on no scale.
"""

import re
from typing import Literal, NamedTuple

Family = Literal["elliptical", "disc"]

ROUNDNESS, BULGES = ("0", "3", "7"), ("a", "b", "c", "d")
"""Steps of the two scales."""

ONE_ROUNDNESS, MORE_ROUNDNESS = "one step of roundness", "two steps of roundness"
ONE_BULGE, MORE_BULGE = "one step of bulge", "two or three steps of bulge"
BAR, BAR_ONE_BULGE, BAR_MORE_BULGE = "bar alone", "bar and one step of bulge", "bar and more steps of bulge"
OTHER_FAMILY = "elliptical against disc"
UNRELATED = "on no common scale"
KINDS = (
    ONE_ROUNDNESS,
    MORE_ROUNDNESS,
    ONE_BULGE,
    MORE_BULGE,
    BAR,
    BAR_ONE_BULGE,
    BAR_MORE_BULGE,
    OTHER_FAMILY,
    UNRELATED,
)
"""Kinds of confusion, as reports list them."""
NEIGHBOURS = (ONE_ROUNDNESS, ONE_BULGE)
"""Kinds between adjacent classes of one scale."""

_NAME = re.compile(r"E(?P<round>[037])?|S(?P<bar>B)?(?P<bulge>[abcd])?")


class HubbleType(NamedTuple):
    """Where a class is on the scales; None where the class does not say."""

    family: Family
    barred: bool | None = None
    step: int | None = None
    """Of roundness from E0, or of the bulge from a."""


def hubble_type(name: str) -> HubbleType | None:
    """Return the type that a class name stands for, or None."""
    if name in ("elliptical", "spiral"):
        return HubbleType("elliptical" if name == "elliptical" else "disc")
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    if name.startswith("E"):
        return HubbleType("elliptical", None, None if found["round"] is None else ROUNDNESS.index(found["round"]))
    return HubbleType("disc", bool(found["bar"]), None if found["bulge"] is None else BULGES.index(found["bulge"]))


def kind_of_confusion(first: str, second: str) -> str:
    """Return which of `KINDS` separates two different classes."""
    one, other = hubble_type(first), hubble_type(second)
    if one is None or other is None:
        return UNRELATED
    if one.family != other.family:
        return OTHER_FAMILY
    if (one.step is None) != (other.step is None) or (one.barred is None) != (other.barred is None):
        return UNRELATED  # such as S and Sb, of which one contains the other
    steps = 0 if one.step is None or other.step is None else abs(one.step - other.step)
    if one.family == "elliptical":
        return (UNRELATED, ONE_ROUNDNESS, MORE_ROUNDNESS)[min(steps, 2)]
    if one.barred == other.barred:
        return (UNRELATED, ONE_BULGE, MORE_BULGE)[min(steps, 2)]
    return (BAR, BAR_ONE_BULGE, BAR_MORE_BULGE)[min(steps, 2)]
