"""Random streams of the simulated survey: each is named by what it decides and for which detector, field and visit."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a random stream decides; part of its seed, so the numbers are never given to another use."""

    DETECTOR = 1
    POINTING = 2
    FIELD = 3
    EVENTS = 4
    NIGHT = 5
    VISIT = 6
    REFERENCE = 7
    NOISE = 8
    CATALOGUE = 9
    LISTING = 10


def open_stream(seed: int, stream: Stream, *keys: int) -> np.random.Generator:
    """Return the generator of one stream: equal for equal arguments, independent for others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *keys)))
