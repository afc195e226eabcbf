"""What was read of files, kept as long as they are unchanged."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ThingT = TypeVar("ThingT")
Found = tuple[list[T], list[str]]
"""Rows, and what could not be read."""


@dataclass
class FileMemory:
    """The results of reading files, by reader and path."""

    _kept: dict[tuple[Any, Path], tuple[tuple[int, int, int], Any]] = field(default_factory=dict, repr=False)

    def read(self, path: Path, reader: Callable[[Path], T]) -> T:
        """Return what `reader` gives of a file; it is not called again while inode, time and size are the same."""
        state = path.stat()
        mark = state.st_ino, state.st_mtime_ns, state.st_size
        known = self._kept.get((reader, path))
        if known is None or known[0] != mark:
            known = self._kept[reader, path] = mark, reader(path)
        result: T = known[1]
        return result


def read_each(
    things: Iterable[ThingT], reader: Callable[[ThingT], T | None], name: Callable[[ThingT], str]
) -> Found[T]:
    """Return what `reader` gives of each thing but None, and a sentence for each that it fails on."""
    rows, faults = [], []
    for thing in things:
        try:
            row = reader(thing)
        # Whatever is wrong with one thing, which may be damaged in any way, the others are shown.
        except Exception as error:
            faults.append(fault_text(name(thing), error))
        else:
            rows += [] if row is None else [row]
    return rows, faults


def fault_text(name: str, error: Exception) -> str:
    """Return in one line what could not be read, and why."""
    return f"{name}: {' '.join(str(error).split()) or type(error).__name__}"
