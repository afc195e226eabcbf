"""What is said of repeated candidates: all of them are counted, the first ones are named."""

import logging

import pytest

from tasks.records.repetitions import MAX_LOGGED, different_error, log_repeated


def test_the_first_ids_are_named_and_the_rest_counted(caplog: pytest.LogCaptureFixture) -> None:
    ids = [f"c{number}" for number in range(MAX_LOGGED + 5)]
    with caplog.at_level(logging.WARNING):
        log_repeated(ids, "count once")
        log_repeated([], "count once")
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{MAX_LOGGED + 5} candidates come again with the same pixels and count once")
    assert record.getMessage().endswith(f"c{MAX_LOGGED - 1} and 5 more")


def test_the_error_names_id_places_and_what_differs() -> None:
    message = str(different_error("c7", "labels", ["a.npy row 1", "b.npy row 2"]))
    assert message.startswith("id c7 comes twice with different labels, in a.npy row 1 and b.npy row 2: ")
