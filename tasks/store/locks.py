"""One builder a dataset, by an operating-system lock that ends with the process that holds it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.store.errors import DatasetBusyError


@contextmanager
def one_builder(folder: Path) -> Iterator[None]:
    """Hold the builder's lock of the dataset at `folder`, or refuse naming the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / ".builder"
    lock = FileLock(folder / ".builder.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="ascii").strip() if holder.exists() else "unknown"
        raise DatasetBusyError(
            f"dataset {folder.name!r} is being built by process {who}; wait for it or build into another dataset"
        ) from None
    try:
        holder.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
