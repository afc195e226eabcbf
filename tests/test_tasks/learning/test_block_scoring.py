"""Blocks are read ahead, scored at once and kept in order; a killed scoring goes on after its last part file."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.learning.block_scoring import finished_parts, map_in_order, read_ahead


def test_part_files_count_up_to_the_first_that_is_missing(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        (tmp_path / f"part-{number:06d}.parquet").touch()
    assert finished_parts(tmp_path) == [tmp_path / f"part-{number:06d}.parquet" for number in (0, 1)]
    (tmp_path / "part-000000.parquet").unlink()
    assert finished_parts(tmp_path) == []


def test_work_is_mapped_in_order_with_a_bounded_number_in_flight() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number**2

    results = map_in_order(work, items(), 2)
    assert next(results) == 0
    assert len(taken) == 5, "two threads, at most four more in flight"
    assert list(results) == [number**2 for number in range(1, 20)]
    assert list(map_in_order(work, iter(()), 3)) == []


def test_an_error_of_the_work_reaches_the_caller_in_its_place() -> None:
    results = map_in_order(lambda number: 1 // number, [1, 0, 1], 1)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_thread_of_its_own_reads_a_bounded_number_ahead() -> None:
    taken: list[str] = []

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(threading.current_thread().name)
            yield number

    results = read_ahead(items(), 3)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(taken) == 4, "the item given and three ahead"
    assert list(results) == list(range(1, 10))
    assert set(taken) == {taken[0]}
    assert taken[0] != threading.current_thread().name
