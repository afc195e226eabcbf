"""What earlier looks at an inbox saw, kept between processes, so that a look is cheap and quiet files are recognised.

Clocks of the machines that deliver may differ from this one's, so a file's time is compared with what it was at an
earlier look and never with a clock. Time between looks is this machine's monotonic one, which nobody sets back.
"""

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tasks.runtime.workspace import Workspace
from tasks.store.files import write_json

QUIET_S = 5.0


@dataclass(frozen=True)
class Look:
    """What was seen of a visit.

    Attributes
    ----------
    signature : str
        Digest of the names, sizes and times of its files.
    since_s : float
        Monotonic time of the first look at this signature, seconds, on the machine `host`.
    host : str
    first_seen : float
        Unix time of the first look at the visit, whatever its signature.
    digest : str, optional
        Of the bytes at this signature, where they were read.
    """

    signature: str
    since_s: float
    host: str
    first_seen: float
    digest: str | None = None


@dataclass
class Looks:
    """The looks at one inbox.

    Attributes
    ----------
    folder : Path
        One file per night.
    quiet_s : float
        A visit is complete when its signature was the same for this long.
    monotonic, wall : callable
        Clocks, seconds.
    """

    folder: Path
    quiet_s: float = QUIET_S
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    host: str = field(default_factory=platform.node)

    def read(self, night: str) -> dict[str, Look]:
        """Return the newest look at each visit of a night."""
        try:
            content = json.loads(self._path(night).read_text(encoding="utf-8"))
            return {name: Look(**facts) for name, facts in content.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}

    def write(self, night: str, looks: dict[str, Look]) -> None:
        """Keep the looks at the visits of a night, with the digests that another process found meanwhile."""
        on_disk = self.read(night)
        merged = {name: _with_known_digest(look, on_disk.get(name)) for name, look in sorted(looks.items())}
        if merged != on_disk:
            write_json(self._path(night), {name: asdict(look) for name, look in merged.items()})

    def again(self, earlier: Look | None, signature: str) -> Look:
        """Return a new look at a visit: the earlier one if nothing has changed since."""
        now_s, wall = self.monotonic(), self.wall()
        if earlier is None:
            return Look(signature, now_s, self.host, wall)
        is_same = (earlier.signature, earlier.host) == (signature, self.host) and earlier.since_s <= now_s
        return earlier if is_same else Look(signature, now_s, self.host, min(earlier.first_seen, wall))

    def is_quiet(self, look: Look) -> bool:
        """Return whether the signature of a look has been the same for `quiet_s`."""
        return self.monotonic() - look.since_s >= self.quiet_s

    def _path(self, night: str) -> Path:
        return self.folder / f"{night}.json"


def _with_known_digest(look: Look, other: Look | None) -> Look:
    """Return a look with the digest of another one at the same signature, where it has none."""
    if look.digest is not None or other is None or other.signature != look.signature:
        return look
    return replace(look, digest=other.digest)


def open_looks(workspace: Workspace, inbox: Path, quiet_s: float = QUIET_S) -> Looks:
    """Return the looks at an inbox that the workspace keeps."""
    key = hashlib.sha256(str(inbox.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Looks(workspace.root / "visits" / "looks" / key, quiet_s)


def with_digest(look: Look, digest: Callable[[], str | None]) -> Look:
    """Return a look with its digest, which is computed if no earlier look has; None where files vanish meanwhile."""
    if look.digest is not None:
        return look
    with contextlib.suppress(OSError):
        return replace(look, digest=digest())
    return look
