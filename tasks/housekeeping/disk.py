"""Sizes and times of files and objects, and the trash: removal of files in two steps, of which the first is a rename.

What is in the trash is removed whatever happens next, so a removal that was killed is finished by the next one.
"""

import errno
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from tasks.housekeeping.request import GB
from tasks.store.files import sync
from tasks.store.object_store.objects import FileState, ObjectFolder
from tasks.store.places import list_files

TRASH = ".trash"
"""Folder of removed things in each folder at the top of a workspace, on the disk of that folder."""
_NARROW = "\N{NARROW NO-BREAK SPACE}"


def measure(places: Iterable[Path | ObjectFolder]) -> tuple[int, float]:
    """Return the bytes of files and folders, links not followed, and the time of the newest of them; (0, 0) if none.

    A folder may be one of objects.
    """
    total, newest = 0, 0.0
    for state in (state for place in places for state in _states(place)):
        total += state.size_bytes
        newest = max(newest, state.changed_at)
    return total, newest


def _states(place: Path | ObjectFolder) -> Iterable[FileState]:
    """Return the state of a file, or of all files in a folder; of those that are there."""
    if isinstance(place, ObjectFolder) or (place.is_dir() and not place.is_symlink()):
        return list_files(place).values()
    try:
        state = place.lstat()
    except FileNotFoundError:  # removed meanwhile by what works in the workspace
        return []
    return [FileState(state.st_size, state.st_mtime)]


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
