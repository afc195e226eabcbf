"""Records: the common form of candidates from every source of ready-made triplets, and the batches they are read in.

A record is one candidate with its stamps. Sources keep their own fields as JSON text in `parameters`. One rule decides
for all sources whether a record can be stored: `realbogus.stamps.stamp_reasons`.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from realbogus.readings import Reading
from realbogus.stamps import finite_fraction, stamp_reasons

REAL, BOGUS = "real", "bogus"
GALAXY_INJECTION, RANDOM_INJECTION, DETECTION = "galaxy_injection", "random_injection", "detection"
VARIABLE_INJECTION = "variable_injection"
"""An injection that brightens a star or the nucleus of a galaxy."""
INJECTIONS = (GALAXY_INJECTION, RANDOM_INJECTION, VARIABLE_INJECTION)
MATCH_RADIUS_PX = 2.0
"""A detection within this distance of an injection is the injection, recovered."""
CORRUPT = "corrupt"
"""Reason of a record whose bytes cannot be decoded; its stamps are NaN."""
NO_STAMP = "no_stamp"
"""Reason of a record that lacks one of its three stamps."""
NO_EPOCH = "no_epoch"
"""Reason of a frame or a row that cannot be compared with dated known objects."""

NEGATIVE_WORDS = frozenset({"f", "0", "0.0", "false"})
"""Values of ZTF's ``isdiffpos`` where the difference is reference minus new."""
NEGATED_FLAG, NEGATED = "difference_was", "reference minus new"
"""Parameter, and its value, of a record whose difference was negated to be new minus reference."""

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
    """A source cannot be read; the message names the file, the fault and the remedy."""


@dataclass(frozen=True)
class Records:
    """Candidates with their stamps, row for row.

    Attributes
    ----------
    table : pa.Table of `SCHEMA`
        `id` is the source's own identity. `label` is real, bogus or null (unlabelled). `reason` says why a record
        cannot be stored (null where it can). `finite_fraction` is the share of finite values over all planes.
        `parameters` is a JSON object of the source's own fields.
    pixels : ndarray of shape (n, stamp_px, stamp_px, 3) float32, the source's raw units
        New, reference, difference = new minus reference; NaN where there is no data.
    epochs_mjd : ndarray of shape (n,) float64
        UTC; NaN where there is none.
    reading : Reading
        Which fields were understood as what, and how many of these records lack them.
    """

    table: pa.Table
    pixels: np.ndarray
    epochs_mjd: np.ndarray
    reading: Reading = field(default_factory=Reading)

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class FileSpan:
    """A contiguous range of one file: rows of an array, or bytes of a packet file."""

    file: str
    first: int
    count: int


@dataclass(frozen=True)
class BatchKey:
    """A fixed list of records that is read together.

    Attributes
    ----------
    name : str
        Depends on the source's content alone; a valid file name.
    parts : tuple of FileSpan
        The file ranges that hold the records.
    identity : str
        Digest of the array file, from which ids are made when the records have none of their own.
    """

    name: str
    parts: tuple[FileSpan, ...]
    identity: str = ""


class RecordSource(Protocol):
    """A source of records in batches of a few thousand. Picklable: every process opens its own files."""

    def batches(self) -> Sequence[BatchKey]:
        """Return all batches, in an order that depends on the input alone."""

    def ids(self, batch: BatchKey) -> list[str]:
        """Return the ids of the records that `read` returns, without decoding stamps."""

    def places(self, batch: BatchKey) -> list[str]:
        """Return where each of these records stands: its file, and its row where the file has rows."""

    def read(self, batch: BatchKey) -> Records:
        """Return a batch's records, in the order of `ids`."""


def read_records(source: RecordSource) -> Iterator[Records]:
    """Yield all of a source's records, batch by batch."""
    for batch in source.batches():
        yield source.read(batch)


def find_places(source: RecordSource, keys: Sequence[BatchKey], sample_id: str) -> list[str]:
    """Return where the first two records of an id stand in some batches, each place once."""
    places: dict[str, None] = {}
    for key in dict.fromkeys(keys):
        found = zip(source.ids(key), source.places(key), strict=True)
        places |= dict.fromkeys(place for name, place in found if name == sample_id)
    return list(places)[:2]


def make_records(
    columns: Mapping[str, Sequence[Any]],
    pixels: np.ndarray,
    outside: np.ndarray | None = None,
    faults: Sequence[str | None] | None = None,
    reading: Reading | None = None,
) -> Records:
    """Make records from stamps and their columns; adds the reason and the finite fraction.

    Parameters
    ----------
    columns : mapping
        All of `SCHEMA` but `reason` and `finite_fraction`, n long; `parameters` holds dictionaries. ``epoch_mjd``,
        where it is given, holds epochs (MJD, UTC), NaN or None where there is none.
    pixels : ndarray of shape (n, stamp_px, stamp_px, 3) float32
    outside : ndarray of bool, shape (n, stamp_px, stamp_px), optional
        Pixels known to lie beyond the frame.
    faults : sequence of str or None, optional
        Reasons found while reading; they take precedence over those of the stamps.
    reading : Reading, optional
    """
    reasons = stamp_reasons(pixels, outside)
    if faults is not None:
        reasons = [fault or reason for fault, reason in zip(faults, reasons, strict=True)]
    complete = {
        **columns,
        "reason": reasons,
        "finite_fraction": finite_fraction(pixels),
        "parameters": [to_json(fields) for fields in columns["parameters"]],
    }
    arrays = [pa.array(complete[field.name], field.type) for field in SCHEMA]
    epochs_mjd = np.array(columns.get("epoch_mjd", [np.nan] * len(pixels)), np.float64)
    return Records(pa.Table.from_arrays(arrays, schema=SCHEMA), pixels, epochs_mjd, reading or Reading())


def to_json(fields: Mapping[str, Any]) -> str:
    """Return fields as one line of JSON: keys sorted, non-finite numbers as null, integers beyond 2**53 as text."""
    plain = {name: _plain(value) for name, value in fields.items()}
    return _ENCODER.encode(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT_INTEGER:
        return str(value)
    return value


def night_of(mjd: float, longitude_deg: float = 0.0) -> str:
    """Return the observing night: the Julian day number, counted from local noon to local noon.

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
    """Return the id of a record that has none: the first half of the array file's sha256, and the row."""
    return f"{digest[:32]}-{row:07d}"
