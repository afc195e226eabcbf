"""An object store in this process, for tests that need no server: obstore's own in memory, which keeps conditions."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from obstore.store import MemoryStore

from tasks.store.object_store.objects import ObjectFolder


class Died(BaseException):
    """The process is taken to have died before a write."""


@dataclass
class Memory:
    """What the store holds, how often each object was asked for, and how many writes are left before a death."""

    store: MemoryStore = field(default_factory=MemoryStore)
    asked: Counter[str] = field(default_factory=Counter)
    left: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every folder of objects lie in this store."""
        monkeypatch.setattr(ObjectFolder, "store", lambda folder: _Below(self, folder.address.removeprefix("s3://")))

    def write(self, call: Callable[..., Any], *words: Any, **more: Any) -> Any:
        """Call, unless the process is to die before it."""
        with self.lock:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Died
        return call(*words, **more)


@dataclass
class _Below:
    """The calls of obstore's client that the package makes, with keys below a prefix."""

    memory: Memory
    prefix: str

    def put(self, key: str, content: bytes, **more: Any) -> Any:
        return self.memory.write(self.memory.store.put, f"{self.prefix}/{key}", content, **more)

    def delete(self, key: str) -> None:
        self.memory.write(self.memory.store.delete, f"{self.prefix}/{key}")

    def get(self, key: str, **more: Any) -> Any:
        self.memory.asked[key] += 1
        return self.memory.store.get(f"{self.prefix}/{key}", **more)

    def get_range(self, key: str, **more: Any) -> Any:
        self.memory.asked[key] += 1
        return self.memory.store.get_range(f"{self.prefix}/{key}", **more)

    def head(self, key: str) -> Any:
        return self.memory.store.head(f"{self.prefix}/{key}")

    def list(self, prefix: str | None, **more: Any) -> Iterator[list[dict[str, Any]]]:
        """List as an S3 store does: a prefix ends at a part of a key."""
        whole = f"{self.prefix}/{(prefix or '').rstrip('/')}".rstrip("/")
        for batch in self.memory.store.list(whole, **more):
            yield [{**entry, "path": entry["path"].removeprefix(f"{self.prefix}/")} for entry in batch]
