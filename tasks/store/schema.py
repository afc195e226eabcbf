"""Names, columns and versions of the dataset format; README.md beside this file is its specification."""

import re
from typing import Literal

import pyarrow as pa

from tasks.store.errors import DamagedTableError, DatasetNameError, DatasetNotFoundError

FORMAT_VERSION = 2
"""The format of new datasets. A dataset keeps the format in which it was begun."""
READABLE_VERSIONS = (1, 2)

Problem = Literal["galaxy", "realbogus"]
"""``problem`` of the manifest; also the name of the problem's experiment in MLflow."""
GALAXY: Problem = "galaxy"
REALBOGUS: Problem = "realbogus"

CURRENT = "CURRENT"
VERSIONS = "versions"
STAGING = "staging"
BUILDERS = "at-work"
"""Folder of a dataset on an object store with an object for each builder, named by the token of its state folder."""
PIXELS = "pixels.zarr"
SAMPLES = "samples.parquet"

STORED = "stored"
REJECTED = "rejected"

PIXEL_DIMENSIONS = ("sample", "y", "x", "channel")

LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("row", pa.int64()),
        ("group", pa.string()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("source", pa.string()),
        ("parameters", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("attempts", pa.int32()),
        ("raw_sha256", pa.string()),
        ("pixel_sha256", pa.string()),
        ("finished_at", pa.timestamp("us", tz="UTC")),
    ]
)

SPLIT = pa.schema([("id", pa.string()), ("group", pa.string()), ("part", pa.string())])

TRUTH = pa.schema([("id", pa.string()), ("truth", pa.string()), ("origin", pa.string())])

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """Return `name` if it may name a dataset, a catalogue or a relabelling."""
    if not NAME.fullmatch(name):
        raise DatasetNameError(
            f"{name!r} is not a name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
        )
    return name


def parse_reference(reference: str) -> tuple[str, int | None]:
    """Return name and version of ``NAME@3``; the version of ``NAME`` is None, which stands for the published one.

    Raises
    ------
    DatasetNameError
        The name cannot be a dataset's.
    DatasetNotFoundError
        The version is no number.
    """
    name, _, version = reference.partition("@")
    check_name(name)
    if version and not version.isdecimal():
        raise DatasetNotFoundError(f"no dataset {reference!r}: a version is a number, such as {name}@3")
    return name, int(version) if version else None


def version_folder(version: int) -> str:
    """Return the folder name of a version, six digits."""
    return f"{version:06d}"


def parse_current(content: bytes, place: str, versions: str = "a version") -> int:
    """Return the number of a version that ``CURRENT`` at `place` holds; `versions` are those there are.

    Raises
    ------
    DamagedTableError
        It holds no number.
    """
    if not content.strip().isdigit():
        raise DamagedTableError(
            f"{place} holds {content[:20]!r}, not the number of a version; write the number of {versions} into it"
        )
    return int(content)
