"""Sizes and times of files, and the trash: removal in two steps, of which the first is a rename.

What is in the trash is removed whatever happens next, so a removal that was killed is finished by the next one.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.housekeeping.request import GB
from tasks.store.files import sync

TRASH = ".trash"
"""Folder of removed things in each folder at the top of a workspace, on the disk of that folder."""
_NARROW = "\N{NARROW NO-BREAK SPACE}"


def measure(paths: Iterable[Path]) -> tuple[int, float]:
    """Return the bytes of files and folders, links not followed, and the time of the newest of them; (0, 0) if none."""
    total, newest = 0, 0.0
    for path in paths:
        for state in _states(path):
            total += state.st_size
            newest = max(newest, state.st_mtime)
    return total, newest


def _states(path: Path) -> Iterator[os.stat_result]:
    """Yield the state of a file, or of all files in a folder; of those that are there."""
    folders = [path]
    while folders:
        place = folders.pop()
        try:
            if place.is_dir() and not place.is_symlink():
                with os.scandir(place) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(Path(entry.path))
                        else:
                            yield entry.stat(follow_symlinks=False)
            else:
                yield place.lstat()
        except FileNotFoundError:  # removed meanwhile by what works in the workspace
            continue


def size_text(size: int) -> str:
    """Return a size with its unit, three significant digits."""
    for unit, factor in (("TB", 1000 * GB), ("GB", GB), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= factor:
            return f"{size / factor:.3g}{_NARROW}{unit}"
    return f"{size}{_NARROW}B"


def throw_away(root: Path, path: Path) -> bool:
    """Move a file or folder below `root` to the trash; return False where that would be a copy to another disk."""
    trash = root / path.relative_to(root).parts[0] / TRASH
    trash.mkdir(exist_ok=True)
    try:
        path.rename(trash / uuid.uuid4().hex)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    sync(path.parent)
    return True


def trash_folders(root: Path) -> list[Path]:
    """Return the folders of removed things."""
    return sorted(root.glob(f"*/{TRASH}"))


def empty_trash(root: Path) -> int:
    """Remove for good what is in the trash; return its bytes."""
    total, _ = measure(trash_folders(root))
    for folder in trash_folders(root):
        shutil.rmtree(folder)
    return total
