"""Random streams of the simulated survey, identified by their purpose and by detector, field, night and visit."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Purpose of a random stream. Part of its seed, so a number is never reused for another purpose."""

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
    FAULT = 11
    VARIETY = 12
    REFERENCE_VARIETY = 13


def open_stream(seed: int, stream: Stream, *keys: int) -> np.random.Generator:
    """Return the generator of one stream: the same for equal arguments, independent for different ones."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *keys)))
