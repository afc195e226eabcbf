"""The parts of a split and the share of the samples that each is drawn to hold."""

PART_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
PARTS = tuple(PART_SHARES)
