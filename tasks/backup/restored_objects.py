"""What of a backup becomes objects of a store: datasets and raw bytes, each dataset published when all is there."""

import contextlib
import hashlib
from pathlib import Path, PurePosixPath

from tasks.backup.contents import DATASETS, RAW, BackupError
from tasks.store.errors import ObjectStoreError
from tasks.store.objects import ObjectFolder
from tasks.store.raw import RawObjects
from tasks.store.schema import CURRENT, PIXELS, STAGING, VERSIONS, parse_current
from tasks.store.staging import BATCH_FILES

_BEGUN = "restoring.json"
"""Object of a workspace that is being restored: all that is beside it is of this restore."""
_INDEX = f"{RAW}/requests.sqlite"


def is_on_store(name: str) -> bool:
    """Return whether a file of a workspace, by its relative name, is an object where the workspace has a store."""
    return PurePosixPath(name).parts[0] in (DATASETS, RAW)


class Upload:
    """Objects that are written for a restore.

    Parameters
    ----------
    objects : ObjectFolder
        The workspace.
    """

    def __init__(self, objects: ObjectFolder) -> None:
        self._objects = objects
        self._current: dict[str, bytes] = {}

    @classmethod
    def begin(cls, objects: ObjectFolder) -> "Upload":
        """Begin a restore, having removed what an interrupted one left.

        Raises
        ------
        BackupError
            There are objects below the address.
        """
        if objects.has(_BEGUN):
            objects.clear()
        if objects.names():
            raise BackupError(f"{objects} is not empty: name another address with --workspace s3://BUCKET/PREFIX")
        objects.put(_BEGUN, b"{}")
        return cls(objects)

    def take(self, source: Path, name: str) -> bytes:
        """Write a file as the object of its name, read it back, and return the sha256 of its bytes.

        ``CURRENT`` is written by `finish`. Left out is what only a folder has, and versions that are not published.
        """
        content = source.read_bytes()
        parts = PurePosixPath(name).parts
        if parts[0] == DATASETS and parts[2:] == (CURRENT,):
            self._current[name] = content
        elif name != _INDEX and not name.startswith(f"{RAW}/budget/") and self._belongs(source, parts):
            self._objects.put_verified(name, content)
        return hashlib.sha256(content).digest()

    def finish(self, copy: Path) -> None:
        """Record the requests of a folder's index, let ``CURRENT`` name the versions, and end the restore.

        Parameters
        ----------
        copy : Path
            The workspace in the backup.
        """
        if (copy / _INDEX).is_file():
            RawObjects(self._objects / RAW).take_index(copy / _INDEX)
        for name, content in self._current.items():
            self._objects.put_verified(name, content)
        self._objects.delete(_BEGUN)

    def undo(self) -> None:
        """Remove what was written; where that fails, the next restore does so."""
        with contextlib.suppress(ObjectStoreError):
            self._objects.clear()

    @staticmethod
    def _belongs(source: Path, parts: tuple[str, ...]) -> bool:
        """Return whether a file is of a dataset's pixels, a published version or a staged batch, or is raw bytes."""
        if parts[0] == RAW or len(parts) < 4:
            return parts[0] == RAW
        if parts[2] == PIXELS:
            return True
        if parts[2] == STAGING:
            return parts[-1] in BATCH_FILES
        current = source.parents[len(parts) - 3] / CURRENT
        if parts[2] != VERSIONS or not current.is_file():
            return False
        return int(parts[3]) <= parse_current(current.read_bytes(), str(current))
