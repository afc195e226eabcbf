"""Processes known by their number and a time."""

import os

import psutil

from tasks.runtime.processes import is_living


def test_a_process_lives_if_its_number_is_taken_by_one_that_is_no_younger() -> None:
    began = psutil.Process().create_time()
    free = next(number for number in range(4_000_000, 1_000_000, -1) if not psutil.pid_exists(number))
    assert is_living(os.getpid(), began)
    assert is_living(os.getpid(), began + 86400)  # the clock was put back since
    assert not is_living(os.getpid(), began - 100)
    assert not is_living(free, began)
