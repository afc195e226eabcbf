"""Catalogues of a workspace: made of tables given by path, address or official name, and found again."""

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq

from galaxy.catalogue.columns import BY_NAME
from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.official_files import OFFICIAL_TABLES
from tasks.http.client import download
from tasks.ingest.catalogue import FORMAT_VERSION, IngestReport, ingest, rejected_rows
from tasks.ingest.column_account import read_account
from tasks.ingest.provenance import is_catalogue
from tasks.ingest.table_rows import named_columns, open_rows
from tasks.runtime.run_log import run_logger
from tasks.runtime.secrets import require_no_secret
from tasks.runtime.workspace import Workspace
from tasks.store.files import disk_full_named, sha256_of_file
from tasks.store.schema import NAME

SHOWN_COLUMNS = 6
"""Columns that were not read, in the log; the summary lists them all."""


def ingest_into_workspace(
    workspace: Workspace,
    name: str,
    tables: Sequence[str],
    metadata: str | None,
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Ingest tables as catalogue `name` and return the summary; `columns` as of `ingest`."""
    start = time.monotonic()
    if not NAME.fullmatch(name):
        raise ValueError(
            f"name={name!r} cannot name a catalogue: lower-case letters, digits, '.', '_', '-', at most 64"
        )
    out = workspace.catalogs / f"{name}.parquet"
    report = _ingest(workspace, list(tables), metadata, columns, out)
    return {
        "name": name,
        "path": str(out),
        "rows_in": report.rows_in,
        "rows": report.rows,
        "rejected": report.rejected,
        "kind": report.kind,
        "joined": report.joined,
        **report.columns,
        "seconds": round(time.monotonic() - start, 3),
    }


def catalog_path(
    workspace: Workspace, catalog: str, metadata: str | None = None, columns: Mapping[str, str] | None = None
) -> Path:
    """Return the catalogue Parquet behind a name, a path or an address, ingesting a table if it is not yet.

    A table is ingested under a name made of its own and a digest of its bytes, its metadata's and `columns`, so the
    same request finds the same catalogue.

    Raises
    ------
    ValueError
        No such catalogue or file; metadata or columns given for a catalogue that is already ingested.
    CatalogueError
        The table cannot be ingested.
    """
    named = workspace.catalogs / f"{catalog}.parquet"
    table = named if NAME.fullmatch(catalog) and named.is_file() else locate_table(workspace, catalog)
    if table == named or is_catalogue(table):
        for parameter, value in (("metadata", metadata), ("columns", columns)):
            if value:
                raise ValueError(
                    f"catalog={catalog} is ingested already: give {parameter}={value} to ingest-catalog instead"
                )
        return table
    tables = [path for path in (table, _located(workspace, metadata)) if path is not None]
    out = workspace.catalogs / _file_name(tables, columns)
    if not out.exists() or _is_outdated(out, tables, columns):
        _ingest(workspace, [catalog], metadata, columns, out)
    return out


def _file_name(tables: Sequence[Path], columns: Mapping[str, str] | None) -> str:
    """Return the file name of the catalogue made of tables: the first one's, and a digest of all that is read."""
    digests = [sha256_of_file(path) for path in tables]
    digests += [json.dumps(dict(columns), sort_keys=True)] if columns else []
    digest = hashlib.sha256(":".join([str(FORMAT_VERSION), *digests]).encode()).hexdigest()[:12]
    stem = re.sub(r"[^a-z0-9_-]+", "-", tables[0].name.lower().split(".")[0]).strip("-_")[:40] or "table"
    return f"{stem}-{digest}.parquet"


def _is_outdated(catalog: Path, tables: Sequence[Path], columns: Mapping[str, str] | None) -> bool:
    """Say whether a catalogue of a version that gave no account of its columns lacks what is read of its tables now."""
    if read_account(catalog):
        return False
    present = set(pq.read_schema(catalog).names)
    for path in tables:
        with open_rows(path, named_columns(columns)) as rows:
            read = {name for name in rows.layout.source if name in BY_NAME} | set(rows.layout.extra)
            if not read <= present or any(column in rows.table.units for column in rows.layout.source.values()):
                return True
    return False


def locate_table(workspace: Workspace, table: str) -> Path:
    """Return the local file of a table given by path, address or official name, downloading it if it is remote.

    An address may end in ``#sha256=DIGEST``: the download must have that digest.

    Raises
    ------
    ValueError
        No table has that name, or the digest differs.
    """
    address = OFFICIAL_TABLES.get(table, table)
    require_no_secret(address, "table")
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


def _ingest(
    workspace: Workspace, tables: list[str], metadata: str | None, columns: Mapping[str, str] | None, out: Path
) -> IngestReport:
    if not tables:
        raise CatalogueError("tables is empty: name at least one table")
    located = [locate_table(workspace, table) for table in tables]
    with disk_full_named(out):
        report = ingest(located, _located(workspace, metadata), out, columns=columns)
    for why, ignored in report.columns["why_ignored"].items():
        more = f" and {len(ignored) - SHOWN_COLUMNS} more" if len(ignored) > SHOWN_COLUMNS else ""
        run_logger().info(f"column {', '.join(ignored[:SHOWN_COLUMNS])}{more} not read: {why}")
    for note in report.columns["notes"]:
        run_logger().warning(note)
    if report.rejected:
        counts = ", ".join(f"{reason} {count}" for reason, count in report.rejected.items())
        run_logger().warning(
            f"{sum(report.rejected.values())} of {report.rows_in} rows of {', '.join(tables)} are left out: {counts}; "
            f"{rejected_rows(out)} names them"
        )
    return report
