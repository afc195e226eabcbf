"""The common record: what every source of ready-made triplets yields, and how a build plans its reading.

A record is one candidate with its stamps. Sources keep their own fields as JSON text in `parameters`. Whether a
record can be stored is judged here, by one rule for all sources.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from realbogus.stamps import finite_fraction, stamp_reasons

REAL, BOGUS = "real", "bogus"
GALAXY_INJECTION, RANDOM_INJECTION, DETECTION = "galaxy_injection", "random_injection", "detection"
MATCH_RADIUS_PX = 2.0
"""A detection so near to an injection is the injection found."""
CORRUPT = "corrupt"
"""Reason of a record whose bytes cannot be decoded; its stamps are NaN."""

NEGATIVE_WORDS = frozenset({"f", "0", "0.0", "false"})
"""What ZTF's ``isdiffpos`` says where the difference is reference minus new."""
NEGATED_FLAG, NEGATED = "difference_was", "reference minus new"
"""Parameter, and its value, of a record whose difference was brought to new minus reference."""

MJD_EPOCH_JD = 2_400_000.5
_LARGEST_EXACT_INTEGER = 2**53  # beyond it a JSON reader with double precision changes the digits
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("ra_deg", pa.float64()),
        pa.field("dec_deg", pa.float64()),
        pa.field("label", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("detector", pa.string()),
        pa.field("night", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("finite_fraction", pa.float64(), nullable=False),
        pa.field("parameters", pa.string(), nullable=False),
    ]
)


class SourceError(ValueError):
    """A source cannot be read as asked; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Records:
    """Candidates with their stamps, row for row.

    Attributes
    ----------
    table : pa.Table of `SCHEMA`
        `id` is the source's own identity. `label` is real, bogus or null (unlabelled). `reason` says why a record
        cannot be stored (null where it can). `finite_fraction` is the share of finite values over all planes.
        `parameters` is a JSON object of the source's own fields.
    pixels : ndarray, (n, stamp_px, stamp_px, 3) float32, the source's raw units
        New, reference, difference = new minus reference; NaN where there is nothing.
    """

    table: pa.Table
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class FileSpan:
    """A stretch of one file: rows of an array, or bytes of a packet file."""

    file: str
    first: int
    count: int


@dataclass(frozen=True)
class BatchKey:
    """A fixed list of records that is read in one go.

    Attributes
    ----------
    name : str
        The same for the same content of the source, whoever asks; fit for a file name.
    parts : tuple of Part
        Where they lie.
    identity : str
        What the ids are made of when the records have none of their own: the digest of the array file.
    """

    name: str
    parts: tuple[FileSpan, ...]
    identity: str = ""


class RecordSource(Protocol):
    """Records in batches of a few thousand. It can be pickled; every process opens its own files."""

    def batches(self) -> Sequence[BatchKey]:
        """Return all batches, in an order that depends on nothing but the input."""

    def ids(self, batch: BatchKey) -> list[str]:
        """Return the ids that `read` gives, without decoding stamps."""

    def read(self, batch: BatchKey) -> Records:
        """Return a batch's records in their order."""


def read_records(source: RecordSource) -> Iterator[Records]:
    """Yield all of a source's records, batch by batch."""
    for batch in source.batches():
        yield source.read(batch)


def make_records(
    columns: Mapping[str, Sequence[Any]],
    pixels: np.ndarray,
    outside: np.ndarray | None = None,
    faults: Sequence[str | None] | None = None,
) -> Records:
    """Judge stamps and put them together with their columns.

    Parameters
    ----------
    columns : mapping
        All of `SCHEMA` but `reason` and `finite_fraction`, n long; `parameters` holds dictionaries.
    pixels : ndarray, (n, stamp_px, stamp_px, 3) float32
    outside : ndarray of bool, (n, stamp_px, stamp_px), optional
        Pixels known to lie beyond the frame.
    faults : sequence of str or None, optional
        Reasons that were found while reading and go before the stamps' own.
    """
    reasons = stamp_reasons(pixels, outside)
    if faults is not None:
        reasons = [fault or reason for fault, reason in zip(faults, reasons, strict=True)]
    judged = {
        **columns,
        "reason": reasons,
        "finite_fraction": finite_fraction(pixels),
        "parameters": [to_json(fields) for fields in columns["parameters"]],
    }
    arrays = [pa.array(judged[field.name], field.type) for field in SCHEMA]
    return Records(pa.Table.from_arrays(arrays, schema=SCHEMA), pixels)


def to_json(fields: Mapping[str, Any]) -> str:
    """Return fields as one line of JSON: sorted, NaN as null, whole numbers beyond 2**53 as text."""
    plain = {name: _plain(value) for name, value in fields.items()}
    return _ENCODER.encode(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT_INTEGER:
        return str(value)
    return value


def night_of(mjd: float, longitude_deg: float = 0.0) -> str:
    """Return the observing night: the whole Julian day, counted from local noon to local noon.

    Parameters
    ----------
    mjd : float
        Modified Julian date, UTC.
    longitude_deg : float
        Of the site, east positive; 0 gives the Julian day number itself.
    """
    return str(math.floor(mjd + MJD_EPOCH_JD + longitude_deg / 360))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def row_id(digest: str, row: int) -> str:
    """Return the id of a record known only by its place: the array file's sha256 (its first half) and the row."""
    return f"{digest[:32]}-{row:07d}"
