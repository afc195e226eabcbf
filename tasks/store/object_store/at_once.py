"""Many files or objects at once: of a store, each costs the time of a request and its answer."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_THREADS = 16
_WAITING = 1024
"""Items that wait for a thread at most."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` of every item, in order. After an error no further item is begun."""
    if len(items) < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(min(_THREADS, len(items)), thread_name_prefix="at-once") as pool:
        for first in range(0, len(items), _WAITING):
            yield from pool.map(function, items[first : first + _WAITING])
