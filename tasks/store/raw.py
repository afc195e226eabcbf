"""Bytes as they were received: one file or object for each distinct content, and an index of requests.

It is named by the sha256 of its bytes, so writing is idempotent and reading can be checked. The index of requests is
one SQLite database, or an object a request; a request whose answer is in it is never sent again.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.store.files import disk_full_named, sha256_of_file
from tasks.store.object_store.at_once import at_once
from tasks.store.object_store.objects import ObjectFile, ObjectFolder
from tasks.store.shards.byte_sources import Place


@dataclass(frozen=True)
class StoredAnswer:
    """The outcome of a request: the bytes received, and the reason if it was refused for good."""

    sha256: str | None
    content: bytes | None
    reason: str | None


def raw_path(folder: Path, sha256: str) -> Path:
    """Return the path below `folder` of the bytes with that digest, existing or not."""
    return folder / _raw_key(sha256)


def _raw_key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def look_at_raw(place: Path | ObjectFolder, sha256: str) -> tuple[Place, bool | None]:
    """Return where the bytes with that digest are, and whether they have it; None where they are absent."""
    if isinstance(place, Path):
        path = raw_path(place, sha256)
        return path, sha256_of_file(path) == sha256 if path.is_file() else None
    content = place.get(_raw_key(sha256))
    return ObjectFile(place, _raw_key(sha256)), None if content is None else _sha256(content) == sha256


def open_raw(place: Path | ObjectFolder) -> "RawBytes":
    """Open the raw store in a folder or on an object store."""
    return RawStore(place) if isinstance(place, Path) else RawObjects(place)


class RawBytes(ABC):
    """Content-addressed bytes, and which of them, or which refusal, answered a request."""

    @abstractmethod
    def put(self, content: bytes) -> str:
        """Store `content` and return its sha256."""

    @abstractmethod
    def read(self, sha256: str) -> bytes | None:
        """Return what is kept under that digest, damaged or not, or None."""

    @abstractmethod
    def _outcome(self, request_key: str) -> tuple[str | None, str | None] | None:
        """Return the recorded digest and reason of a request, or None."""

    @abstractmethod
    def _record(self, request_key: str, sha256: str | None, reason: str | None) -> None:
        """Record the outcome of a request."""

    def get(self, sha256: str) -> bytes | None:
        """Return the bytes with that digest, or None if they are absent or damaged."""
        content = self.read(sha256)
        return content if content is not None and _sha256(content) == sha256 else None

    def answer(self, request_key: str) -> StoredAnswer | None:
        """Return the recorded outcome of a request, or None."""
        outcome = self._outcome(request_key)
        if outcome is None:
            return None
        sha256, reason = outcome
        content = None if sha256 is None else self.get(sha256)
        if content is None:
            return StoredAnswer(None, None, reason) if reason else None
        return StoredAnswer(sha256, content, reason)

    def put_answer(self, request_key: str, content: bytes) -> str:
        """Store and record the bytes received for a request; return their sha256."""
        sha256 = self.put(content)
        self._record(request_key, sha256, None)
        return sha256

    def put_refusal(self, request_key: str, reason: str, sha256: str | None = None) -> None:
        """Record that a request was refused for good, and the digest of what was received, if anything."""
        self._record(request_key, sha256, reason)


class RawStore(RawBytes):
    """Raw bytes below one folder.

    Parameters
    ----------
    folder : Path
        Holds ``ab/SHA256`` files, ``ab`` being the first two digits, and ``requests.sqlite``. That is made of the index
        of `RawObjects`, where there is one: it came from an object store by a backup, or by ``aws s3 sync``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._database = folder / "requests.sqlite"
        if not self._database.exists():
            _create(self._database)
        self._local = threading.local()

    def path(self, sha256: str) -> Path:
        """Return the path of the bytes with that digest, existing or not."""
        return raw_path(self.folder, sha256)

    def put(self, content: bytes) -> str:
        """Store `content` and return its sha256."""
        sha256 = _sha256(content)
        target = self.path(sha256)
        if self.get(sha256) is not None:
            return sha256
        target.parent.mkdir(exist_ok=True)
        # Not synced one by one: a file torn by a power cut fails its digest and is requested again.
        beside = target.with_name(f".{sha256}.{os.getpid()}.{threading.get_ident()}.part")
        with disk_full_named(target):
            beside.write_bytes(content)
            beside.replace(target)
        return sha256

    def read(self, sha256: str) -> bytes | None:
        """Return what is kept under that digest, damaged or not, or None."""
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError:
            return None

    def _outcome(self, request_key: str) -> tuple[str | None, str | None] | None:
        query = "SELECT sha256, reason FROM answers WHERE request = ?"
        row: tuple[str | None, str | None] | None = self._index().execute(query, (request_key,)).fetchone()
        return row

    def _record(self, request_key: str, sha256: str | None, reason: str | None) -> None:
        with disk_full_named(self.folder):
            self._index().execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (request_key, sha256, reason))

    def _index(self) -> sqlite3.Connection:
        """Return this thread's connection to the index of requests."""
        if not hasattr(self._local, "index"):
            index = sqlite3.connect(self._database, isolation_level=None, timeout=60)
            index.execute("PRAGMA synchronous = OFF")
            self._local.index = index
        connection: sqlite3.Connection = self._local.index
        return connection

    def close(self) -> None:
        """Close this thread's connection to the index."""
        if hasattr(self._local, "index"):
            self._local.index.close()
            del self._local.index


class RawObjects(RawBytes):
    """Raw bytes on an object store; workers on several machines share it.

    Parameters
    ----------
    objects : ObjectFolder
        Holds ``ab/SHA256``, and ``requests/ab/SHA256.json`` named by the sha256 of the request.
    """

    def __init__(self, objects: ObjectFolder) -> None:
        self.objects = objects

    def put(self, content: bytes) -> str:
        """Store `content` and return its sha256."""
        sha256 = _sha256(content)
        if not self.objects.create(_raw_key(sha256), content):
            self.objects.put(_raw_key(sha256), content)  # the object that is there is damaged
        return sha256

    def read(self, sha256: str) -> bytes | None:
        """Return what is kept under that digest, damaged or not, or None."""
        return self.objects.get(_raw_key(sha256))

    def _outcome(self, request_key: str) -> tuple[str | None, str | None] | None:
        record = self.objects.get(_request_key(request_key))
        if record is None:
            return None
        outcome = json.loads(record)
        return outcome["sha256"], outcome["reason"]

    def _record(self, request_key: str, sha256: str | None, reason: str | None) -> None:
        record = {"request": request_key, "sha256": sha256, "reason": reason}
        self.objects.put(_request_key(request_key), json.dumps(record).encode())

    def take_index(self, database: Path, note: Callable[[str], None]) -> None:
        """Record every request of the index of a `RawStore`; one that is recorded here stays as it is.

        `note` is called with each key before it is written.
        """

        def take(answer: tuple[str, str | None, str | None]) -> None:
            if not self.objects.has(_request_key(answer[0])):
                note(_request_key(answer[0]))
                self._record(*answer)

        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as index:
            answers = index.execute("SELECT request, sha256, reason FROM answers").fetchall()
        for _ in at_once(take, answers):
            pass


def _request_key(request_key: str) -> str:
    return f"requests/{_raw_key(_sha256(request_key.encode()))}.json"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _records(folder: Path) -> Iterator[dict[str, str | None]]:
    """Yield the records of the index of an object store that lies in a folder; none where there is none."""
    for path in sorted(folder.glob("requests/[0-9a-f][0-9a-f]/*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def _create(database: Path) -> None:
    """Make an empty index of requests; it appears whole.

    Switching a database to write-ahead logging does not wait for others that have it open: it fails as locked. So it
    is done to a file of this thread's own, which is then linked to the name unless another thread was first.
    """
    beside = database.with_name(f".{database.name}.{os.getpid()}.{threading.get_ident()}.part")
    with disk_full_named(database):
        index = sqlite3.connect(beside, isolation_level=None)
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("CREATE TABLE answers (request TEXT PRIMARY KEY, sha256 TEXT, reason TEXT) WITHOUT ROWID")
        index.executemany("INSERT INTO answers VALUES (:request, :sha256, :reason)", _records(database.parent))
        index.close()
        with contextlib.suppress(FileExistsError):
            os.link(beside, database)
        beside.unlink()
