"""The digests by which a version's own files are compared: of every file, and of the manifest itself."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.store.files import sha256_of_file

MANIFEST = "manifest.json"
FILES, OWN_DIGEST = "files", "manifest_sha256"
"""Entries of the manifest: the sha256 of every other file of the version by its relative path, and its own."""


def signed(manifest: Mapping[str, Any], version: Path) -> dict[str, Any]:
    """Return the manifest with the digests of the files in the folder `version` and of itself."""
    complete = {**manifest, FILES: file_digests(version)}
    return complete | {OWN_DIGEST: manifest_digest(complete)}


def file_digests(version: Path) -> dict[str, str]:
    """Return the sha256 of every file of a version by its relative path, without manifest and pixels."""
    return {name: sha256_of_file(version / name) for name in file_names(version)}


def file_names(version: Path) -> list[str]:
    """Return the relative paths of a version's files, without manifest and pixels; `Path.rglob` follows no link."""
    paths = (path for path in version.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(name for path in paths if (name := path.relative_to(version).as_posix()) != MANIFEST)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the sha256 of a manifest's other entries, as JSON with sorted keys and without blanks."""
    entries = {name: value for name, value in manifest.items() if name != OWN_DIGEST}
    return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
