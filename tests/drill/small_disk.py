"""A small disk in memory that can be filled, for a workspace; it takes the right to mount."""

import contextlib
import errno
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SIZE_MB = 256
_FILLER = ".filler"
_PIECE_BYTES = 65_536


@cache
def no_mount() -> str | None:
    """Return why no disk can be mounted here; None if one can."""
    if shutil.which("mount") is None:
        return "there is no command mount"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(_mount_words(Path(folder)), capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"mounting a tmpfs is not permitted here ({tried.stderr.strip()})"
        subprocess.run(["umount", folder], check=True)
    return None


@contextlib.contextmanager
def small_disk(folder: Path, size_mb: int = SIZE_MB) -> Iterator[Path]:
    """Mount a tmpfs at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(_mount_words(folder, size_mb), check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    """Take all the space that is left; who frees some meanwhile has it."""
    with (folder / _FILLER).open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(_PIECE_BYTES))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def free(folder: Path) -> None:
    """Give the space back."""
    (folder / _FILLER).unlink(missing_ok=True)


def _mount_words(folder: Path, size_mb: int = SIZE_MB) -> list[str]:
    return ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
