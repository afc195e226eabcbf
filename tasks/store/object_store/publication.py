"""Versions on an object store: published without a rename, and copied to this machine to be read.

A version is written twice. First its files go to a journal of the publisher's own, ``staging/publish-TOKEN/NUMBER/``,
and are read back. Then the manifest is created at its place under ``If-None-Match: *``: that publishes the version, and
of two publishers one is refused before it has written anything that the other names. Last the files are written to
their places, read back, and ``CURRENT`` follows under ``If-Match``. The next builder finishes this last step for a
publisher that died in it, from the journal that the manifest names.
"""

import hashlib
import json
import platform
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from tasks.store.errors import DamagedTableError, DatasetBusyError, DatasetNotFoundError, ObjectStoreError
from tasks.store.files import whole_file, whole_folder
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.schema import CURRENT, STAGING, VERSIONS, parse_current, version_folder
from tasks.store.version_files import FILES, MANIFEST, file_names

JOURNAL = "journal"
"""Entry of the manifest: where the version's files were before they were at their places."""
READERS = "readers"
"""Folder of a dataset with an object for each version and each state folder that has read it."""
TOKEN = "state-token"
"""File at the top of a state folder."""
_NOTED = ".noted"
"""Folder of a dataset on this machine with a file for each version that it is noted as a reader of."""


def current_object(objects: ObjectFolder) -> int | None:
    """Return the version that ``CURRENT`` names, or None where nothing is published.

    Raises
    ------
    DamagedTableError
        The object holds no number.
    """
    content = objects.get(CURRENT)
    return None if content is None else parse_current(content, str(objects.file(CURRENT)))


def state_token(folder: Path) -> str:
    """Return the word by which the state folder with that dataset is known on the object store, made at the first use.

    Parameters
    ----------
    folder : Path
        A dataset's local folder, ``datasets/NAME`` in the state folder.
    """
    token = folder.parents[1] / TOKEN
    if not token.exists():
        token.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(token.with_suffix(".lock")):
            if not token.exists():
                with whole_file(token) as path:
                    path.write_text(uuid.uuid4().hex, encoding="ascii")
    return token.read_text(encoding="ascii")


def journals_of(folder: Path) -> str:
    """Return where the publisher in the local folder of a dataset has its journals; the lock lets in one at a time."""
    return f"{STAGING}/publish-{state_token(folder)}"


def publish_object_version(objects: ObjectFolder, number: int, files: Path, journals: str) -> None:
    """Publish the version whose files, the manifest among them, are in the folder `files`.

    Each version has a journal of its own, so that whoever completes a version removes no other. Those of earlier ones,
    which are complete or were refused, are removed first.

    Raises
    ------
    DatasetBusyError
        Another publisher has made that version meanwhile.
    ObjectStoreError
        The store returns other bytes than were written.
    """
    manifest = (files / MANIFEST).read_bytes()
    journal = json.loads(manifest)[JOURNAL]
    objects.clear(f"{journals}/")
    for name in file_names(files):
        objects.put_verified(f"{journal}/{name}", (files / name).read_bytes())
    if not objects.create(_manifest_key(number), manifest):
        objects.clear(f"{journal}/")
        raise DatasetBusyError(
            f"another process published version {number} of dataset {objects.name!r} meanwhile, and this build adds to "
            f"version {number - 1}; run the same command again, it adds to the new version"
        )
    objects.require(_manifest_key(number), manifest)
    _complete(objects, number, json.loads(manifest), lambda name: (files / name).read_bytes())


def finish_publication(objects: ObjectFolder) -> None:
    """Complete the version after ``CURRENT`` where its publisher died when it was published but not complete.

    Raises
    ------
    DamagedTableError
        Bytes of that version are lost, or it was not published on an object store.
    """
    while True:
        number = (current_object(objects) or 0) + 1
        content = objects.get(_manifest_key(number))
        if content is None:
            return
        manifest = json.loads(content)
        if JOURNAL not in manifest:
            raise DamagedTableError(
                f"{objects}/{_manifest_key(number)} is above the published version and names no journal: a folder was "
                "copied with what its publisher had left; remove that version"
            )
        journal = objects / manifest[JOURNAL]
        _complete(objects, number, manifest, journal.get)


def _complete(
    objects: ObjectFolder, number: int, manifest: dict[str, Any], source: Callable[[str], bytes | None]
) -> None:
    """Write a published version's files to their places, then ``CURRENT``; whoever does it writes the same."""
    for name, sha256 in manifest[FILES].items():
        key = f"{VERSIONS}/{version_folder(number)}/{name}"
        if _has(objects.get(key), sha256):
            continue
        content = source(name)
        if _has(content, sha256):
            assert content is not None
            objects.put_verified(key, content)
        elif not _has(objects.get(key), sha256):  # nor has its publisher written it meanwhile
            raise DamagedTableError(
                f"{objects}/{key} is missing, and so are its bytes in {objects}/{manifest[JOURNAL]}; restore it from "
                "a backup"
            )
    _point(objects, number)
    objects.clear(f"{manifest[JOURNAL]}/")


def _point(objects: ObjectFolder, number: int) -> None:
    """Let ``CURRENT`` name a version, unless it names a later one."""
    content = f"{number}\n".encode("ascii")
    while True:
        found = objects.get_with_tag(CURRENT)
        if found is None:
            done = objects.create(CURRENT, content)
        elif parse_current(found[0], str(objects.file(CURRENT))) >= number:
            done = True
        else:
            done = objects.replace(CURRENT, content, found[1])
        if done:
            return


def copy_version(objects: ObjectFolder, number: int, folder: Path, as_reader: bool = True) -> Path:
    """Return the local copy of a published version's files, made anew unless it has the same manifest.

    Parameters
    ----------
    objects : ObjectFolder
        The dataset.
    number : int
        At most the version that ``CURRENT`` names.
    folder : Path
        The dataset's local folder.
    as_reader : bool
        Note on the store that this machine has read the version.

    Raises
    ------
    DatasetNotFoundError
        There is no such version.
    DamagedTableError
        A file is missing or has another sha256 than the manifest's.
    """
    manifest = objects.get(_manifest_key(number))
    if manifest is None:
        raise DatasetNotFoundError(f"no dataset version at {objects}/{VERSIONS}/{version_folder(number)}")
    target = folder / VERSIONS / version_folder(number)
    if as_reader:
        _note_reader(objects, number, folder, manifest)
    if not _is_copy(target, manifest):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".copies.lock"):
            if not _is_copy(target, manifest):
                shutil.rmtree(target, ignore_errors=True)
                with whole_folder(target) as beside:
                    download_version(objects, number, manifest, beside)
    return target


def readers_of(number: int) -> str:
    """Return the prefix of the objects that name who has read a version: their models, on any machine, may name it."""
    return f"{READERS}/{version_folder(number)}"


def _note_reader(objects: ObjectFolder, number: int, folder: Path, manifest: bytes) -> None:
    """Note once that this machine has read a version, unless it may only read."""
    from obstore.exceptions import PermissionDeniedError

    noted, sha256 = folder / _NOTED / version_folder(number), hashlib.sha256(manifest).hexdigest()
    if noted.is_file() and noted.read_text(encoding="ascii") == sha256:
        return
    try:
        objects.put(f"{readers_of(number)}/{state_token(folder)}", platform.node().encode())
    except ObjectStoreError as error:
        if not isinstance(error.__cause__, PermissionDeniedError):
            raise
        return
    noted.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(noted) as path:
        path.write_text(sha256, encoding="ascii")


def _is_copy(target: Path, manifest: bytes) -> bool:
    try:
        return (target / MANIFEST).read_bytes() == manifest
    except FileNotFoundError:
        return False


def keep_copy(objects: ObjectFolder, number: int, files: Path, folder: Path) -> None:
    """Move the files of a version that this process published to where its local copy belongs."""
    _note_reader(objects, number, folder, (files / MANIFEST).read_bytes())
    target = folder / VERSIONS / version_folder(number)
    with FileLock(folder / ".copies.lock"):
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        files.rename(target)


def download_version(objects: ObjectFolder, number: int, manifest: bytes, target: Path, compare: bool = True) -> None:
    """Write the files of a version into the folder `target`.

    With `compare` these are the files that the manifest names, compared with their sha256; else all that are there.
    """
    version = objects / VERSIONS / version_folder(number)
    expected = _expected(manifest, version) if compare else {}
    for name in ("labels", "validation"):
        (target / name).mkdir()
    for name in expected or [key for key in version.names() if key != MANIFEST]:
        path = target / _checked(name, version)
        content = version.get(name)
        if content is None or (name in expected and not _has(content, expected[name])):
            fault = "is missing" if content is None else "has another sha256 than the manifest's"
            raise DamagedTableError(f"{version}/{name} {fault}; restore it from a backup, or use another version")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (target / MANIFEST).write_bytes(manifest)


def manifest_object(objects: ObjectFolder, number: int) -> bytes | None:
    """Return the bytes of a version's manifest, or None."""
    return objects.get(_manifest_key(number))


def _expected(manifest: bytes, version: ObjectFolder) -> dict[str, str]:
    """Return the sha256 of every file that a manifest names; empty if it is of a format without them."""
    try:
        files: dict[str, str] = json.loads(manifest).get(FILES, {})
    except ValueError as error:
        raise DamagedTableError(f"{version}/{MANIFEST} cannot be read ({error}); restore it from a backup") from error
    return files


def _checked(name: str, version: ObjectFolder) -> PurePosixPath:
    """Return a name from a manifest as a path, unless it leads out of the version."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DamagedTableError(f"{version}: {name!r} is no name of a file of a version")
    return path


def _manifest_key(number: int) -> str:
    return f"{VERSIONS}/{version_folder(number)}/{MANIFEST}"


def _has(content: bytes | None, sha256: str) -> bool:
    return content is not None and hashlib.sha256(content).hexdigest() == sha256
