"""Random streams: equal for equal names, independent otherwise, and tied to numbers that never change."""

import numpy as np
import pytest

from realbogus.simulation.random_streams import Stream, open_stream


def test_a_stream_repeats():
    assert (
        open_stream(3, Stream.FIELD, 5, 7).random(4).tolist() == open_stream(3, Stream.FIELD, 5, 7).random(4).tolist()
    )


@pytest.mark.parametrize(
    ("seed", "stream", "keys"),
    [(4, Stream.FIELD, (5, 7)), (3, Stream.NOISE, (5, 7)), (3, Stream.FIELD, (7, 5)), (3, Stream.FIELD, (5,))],
)
def test_another_seed_purpose_or_key_is_another_stream(seed, stream, keys):
    assert open_stream(seed, stream, *keys).random() != open_stream(3, Stream.FIELD, 5, 7).random()


def test_the_seed_is_the_survey_s_and_the_key_begins_with_the_purpose():
    sequence = np.random.SeedSequence(3, spawn_key=(8, 5, 7))
    assert open_stream(3, Stream.NOISE, 5, 7).random() == np.random.default_rng(sequence).random()


def test_the_numbers_of_the_purposes_are_part_of_every_seed():
    names = ["DETECTOR", "POINTING", "FIELD", "EVENTS", "NIGHT", "VISIT", "REFERENCE", "NOISE", "CATALOGUE", "LISTING"]
    names += ["FAULT", "VARIETY", "REFERENCE_VARIETY"]
    assert {stream.name: int(stream) for stream in Stream} == {name: i for i, name in enumerate(names, start=1)}
