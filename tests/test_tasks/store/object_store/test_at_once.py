"""Items that are worked on at once: results in their order, and nothing begun after an error."""

import threading

import pytest

from tasks.store.object_store.at_once import at_once


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_results_are_in_the_order_of_the_items(count: int) -> None:
    assert list(at_once(lambda number: 2 * number, range(count))) == [2 * number for number in range(count)]


def test_many_are_under_way_together() -> None:
    together = threading.Barrier(8, timeout=30)
    assert len(list(at_once(lambda _: together.wait(), range(8)))) == 8


def test_after_an_error_no_further_item_is_begun() -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise FileNotFoundError(str(number))
        threading.Event().wait(0.01)

    with pytest.raises(FileNotFoundError, match="3"):
        list(at_once(work, range(100_000)))
    assert len(begun) < 1100
