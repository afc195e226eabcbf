"""The folder of one backup: a copy of the workspace, what there is to know of it, and the sha256 of every file.

``SHA256SUMS`` is written last: without it a backup is not finished. ``sha256sum --check SHA256SUMS`` reads it.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.backup.contents import BackupError
from tasks.store.files import sha256_of_file, whole_file, write_json

FORMAT_VERSION = 1
COPY, FACTS, SUMS = "workspace", "backup.json", "SHA256SUMS"
UNFINISHED = "unfinished"
"""Folder of the backup that is being made, or was interrupted."""
NAME_FORMAT = "%Y-%m-%dT%H%M%SZ"
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")

Sums = dict[str, bytes]
"""Sha256 by relative name."""


def finished_snapshots(folder: Path) -> list[Path]:
    """Return the finished backups in a folder, the oldest first."""
    return sorted(path for path in folder.glob("*") if _NAME.fullmatch(path.name) and (path / SUMS).is_file())


def find_snapshot(source: Path) -> Path:
    """Return a backup: `source` itself, or the newest finished one in it.

    Raises
    ------
    BackupError
        There is none, or none is finished.
    """
    if (source / SUMS).is_file():
        return source
    if found := finished_snapshots(source):
        return found[-1]
    if (source / COPY).is_dir() or (source / UNFINISHED).is_dir():
        raise BackupError(f"{source} holds only an unfinished backup: it has no {SUMS}; run `starloom backup` again")
    raise BackupError(f"{source} holds no backup of a workspace: name a folder that `starloom backup` has written")


def write_end(snapshot: Path, digests: Sums, facts: Mapping[str, Any]) -> None:
    """Write what there is to know of a backup, then the digests of its files, which makes it a finished one."""
    write_json(snapshot / FACTS, {"format_version": FORMAT_VERSION, "files": len(digests), **facts})
    with whole_file(snapshot / SUMS) as path, path.open("w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(_line(sha256_of_file(snapshot / FACTS), FACTS))
        for name, digest in digests.items():
            stream.write(_line(digest.hex(), f"{COPY}/{name}"))


def read_sums(snapshot: Path) -> Sums:
    """Return the digests of the copied files by their names relative to the workspace.

    Raises
    ------
    BackupError
        A line is damaged, or lines are missing.
    """
    sums: Sums = {}
    with (snapshot / SUMS).open(encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            found = _LINE.fullmatch(line.rstrip("\n"))
            if found is None:
                raise BackupError(f"{snapshot / SUMS} is damaged in line {number}: use another backup")
            name = _unescaped(found["name"]) if found["escaped"] else found["name"]
            sums[name] = bytes.fromhex(found["digest"])
    return sums


def read_facts(snapshot: Path, sums: Sums) -> dict[str, Any]:
    """Return what ``backup.json`` tells, having compared it with its digest and the sums with its count.

    Raises
    ------
    BackupError
        It is damaged, of another format, or does not fit the sums.
    """
    path = snapshot / FACTS
    if not path.is_file() or sums.get(FACTS) != bytes.fromhex(sha256_of_file(path)):
        raise BackupError(f"{path} is missing or damaged: use another backup")
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if facts["format_version"] != FORMAT_VERSION:
        raise BackupError(f"{path} is of format {facts['format_version']}, this program reads {FORMAT_VERSION}")
    if facts["files"] != len(sums) - 1:
        raise BackupError(f"{snapshot / SUMS} has {len(sums) - 1} files, the backup had {facts['files']}")
    return facts


def copied_sums(snapshot: Path) -> Sums:
    """Return the digests of the copied files by their names relative to the workspace."""
    start = f"{COPY}/"
    return {name.removeprefix(start): digest for name, digest in read_sums(snapshot).items() if name.startswith(start)}


def require_inside(name: str) -> str:
    """Return a relative name that stays in its folder.

    Raises
    ------
    BackupError
        It is absolute, or leads out.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BackupError(f"the backup has a file {name!r}, which is no place in a workspace")
    return name


def _line(digest: str, name: str) -> str:
    if "\n" in name or "\\" in name:
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
        return f"\\{digest}  {escaped}\n"
    return f"{digest}  {name}\n"


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], name)
