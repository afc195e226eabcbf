"""What of a backup becomes objects of a store: datasets and raw bytes, each dataset published when all is there."""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from tasks.backup.contents import DATASETS, RAW, BackupError
from tasks.store.errors import ObjectStoreError
from tasks.store.object_store.at_work import KEEPER, keepers_turn
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.restoring import RESTORING
from tasks.store.raw import RawObjects
from tasks.store.schema import CURRENT, PIXELS, STAGING, VERSIONS, parse_current
from tasks.store.staging import BATCH_FILES

_INDEX = f"{RAW}/requests.sqlite"


def is_on_store(name: str) -> bool:
    """Return whether a file of a workspace, by its relative name, is an object where the workspace has a store."""
    return PurePosixPath(name).parts[0] in (DATASETS, RAW)


def require_plain(links: Iterable[str]) -> None:
    """Refuse links among datasets and raw bytes other than a version's to its pixels: a store has no links.

    Raises
    ------
    BackupError
    """
    for name in links:
        parts = PurePosixPath(name).parts
        if is_on_store(name) and not (len(parts) == 5 and (parts[2], parts[4]) == (VERSIONS, PIXELS)):
            raise BackupError(
                f"{name} of the backup is a link, which an object store cannot hold: restore to a folder, replace the "
                "link there by what it names, and back that up"
            )


class Upload:
    """Objects that are written for a restore.

    Parameters
    ----------
    objects : ObjectFolder
        The workspace.
    mark : bytes
        Content of `RESTORING`, of this restore alone.
    require_turn : callable
        Raises where another process may have taken the address over.
    """

    def __init__(self, objects: ObjectFolder, mark: bytes, require_turn: Callable[[], None]) -> None:
        self._objects, self._mark, self._require_turn = objects, mark, require_turn
        self._current: dict[str, bytes] = {}
        self._written: set[str] = set()

    @classmethod
    @contextlib.contextmanager
    def begin(cls, objects: ObjectFolder) -> "Iterator[Upload]":
        """Hold the turn of the workspace's keeper, and begin a restore, having removed what an interrupted one left.

        Raises
        ------
        BackupError
            There are objects below the address.
        KeeperBusyError
            Another restore, a housekeeping or a backup is at work there.
        """
        with keepers_turn(objects, removes=True) as turn:
            there = [name for name in objects.names() if name not in (KEEPER, RESTORING)]
            if objects.has(RESTORING):
                objects.delete_all(there)
                objects.delete(RESTORING)
            elif there:
                raise BackupError(f"{objects} is not empty: name another address with --workspace s3://BUCKET/PREFIX")
            mark = json.dumps({"restore": uuid.uuid4().hex}).encode()
            if not objects.create(RESTORING, mark):
                raise BackupError(f"another process restores to {objects}: wait for it, or name another address")
            yield cls(objects, mark, turn.require)

    def take(self, source: Path, name: str) -> bytes:
        """Write a file as the object of its name, read it back, and return the sha256 of its bytes.

        ``CURRENT`` is written by `finish`. Left out is what only a folder has, and versions that are not published.
        """
        content = source.read_bytes()
        parts = PurePosixPath(name).parts
        if parts[0] == DATASETS and parts[2:] == (CURRENT,):
            self._current[name] = content
        elif name != _INDEX and not name.startswith(f"{RAW}/budget/") and self._belongs(source, parts):
            self._put(name, content)
        return hashlib.sha256(content).digest()

    def take_index(self, copy: Path) -> None:
        """Record the requests of a folder's index.

        Parameters
        ----------
        copy : Path
            The workspace in the backup.
        """
        if (copy / _INDEX).is_file():
            RawObjects(self._objects / RAW).take_index(copy / _INDEX, lambda key: self._written.add(f"{RAW}/{key}"))

    def finish(self) -> None:
        """Let ``CURRENT`` name the versions, and end the restore."""
        self._require_turn()
        for name, content in self._current.items():
            self._put(name, content)
        self._objects.delete(RESTORING)

    def undo(self) -> bool:
        """Remove what was written; return whether that was done.

        Nothing is removed where the restore has ended, or another has taken the address over. Where the store does not
        answer, the next restore removes it.
        """
        with contextlib.suppress(ObjectStoreError):
            if self._objects.get(RESTORING) == self._mark:
                self._objects.delete_all(sorted(self._written))
                self._objects.delete(RESTORING)
                return True
        return False

    def _put(self, name: str, content: bytes) -> None:
        self._written.add(name)
        self._objects.put_verified(name, content)

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
        return parts[3].isdecimal() and int(parts[3]) <= parse_current(current.read_bytes(), str(current))
