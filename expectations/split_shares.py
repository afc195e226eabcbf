"""The parts of a split and the fraction of the samples that each is meant to hold."""

from typing import Literal

PART_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
PARTS = tuple(PART_SHARES)
ALL = "all"
"""All samples, whatever their part."""
PartName = Literal["train", "validation", "test", "all"]
