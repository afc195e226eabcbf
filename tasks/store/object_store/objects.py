"""Objects of an S3-compatible store below a prefix: whole writes, two of them on a condition, and reads of ranges.

Endpoint, region and credentials are those of the process: the usual variables ``AWS_ENDPOINT_URL``, ``AWS_REGION``,
``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, and ``AWS_ALLOW_HTTP=true`` for an endpoint without TLS.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tasks.store.errors import ObjectStoreError, StoreError
from tasks.store.object_store.at_once import at_once

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Store

PATIENCE_S = 60.0
"""Long enough for a store that is started again."""
_LEAST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=0.2), timedelta(seconds=5)


@dataclass(frozen=True)
class FileState:
    """Size of a file or an object in bytes, and when it was last written, in seconds since 1970."""

    size_bytes: int
    changed_at: float


@dataclass(frozen=True)
class ObjectFolder:
    """The objects whose keys begin with one prefix. It holds the address only, so it can be pickled.

    A write is complete or absent. A connection is made in each process when it is first needed.

    Attributes
    ----------
    address : str
        ``s3://BUCKET/PREFIX``
    patience_s : float
        How long a request is repeated while the store does not answer.
    """

    address: str
    patience_s: float = PATIENCE_S

    def __truediv__(self, name: str) -> "ObjectFolder":
        return ObjectFolder(f"{self.address}/{name}", self.patience_s)

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.address.rpartition("/")[2]

    @property
    def parent(self) -> "ObjectFolder":
        """The folder above: two above a dataset is its workspace."""
        return ObjectFolder(self.address.rpartition("/")[0], self.patience_s)

    def file(self, key: str) -> "ObjectFile":
        """Return the object of that key."""
        return ObjectFile(self, key)

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if there is none."""
        found = self.get_with_tag(key)
        return None if found is None else found[0]

    def get_with_tag(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's bytes and its entity tag, or None if there is none."""
        with self._errors_named(key):
            try:
                result = self.store().get(key)
            except FileNotFoundError:
                return None
            return bytes(result.bytes()), str(result.meta["e_tag"])

    def put(self, key: str, content: bytes) -> None:
        """Write an object in place of any of that key."""
        with self._errors_named(key):
            self.store().put(key, content, use_multipart=False)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless there is one of that key with other bytes; return whether it has these.

        A request that the client sends again, because the answer to the first was lost, meets its own object. So one
        of the same bytes counts as written.
        """
        return self.create_first(key, content) or self.get(key) == content

    def create_first(self, key: str, content: bytes) -> bool:
        """Write an object unless there is one of that key (``If-None-Match: *``); return whether this was the first.

        Where the answer was lost and the request sent again, the first is not known to be.
        """
        from obstore.exceptions import AlreadyExistsError

        with self._errors_named(key):
            try:
                self.store().put(key, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def replace(self, key: str, content: bytes, tag: str) -> bool:
        """Write an object if the present one has that entity tag (``If-Match``); return whether it was written.

        Where the answer was lost and the request sent again, a written one is not known to be.
        """
        from obstore.exceptions import PreconditionError

        with self._errors_named(key):
            try:
                self.store().put(key, content, mode={"e_tag": tag}, use_multipart=False)
            except (PreconditionError, FileNotFoundError):
                return False
        return True

    def exchange(self, key: str, change: Callable[[str], str]) -> None:
        """Replace an object's text by ``change(text)``, empty where there is none, whoever else does so meanwhile."""
        while True:
            found = self.get_with_tag(key)
            content = change("" if found is None else found[0].decode()).encode()
            if self.create_first(key, content) if found is None else self.replace(key, content, found[1]):
                return

    def put_verified(self, key: str, content: bytes) -> None:
        """Write an object and read it back.

        Raises
        ------
        ObjectStoreError
            The store has other bytes than were written.
        """
        self.put(key, content)
        self.require(key, content)

    def require(self, key: str, content: bytes) -> None:
        """Refuse to go on where an object is absent or has other bytes."""
        found = self.get(key)
        if found != content:
            has = "nothing" if found is None else f"{len(found)} bytes of sha256 {hashlib.sha256(found).hexdigest()}"
            raise ObjectStoreError(
                f"{self.address}/{key} was written with {len(content)} bytes of sha256 "
                f"{hashlib.sha256(content).hexdigest()}, the store returns {has}; nothing was published, run the same "
                "command again"
            )

    def has(self, key: str) -> bool:
        """Tell whether there is an object of that key."""
        return self.state(key) is not None

    def state(self, key: str) -> FileState | None:
        """Return size and time of the object of that key, or None."""
        with self._errors_named(key):
            try:
                return _state_of(self.store().head(key))
            except FileNotFoundError:
                return None

    def names(self, prefix: str = "") -> list[str]:
        """Return the keys of the objects below `prefix`, in order."""
        return sorted(self.states(prefix))

    def states(self, prefix: str = "") -> dict[str, FileState]:
        """Return sizes and times of the objects below `prefix`, by key."""
        with self._errors_named(prefix):
            batches: Iterator[Any] = self.store().list(prefix or None, chunk_size=1000)
            return {str(entry["path"]): _state_of(entry) for batch in batches for entry in batch}

    def folders(self) -> list[str]:
        """Return the names of the folders directly below, in order."""
        with self._errors_named(""):
            return sorted(str(path) for path in self.store().list_with_delimiter()["common_prefixes"])

    def delete(self, key: str) -> None:
        """Remove an object, which may be absent."""
        with self._errors_named(key):
            try:
                self.store().delete(key)
            except FileNotFoundError:
                return

    def clear(self, prefix: str = "") -> None:
        """Remove every object below `prefix`."""
        self.delete_all(self.names(prefix))

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove objects, in no order."""
        for _ in at_once(self.delete, keys):
            pass

    def store(self) -> "S3Store":
        """Return the connection of this process to the objects below this prefix."""
        return _connection(self.address, os.environ.get("AWS_ENDPOINT_URL"), self.patience_s)

    @contextmanager
    def _errors_named(self, key: str) -> Iterator[None]:
        """Turn the client's errors into one that names the object and the endpoint."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:  # of a write: there is no bucket
            raise _unreachable(f"{self.address}/{key}", error) from error
        except BaseError as error:
            raise _unreachable(f"{self.address}/{key}", error) from error


@dataclass(frozen=True)
class ObjectFile:
    """One object, by its folder and key.

    Attributes
    ----------
    folder : ObjectFolder
    key : str
    """

    folder: ObjectFolder
    key: str

    def __str__(self) -> str:
        return f"{self.folder}/{self.key}"

    def exists(self) -> bool:
        """Tell whether there is such an object."""
        return self.folder.has(self.key)

    def tail(self, length: int) -> tuple[bytes, int]:
        """Return the last bytes, fewer if there are no more, and the object's size.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        with _absent_or_unreachable(self):
            result = self.folder.store().get(self.key, options={"range": {"suffix": length}})
            return bytes(result.bytes()), int(result.meta["size"])

    def part(self, offset: int, length: int) -> bytes:
        """Return a range of bytes, which must lie inside."""
        with _absent_or_unreachable(self):
            return bytes(self.folder.store().get_range(self.key, start=offset, length=length))


def _state_of(entry: Any) -> FileState:
    return FileState(int(entry["size"]), entry["last_modified"].timestamp())


@contextmanager
def _absent_or_unreachable(file: ObjectFile) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError("there is no such object") from None
    except BaseError as error:
        raise _unreachable(str(file), error) from error


def _unreachable(address: str, error: Exception) -> ObjectStoreError:
    """Return the error of a request that the store did not answer as it should."""
    reason = " ".join(str(error).partition("\n")[0].split())
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or "the endpoint of AWS_REGION"
    return ObjectStoreError(
        f"{address} cannot be read or written ({reason}); check that the bucket exists, that the store at {endpoint} "
        "runs, and the variables AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and "
        "AWS_ALLOW_HTTP; then run the same command again"
    )


@lru_cache(maxsize=256)
def _connection(address: str, endpoint: str | None, patience_s: float) -> "S3Store":
    """Return a connection; `endpoint` is part of the key only, the client reads it from the environment."""
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise StoreError(f"{address} needs the package obstore, which is not installed ({error})") from error
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    # One request an object: not every store has the request that deletes many.
    repeats: RetryConfig = {
        "max_retries": round(patience_s / _LEAST_PAUSE.total_seconds()),
        "retry_timeout": timedelta(seconds=patience_s),
        "backoff": {"init_backoff": _LEAST_PAUSE, "max_backoff": _LONGEST_PAUSE, "base": 2},
    }
    return S3Store(bucket, prefix=prefix or None, config={"disable_bulk_delete": True}, retry_config=repeats)
