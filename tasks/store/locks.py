"""One builder a dataset, by an operating-system lock that ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from tasks.runtime.processes import is_living
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
        with _builders(folder.parent, fcntl.LOCK_SH):
            yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def builder_of(folder: Path) -> int | None:
    """Return the process that builds the dataset at `folder`, or None; the lock is not touched.

    Whoever tries a lock, if only for a moment, may turn a builder away. A builder that was killed leaves its number,
    which by now may be that of a younger process.
    """
    holder = folder / ".builder"
    try:
        number, since = int(holder.read_text(encoding="ascii")), holder.stat().st_mtime
        return number if is_living(number, since) else None
    except (FileNotFoundError, ValueError, psutil.Error):
        return None


@contextmanager
def no_builder(datasets: Path) -> Iterator[None]:
    """Let no dataset below `datasets` be built in the block; a builder that comes waits for its end.

    Raises
    ------
    DatasetBusyError
        One is being built.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(_builders(datasets, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise DatasetBusyError("a dataset is being built: raw bytes that it may use stay") from None
        yield


@contextmanager
def _builders(datasets: Path, kind: int) -> Iterator[None]:
    """Hold the lock that all builders share, and that has one holder where none may build."""
    datasets.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(datasets.parent / "builders.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
