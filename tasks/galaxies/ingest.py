"""Ingest: tables by path, address or official name into a catalogue of the workspace."""

import hashlib
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.official_files import OFFICIAL_TABLES
from tasks.galaxies.catalogue import FORMAT_VERSION, IngestReport, ingest, is_catalogue
from tasks.http.client import download
from tasks.runtime.workspace import Workspace
from tasks.store.files import disk_full_named, sha256_of_file
from tasks.store.schema import NAME


def ingest_into_workspace(
    workspace: Workspace, name: str, tables: Sequence[str], metadata: str | None
) -> dict[str, Any]:
    """Ingest tables as catalogue `name` and return the summary."""
    start = time.monotonic()
    if not NAME.fullmatch(name):
        raise ValueError(
            f"name={name!r} cannot name a catalogue: lower-case letters, digits, '.', '_', '-', at most 64"
        )
    out = workspace.catalogs / f"{name}.parquet"
    report = _ingest(workspace, list(tables), metadata, out)
    return {
        "name": name,
        "path": str(out),
        "rows_in": report.rows_in,
        "rows": report.rows,
        "rejected": report.rejected,
        "kind": report.kind,
        "joined": report.joined,
        "missing": report.missing,
        "seconds": round(time.monotonic() - start, 3),
    }


def catalog_path(workspace: Workspace, catalog: str, metadata: str | None = None) -> Path:
    """Return the catalogue Parquet behind a name, a path or an address, ingesting a table if it is not yet.

    A table is ingested under a name made of its own and a digest of its bytes and its metadata's, so the same request
    finds the same catalogue.

    Raises
    ------
    ValueError
        No such catalogue or file; metadata given for a catalogue that is already ingested.
    CatalogueError
        The table cannot be ingested.
    """
    named = workspace.catalogs / f"{catalog}.parquet"
    ingested = named if NAME.fullmatch(catalog) and named.is_file() else None
    if ingested is None:
        table = locate_table(workspace, catalog)
        ingested = table if is_catalogue(table) else None
    if ingested is not None:
        if metadata is not None:
            raise ValueError(
                f"catalog={catalog} is ingested already: give metadata={metadata} to ingest-catalog instead"
            )
        return ingested
    digests = [sha256_of_file(path) for path in (table, _located(workspace, metadata)) if path is not None]
    digest = hashlib.sha256(":".join([str(FORMAT_VERSION), *digests]).encode()).hexdigest()[:12]
    stem = re.sub(r"[^a-z0-9_-]+", "-", table.name.lower().split(".")[0]).strip("-_")[:40] or "table"
    out = workspace.catalogs / f"{stem}-{digest}.parquet"
    if not out.exists():
        _ingest(workspace, [catalog], metadata, out)
    return out


def locate_table(workspace: Workspace, table: str) -> Path:
    """Return the local file of a table given by path, address or official name, downloading it if it is remote.

    An address may end in ``#sha256=DIGEST``: the download must have that digest.

    Raises
    ------
    ValueError
        No table has that name, or the digest differs.
    """
    address = OFFICIAL_TABLES.get(table, table)
    if not address.startswith(("http://", "https://")):
        path = Path(address).expanduser()
        if path.is_file():
            return path
        existing = sorted(item.stem for item in workspace.catalogs.glob("*.parquet"))
        raise ValueError(
            f"no table {table!r}: give a file, an address, an official name ({', '.join(OFFICIAL_TABLES)}) "
            f"or an ingested catalogue ({', '.join(existing) or 'none yet'})"
        )
    parts = urlsplit(address)
    sha256 = parts.fragment.removeprefix("sha256=") if parts.fragment.startswith("sha256=") else None
    file_name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(parts.path).rsplit("/", 1)[-1]).lstrip(".") or "table"
    folder = workspace.catalogs / "downloads" / hashlib.sha256(address.encode()).hexdigest()[:16]
    return download(address.partition("#")[0], folder / file_name, sha256)


def _located(workspace: Workspace, table: str | None) -> Path | None:
    return None if table is None else locate_table(workspace, table)


def _ingest(workspace: Workspace, tables: list[str], metadata: str | None, out: Path) -> IngestReport:
    if not tables:
        raise CatalogueError("tables is empty: name at least one table")
    located = [locate_table(workspace, table) for table in tables]
    with disk_full_named(out):
        return ingest(located, _located(workspace, metadata), out)
