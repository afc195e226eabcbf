"""The workspace's folder and file system: writable, with locks and atomic renames, and with space left."""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import psutil

from tasks.doctor.finding import Finding, ok
from tasks.inbox.nights import ENVIRONMENT_NAME as INBOX_ENVIRONMENT_NAME
from tasks.inbox.nights import is_night
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.store.dataset import VERSIONS
from tasks.store.errors import ObjectStoreError
from tasks.store.object_store.conditions import require_conditions
from tasks.store.schema import READABLE_VERSIONS
from tasks.store.version_files import MANIFEST

GB = 1e9
LITTLE_SPACE_GB, TOO_LITTLE_SPACE_GB = 10.0, 1.0
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "lustre", "ceph", "glusterfs", "beegfs", "gpfs")
NAMED = 5
"""Dataset versions that a finding names."""
ANOTHER = f"name another folder with --workspace DIR or {ENVIRONMENT_NAME}"


def check_workspace(workspace: Workspace, environment: Mapping[str, str]) -> list[Finding]:
    """Check the workspace, or the folder that it would be made in, and the inbox."""
    folder = nearest_folder(workspace.root)
    writable = check_writable(workspace.root, folder)
    rest = [check_space(folder), check_inbox(workspace, environment), *check_formats(workspace)]
    rest += check_object_store(workspace)
    if writable.state == "problem":
        return [writable, *rest]
    return [writable, check_file_system(folder, file_system(folder)), *rest]


def nearest_folder(path: Path) -> Path:
    """Return the path if it exists, else the nearest folder above it that does."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def check_writable(root: Path, folder: Path) -> Finding:
    """Check that a file can be made in `folder`, which is the workspace or where it would be made."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        return Finding("workspace", "problem", f"{root} cannot be written ({error.strerror})", ANOTHER)
    return ok("workspace", str(root) if root == folder else f"{root}, made by the first command")


def check_file_system(folder: Path, kind: str) -> Finding:
    """Check locks, atomic renames and symbolic links in `folder`; a network file system is a warning.

    Locks exclude two writers, a rename publishes a version, and a version holds a link to the pixels.
    """
    with tempfile.TemporaryDirectory(prefix=".starloom-doctor-", dir=folder) as made:
        place = Path(made)
        missing = [name for name, works in _ABILITIES.items() if not works(place)]
    if missing:
        value = f"{kind or 'unknown'} without {' and '.join(missing)}"
        state = "warning" if missing == ["symbolic links"] else "problem"
        return Finding("file system", state, value, ANOTHER)  # type: ignore[arg-type]  # both are states
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        value = f"{kind}: the databases of Prefect and MLflow are SQLite, which is slow and less safe over a network"
        return Finding("file system", "warning", value, "keep the workspace on a local disk if one machine uses it")
    return ok("file system", f"{kind or 'unknown'}, with locks and atomic renames")


def _has_locks(place: Path) -> bool:
    path = place / "lock"
    with path.open("w") as first, path.open("w") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _has_renames(place: Path) -> bool:
    (place / "old").write_text("old")
    (place / "new").write_text("new")
    try:
        (place / "new").replace(place / "old")
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return (place / "old").read_text() == "new" and not (place / "new").exists()


def _has_links(place: Path) -> bool:
    with contextlib.suppress(OSError):
        (place / "link").symlink_to("old")
        return (place / "link").is_symlink()
    return False


_ABILITIES = {"locks": _has_locks, "atomic renames": _has_renames, "symbolic links": _has_links}


def file_system(folder: Path) -> str:
    """Return the type of the file system of a folder, such as ext4; empty if unknown."""
    path = folder.resolve()
    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""


def check_formats(workspace: Workspace) -> list[Finding]:
    """Check that every dataset version is of a format that this program reads; nothing where there is none."""
    formats: dict[int | None, list[str]] = defaultdict(list)
    for path in sorted(workspace.datasets.glob(f"*/{VERSIONS}/*/{MANIFEST}")):
        formats[_format_of(path)].append(f"{path.parents[2].name}@{int(path.parent.name)}")
    unreadable = [name for number, names in formats.items() if number not in READABLE_VERSIONS for name in names]
    if unreadable:
        named = f"{', '.join(unreadable[:NAMED])}{' and others' if len(unreadable) > NAMED else ''}"
        value = f"{len(unreadable)} dataset versions cannot be read by this program: {named}"
        remedy = "`starloom verify` names what is damaged; a newer program reads what a newer program wrote"
        return [Finding("formats", "problem", value, remedy)]
    told = ", ".join(f"{len(names)} of format {number}" for number, names in sorted(formats.items(), key=str))
    return [ok("formats", f"dataset versions: {told}; read as they are, nothing to upgrade")] if formats else []


def _format_of(manifest: Path) -> int | None:
    """Return the format of a dataset version; None if its manifest cannot be read."""
    try:
        number = json.loads(manifest.read_text(encoding="utf-8"))["format_version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, int) else None


def check_object_store(workspace: Workspace) -> list[Finding]:
    """Try the object store of a workspace that has one: it answers, and keeps the conditions of a publication."""
    if workspace.address is None:
        return []
    try:
        keeps_pointer = require_conditions(workspace.address)
    except ObjectStoreError as error:
        value, _, remedy = str(error).partition("; ")
        return [Finding("object store", "problem", value, remedy)]
    if not keeps_pointer:
        remedy = "let one machine at a time build, or use a store with conditional writes"
        return [Finding("object store", "warning", f"{workspace.address} ignores If-Match", remedy)]
    return [ok("object store", f"{workspace.address}, with conditional writes")]


def check_space(folder: Path) -> Finding:
    """Check the free space of the file system of `folder`."""
    usage = shutil.disk_usage(folder)
    return space_finding(usage.free / GB, usage.total / GB)


def space_finding(free_gb: float, total_gb: float) -> Finding:
    """Return the finding for free and total space in GB."""
    value = f"{free_gb:.1f} of {total_gb:.1f} GB free"
    remedy = "`starloom run housekeeping` lists what nothing needs any more"
    if free_gb < TOO_LITTLE_SPACE_GB:
        return Finding("disk", "problem", value, remedy)
    if free_gb < LITTLE_SPACE_GB:
        return Finding("disk", "warning", value, remedy)
    return ok("disk", value)


def check_inbox(workspace: Workspace, environment: Mapping[str, str]) -> Finding:
    """Check the inbox of delivered nights; one that is named has to be there."""
    named = environment.get(INBOX_ENVIRONMENT_NAME)
    inbox = Path(named).expanduser() if named else workspace.root / "inbox"
    where = f"{inbox} ({INBOX_ENVIRONMENT_NAME})" if named else f"{inbox}"
    if not inbox.exists() and not named:
        return ok("inbox", f"{where}, made when it is needed")
    try:
        nights = sum(is_night(entry.name) for entry in inbox.iterdir())
    except OSError as error:
        remedy = f"make the folder, mount its disk, or correct {INBOX_ENVIRONMENT_NAME}"
        return Finding("inbox", "problem", f"{where} cannot be read ({error.strerror})", remedy)
    return ok("inbox", f"{where}, nights: {nights}")
