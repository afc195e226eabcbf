"""Scoring in blocks that are read ahead, scored by several threads, and written to part files in the input's order.

An interrupted scoring resumes after its last part file. A few blocks are in memory at a time, whatever their number.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.store.files import whole_file

BLOCKS_A_PART = 32
READ_AHEAD = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class PartFiles:
    """Where the part files of a scoring are written, and how.

    Attributes
    ----------
    folder : Path
        It must belong to these blocks and this scoring alone.
    blocks_a_part : int
        The same whenever the scoring is resumed.
    join : callable
        Returns one table of the tables of a part's blocks.
    """

    folder: Path
    blocks_a_part: int = BLOCKS_A_PART
    join: Callable[[list[pa.Table]], pa.Table] = pa.concat_tables


def score_blocks(
    blocks: Callable[[int], Iterator[Item]],
    work: Callable[[tuple[int, Item]], pa.Table],
    files: PartFiles,
    advance: Callable[[int], None],
    threads: int,
) -> list[Path]:
    """Score all blocks and return the part files in order; part files that exist are kept.

    Parameters
    ----------
    blocks : callable
        Returns the blocks from a number on, the same ones every time.
    work : callable
        Returns the rows of a block, given with its number.
    files : PartFiles
    advance : callable
        Called with the number of rows of each finished part.
    threads : int
        Blocks scored at once.
    """
    files.folder.mkdir(parents=True, exist_ok=True)
    parts = finished_parts(files.folder)
    advance(sum(pq.read_metadata(path).num_rows for path in parts))
    first = len(parts) * files.blocks_a_part
    tables = map_in_order(work, read_ahead(enumerate(blocks(first), first), READ_AHEAD), threads)
    while part := list(islice(tables, files.blocks_a_part)):
        path = files.folder / f"part-{len(parts):06d}.parquet"
        rows = files.join(part)
        with whole_file(path) as unfinished:
            pq.write_table(rows, unfinished, compression="zstd")
        parts.append(path)
        advance(rows.num_rows)
    return parts


def finished_parts(folder: Path) -> list[Path]:
    """Return the part files from the first on, up to the first that is missing."""
    paths = sorted(folder.glob("part-*.parquet"))
    return [path for number, path in enumerate(paths) if path.name == f"part-{number:06d}.parquet"]


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def read_ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yield items, `depth` of which a separate thread reads in advance."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reader:
        waiting = deque(reader.submit(next, items, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(reader.submit(next, items, end))
            yield item  # type: ignore[misc]


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Map `work` over `items` in order with `threads` threads, at most 2 * `threads` items in flight."""
    with ThreadPoolExecutor(threads, thread_name_prefix="scoring") as workers:
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(workers.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
