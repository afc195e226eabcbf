"""One process at a time in a folder of resumable state, by a lock of the operating system."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class FolderBusyError(RuntimeError):
    """Another process works in the folder."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which is made if it is absent; the lock ends with the process.

    Raises
    ------
    FolderBusyError
        Another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderBusyError(
            f"another process works in {folder}, on the same request: wait for it, or choose another seed"
        ) from None
    try:
        yield
    finally:
        lock.release()
