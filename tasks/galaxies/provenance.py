"""The provenance of a catalogue: JSON under ``starloom`` in its Parquet's metadata."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy.catalogue.errors import CatalogueError
from galaxy.catalogue.writing import PROVENANCE_KEY


def is_catalogue(path: Path) -> bool:
    """Say whether a file is a Parquet that an ingest wrote."""
    with path.open("rb") as stream:
        if stream.read(4) != b"PAR1":
            return False
    try:
        return PROVENANCE_KEY.encode() in (pq.read_metadata(path).metadata or {})
    except pa.ArrowInvalid as error:
        raise CatalogueError(f"table {path} cannot be read: {error}") from error


def read_provenance(path: Path) -> dict[str, Any]:
    """Return the provenance that an ingest wrote into a catalogue.

    Raises
    ------
    CatalogueError
        The Parquet is not a catalogue.
    """
    if not is_catalogue(path):
        raise CatalogueError(f"{path} is no catalogue: its Parquet metadata has no 'starloom'; ingest it first")
    provenance: dict[str, Any] = json.loads(pq.read_metadata(path).metadata[PROVENANCE_KEY.encode()])
    return provenance
