"""What a stage says of its outcome."""

import logging

import pytest

from tasks.stages.show import warn_of_empty_classes


def test_a_class_without_objects_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_empty_classes({"E": 3, "S": 0, "SB": 1}, "own", "sky")
    assert [record.getMessage() for record in caplog.records] == [
        "class 'S' of scheme own has no object in dataset 'sky'"
    ]
