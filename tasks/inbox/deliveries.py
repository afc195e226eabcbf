"""The visits of a night: their files, their digest, and whether they are complete.

A visit is complete when none of its files bears the name of an unfinished one, the frames that its table lists are
there, each new frame has its reference, and either the file ``.complete`` lies in its folder or nothing has changed
for a quiet time.
"""

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from realbogus.records import SourceError
from realbogus.sources.alerts import PACKET_SUFFIXES
from realbogus.sources.pair_tables import IMAGE_SUFFIX, files_of_table, find_table, read_pairs
from realbogus.sources.triplet_files import ARRAY_SUFFIXES
from tasks.inbox.looks import Look, Looks, with_digest
from tasks.inbox.nights import NightFolder, is_inside, is_unfinished, list_folder
from tasks.store.files import sha256_of_file

Kind = Literal["frames", "alerts", "triplets"]
MARKER = ".complete"
"""A file in a visit's folder that says that the folder is whole: the quiet time is not waited for."""
_IMAGE = re.compile(rf"{IMAGE_SUFFIX}$", re.IGNORECASE)
_PAIRS = re.compile(r"pairs\.(?:csv|parquet)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ZARR = "zarr.json"
_POLL_S = 0.2


@dataclass(frozen=True)
class DeliveredFile:
    """A file of a visit: its path below the visit's folder, its size in bytes and its time of change."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Delivery:
    """A visit as it lies in the inbox.

    Attributes
    ----------
    night : str
    name : str
        Of its folder, or of its file up to the first dot: letters, digits, ``._-``.
    path : Path
    kind : Kind or None
        None where its files are of no known kind yet.
    files : tuple of DeliveredFile
    digest : str or None
        sha256 over the names and bytes of its files; a single file has no name in it. None while it is not complete,
        or where digests were not asked for and no earlier look read the bytes.
    waiting : str or None
        Why it is not complete.
    settling : bool
        Only the quiet time is missing.
    first_seen : float
        Unix time of the first look at it.
    """

    night: str
    name: str
    path: Path
    kind: Kind | None
    files: tuple[DeliveredFile, ...]
    digest: str | None = None
    waiting: str | None = None
    settling: bool = False
    first_seen: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether it can be taken."""
        return self.waiting is None

    @property
    def signature(self) -> str:
        """Digest of the names, sizes and times of its files."""
        return hashlib.sha256(repr(self.files).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class VisitListing:
    """The visits of a night by name, and why other entries are none."""

    visits: tuple[Delivery, ...]
    ignored: dict[str, str] = field(default_factory=dict)


class RefusedEntryError(ValueError):
    """An entry of a night cannot be a visit; the message says why."""


def list_visits(night: NightFolder, looks: Looks, with_digests: bool = True) -> VisitListing:
    """Look at the visits of a night.

    Parameters
    ----------
    night : NightFolder
    looks : Looks
        What earlier looks saw; the new look is added.
    with_digests : bool
        Whether the bytes of complete visits are read, once for a signature.

    Raises
    ------
    InboxError
        The night's folder cannot be read.
    """
    earlier, seen = looks.read(night.name), dict[str, Look]()
    visits, ignored = dict[str, Delivery](), dict[str, str]()
    for entry, name in _entries(night):
        try:
            found = _inspect(night, entry, name)
            if name in visits:
                raise RefusedEntryError(f"a visit {name} is there already: {visits[name].path.name}")
        except RefusedEntryError as refusal:
            ignored[entry.name] = str(refusal)
            continue
        look = looks.again(earlier.get(name), found.signature)
        visits[name], seen[name] = _judge(found, look, looks, with_digests, night)
    looks.write(night.name, seen)
    return VisitListing(tuple(visits[name] for name in sorted(visits)), ignored)


def settle(night: NightFolder, looks: Looks, patience_s: float = 30.0) -> VisitListing:
    """Look at the visits of a night until none of them waits for the quiet time alone, or the patience ends."""
    deadline = looks.monotonic() + patience_s
    while True:
        listing = list_visits(night, looks)
        if looks.monotonic() >= deadline or not any(visit.settling for visit in listing.visits):
            return listing
        time.sleep(min(_POLL_S, looks.quiet_s))


def changed(delivery: Delivery, earlier: str | None) -> bool:
    """Return whether a complete visit has another digest than at an earlier time; None: it was not there."""
    return delivery.digest != earlier


def night_digest(visits: Iterable[Delivery]) -> str:
    """Return the digest of the complete visits of a night: equal for the same visits with the same bytes."""
    lines = sorted(f"{visit.name} {visit.digest}\n" for visit in visits if visit.complete)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_unchanged(night: NightFolder, visit: Delivery) -> bool:
    """Return whether the files of a visit are as they were when it was looked at."""
    try:
        return _inspect(night, visit.path, visit.name).files == visit.files
    except RefusedEntryError:
        return False


def _entries(night: NightFolder) -> Iterator[tuple[Path, str]]:
    """Yield the entries of a night that can be visits, with their names."""
    entries = [entry for entry in list_folder(night.path) if not is_unfinished(entry.name)]
    direct = [entry.name for entry in entries if not entry.is_dir()]
    if any(_kind([name]) in ("frames", "triplets") for name in direct):
        yield night.path, night.name
        return
    for entry in entries:
        yield entry, entry.name if entry.is_dir() else entry.name.split(".")[0]


def _inspect(night: NightFolder, entry: Path, name: str) -> Delivery:
    """Return a visit with its files, as long as nothing is known of its completeness.

    Raises
    ------
    RefusedEntryError
    """
    if not _NAME.fullmatch(name):
        raise RefusedEntryError("its name may hold letters, digits, . _ - and begin with a letter or digit: rename it")
    if not entry.is_dir() and _kind([entry.name]) is None:
        raise RefusedEntryError("no frames, alert packets or triplets")
    waiting: str | None = None
    paths = [entry]
    if entry.is_dir():
        _require_inside(entry, night)
        paths, waiting = _walk(entry)
    files = []
    for path in paths:
        if path.is_symlink() or not _is_below(path, entry):
            _require_inside(path, night)
        try:
            facts = path.stat()
        except OSError as error:
            waiting = f"{path.name} cannot be read ({error.strerror})"
            continue
        if not stat.S_ISREG(facts.st_mode):
            raise RefusedEntryError(f"{path.name} is no regular file")
        where = os.path.relpath(path, entry) if entry.is_dir() else path.name
        files.append(DeliveredFile(where, facts.st_size, facts.st_mtime_ns))
    kind = _kind([file.name for file in files])
    files.sort(key=lambda file: file.name)
    return Delivery(night.name, name, entry, kind, tuple(files), waiting=waiting)


def _walk(folder: Path) -> tuple[list[Path], str | None]:
    """Return the files of a visit's folder and of its table of pairs, and why it is not complete."""
    paths: list[Path] = []
    waiting: str | None = None
    try:
        for parent, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                if Path(parent, name).is_symlink():
                    raise RefusedEntryError(f"{name} is a link to a folder: move the files here")
            paths += [Path(parent, name) for name in names if not name.startswith(".")]
        table = find_table(folder)
        listed = [] if table is None else files_of_table(table)
        paths += [path for path in listed if path.is_file() and not _is_below(path, folder)]
        absent = [path for path in listed if not path.exists()]
        if absent:
            waiting = f"{len(absent)} of {len(listed)} files of {table} are absent, the first is {absent[0]}"
    except OSError as error:
        waiting = f"{error.filename} cannot be read ({error.strerror})"
    except SourceError:
        pass  # a table that stays unreadable is the visit's own fault, which its scoring tells
    return list(dict.fromkeys(paths)), waiting


def _raise(error: OSError) -> None:
    raise error


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder))


def _require_inside(path: Path, night: NightFolder) -> None:
    if not is_inside(path, night.inbox):
        raise RefusedEntryError(f"{path.name} leads out of the inbox, to {path.resolve()}: move it into the inbox")


def _kind(names: Iterable[str]) -> Kind | None:
    """Return what files of these names hold together; None if nothing that is known."""
    lower = [Path(name).name.lower() for name in names]
    if any(_PAIRS.fullmatch(name) for name in lower):
        return "frames"
    if any(name.endswith(ARRAY_SUFFIXES) or name == _ZARR for name in lower):
        return "triplets"
    if any(name.endswith(PACKET_SUFFIXES) for name in lower):
        return "alerts"
    return "frames" if any(_IMAGE.search(name) for name in lower) else None


def _judge(visit: Delivery, look: Look, looks: Looks, with_digests: bool, night: NightFolder) -> tuple[Delivery, Look]:
    """Return a visit with its completeness, and the look with its digest."""
    waiting, settling = visit.waiting or _missing(visit), False
    if waiting is None and not (visit.path / MARKER).is_file() and not looks.is_quiet(look):
        waiting, settling = f"it changed within the last {looks.quiet_s:g} s", True
    digest = None
    if waiting is None:
        look = with_digest(look, partial(_digest_of_unchanged, night, visit)) if with_digests else look
        digest = look.digest
        if with_digests and digest is None:
            waiting, settling = "it changed while it was read", True
    seen = replace(visit, digest=digest, waiting=waiting, settling=settling, first_seen=look.first_seen)
    return seen, look


def _missing(visit: Delivery) -> str | None:
    """Return what a visit lacks by the names of its files; None if nothing."""
    unfinished = [file.name for file in visit.files if is_unfinished(Path(file.name).name)]
    if unfinished:
        return f"{unfinished[0]} is being written"
    if visit.kind is None:
        return "no frames, alert packets or triplets yet"
    has_table = any(_PAIRS.fullmatch(file.name) for file in visit.files)
    if visit.kind == "frames" and not has_table:
        try:
            absent = [file for pair in read_pairs(visit.path) for file in pair.absent]
        except SourceError as error:
            return str(error)
        return f"{absent[0]} does not exist" if absent else None
    return None


def _digest_of_unchanged(night: NightFolder, visit: Delivery) -> str | None:
    """Return the digest of a visit; None if it changed while it was read."""
    digest = digest_of(visit, sha256_of_file)
    return digest if is_unchanged(night, visit) else None


def digest_of(visit: Delivery, sha256: Callable[[Path], str]) -> str:
    """Return the sha256 over the names and the bytes of a visit's files; a single file has no name in it."""
    if not visit.path.is_dir():
        return hashlib.sha256(sha256(visit.path).encode()).hexdigest()
    total = hashlib.sha256()
    for file in visit.files:
        total.update(f"{file.name}\0{sha256(visit.path / file.name)}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()
