"""The published layout of real/bogus triplets: ``images{ID}.npy`` and ``params{ID}.csv`` per detector.

The arrays are (n, 29, 29, 3); the column ``object_type`` gives the class of a row. Arrays are mapped into memory and
read by rows, tables are loaded completely. Ids are the array file's sha256 and the row.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from realbogus.readings import Reading
from realbogus.records import (
    BOGUS,
    DETECTION,
    GALAXY_INJECTION,
    RANDOM_INJECTION,
    REAL,
    BatchKey,
    FileSpan,
    Records,
    SourceError,
    file_sha256,
    make_records,
    read_records,
    row_id,
)
from realbogus.row_tables import RowTable
from realbogus.sources.array_files import StampArray
from realbogus.sources.triplets import TableReader, read_plain_table
from realbogus.stamps import fit_size

BATCH_ROWS = 4096
OBJECT_TYPES = {
    "artifact": (BOGUS, DETECTION),
    "galx_artificial_real": (REAL, GALAXY_INJECTION),
    "rand_artificial_real": (REAL, RANDOM_INJECTION),
}
"""Published word -> label and kind."""
_WORDS = {meaning: word for word, meaning in OBJECT_TYPES.items()}


@dataclass(frozen=True)
class DetectorFiles:
    """One detector's array and table, whose lengths agree and whose object types are known."""

    detector: str
    array: StampArray
    table: RowTable


class ZenodoSource:
    """A folder in the published layout.

    Parameters
    ----------
    path : Path
        The folder.
    stamp_px : int
        Width of the returned stamps; others are cut or padded by `stamps.fit_size`.
    group_column : str, optional
        Column of the group; by default every row is a group of its own.
    read_table : TableReader
        Picklable.
    batch_rows : int

    Raises
    ------
    SourceError
        There is no array, an array without its table, or a table without its array.
    """

    def __init__(
        self,
        path: Path,
        stamp_px: int = 29,
        group_column: str | None = None,
        read_table: TableReader = read_plain_table,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.path, self.stamp_px, self.group_column, self.batch_rows = path, stamp_px, group_column, batch_rows
        self.read_table = read_table
        self.detectors = _find_detectors(path)
        self._opened: DetectorFiles | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def batches(self) -> list[BatchKey]:
        """Return the batches, by detector and row; hashes every array and reads every table."""
        return [batch for detector in self.detectors for batch in self._detector_batches(detector)]

    def _detector_batches(self, detector: str) -> Iterator[BatchKey]:
        count = len(self._open(detector).array)
        digest = file_sha256(self.path / f"images{detector}.npy")
        for first in range(0, count, self.batch_rows):
            part = FileSpan(detector, first, min(self.batch_rows, count - first))
            yield BatchKey(f"{digest[:16]}-{first:08d}", (part,), digest)

    def ids(self, batch: BatchKey) -> list[str]:
        """Return the ids of a batch."""
        (part,) = batch.parts
        return [row_id(batch.identity, row) for row in range(part.first, part.first + part.count)]

    def places(self, batch: BatchKey) -> list[str]:
        """Return file and row of each record of a batch."""
        (part,) = batch.parts
        file = self.path / f"images{part.file}.npy"
        return [f"{file} row {row}" for row in range(part.first, part.first + part.count)]

    def read(self, batch: BatchKey) -> Records:
        """Return the records of a batch."""
        (part,) = batch.parts
        files = self._open(part.file)
        table, first, count = files.table, part.first, part.count
        ids = self.ids(batch)
        groups: Sequence[str | None] = ids
        if self.group_column is not None:
            groups = table.text(self.group_column, first, count)
        meanings = [OBJECT_TYPES[str(word)] for word in table.text("object_type", first, count)]
        columns: dict[str, Sequence[Any]] = {
            "id": ids,
            "group": [group or own for group, own in zip(groups, ids, strict=True)],
            "ra_deg": pa.array(table.positions[0][first : first + count], from_pandas=True),
            "dec_deg": pa.array(table.positions[1][first : first + count], from_pandas=True),
            "label": [label for label, _ in meanings],
            "kind": [kind for _, kind in meanings],
            "detector": [files.detector] * count,
            "night": table.nights(first, count, longitude_deg=0.0),
            "epoch_mjd": table.epochs_mjd[first : first + count].tolist(),
            "parameters": table.parameters(first, count),
        }
        stamps = fit_size(files.array.rows(first, count), self.stamp_px)
        return make_records(columns, stamps, reading=_reading(table, first, count))

    def _open(self, detector: str) -> DetectorFiles:
        """Open a detector's files; they stay open until another's are needed, as batches come in order."""
        if self._opened is None or self._opened.detector != detector:
            self._opened = _open_detector(self.path, detector, self.read_table)
        return self._opened


def published_word(label: str | None, kind: str) -> str | None:
    """Return the published word for a label and kind; None where there is none (unlabelled, a known object)."""
    return _WORDS.get((label or "", kind))


def read_zenodo(path: Path, stamp_px: int = 29, group_column: str | None = None) -> Iterator[Records]:
    """Yield the records of a folder in the published layout, up to 4,096 at a time.

    Raises
    ------
    SourceError
        As of `ZenodoSource`; an object type is unknown, or an array and its table differ in length.
    """
    yield from read_records(ZenodoSource(path, stamp_px, group_column))


def _find_detectors(path: Path) -> list[str]:
    """Return the detectors of a folder, numbers first and in numerical order."""
    if not path.is_dir():
        raise SourceError(f"{path} is not a folder; the published layout is a folder of images*.npy and params*.csv")
    arrays = {match[1] for file in path.iterdir() if (match := re.fullmatch(r"images(.+)\.npy", file.name))}
    tables = {match[1] for file in path.iterdir() if (match := re.fullmatch(r"params(.+)\.csv", file.name))}
    if not arrays:
        raise SourceError(f"{path} holds no images*.npy")
    for name in sorted(arrays ^ tables):
        lacking = f"params{name}.csv" if name in arrays else f"images{name}.npy"
        raise SourceError(f"{path} lacks {lacking}, the other half of detector {name}")
    return sorted(arrays, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def _reading(table: RowTable, first: int, count: int) -> Reading:
    """Return the reading of a table of the published layout: id, detector and label come from the layout itself."""
    reading = table.reading(first, count)
    own = {"id": "array file and row", "detector": "file name", "label": "object_type"}
    missing = {role: number for role, number in reading.missing.items() if role not in own}
    return replace(reading, understood={**reading.understood, **own}, missing=missing)


def _open_detector(path: Path, detector: str, read_table: TableReader) -> DetectorFiles:
    array = StampArray(path / f"images{detector}.npy")
    table = read_table(path / f"params{detector}.csv", None)
    if len(array) != len(table):
        raise SourceError(
            f"{array.path} has {len(array)} rows, {table.path} has {len(table)}: they must go row for row"
        )
    words = table.text("object_type")
    if not set(words) <= set(OBJECT_TYPES):
        row = next(row for row, word in enumerate(words) if word not in OBJECT_TYPES)
        types = ", ".join(OBJECT_TYPES)
        raise SourceError(f"{table.path}: row {row} has the unknown object_type {words[row]!r}; known are {types}")
    return DetectorFiles(detector, array, table)


MADE_DTYPES = ("<f4", "<f8", "<i2", ">f4")
_REAL_SHARE = 0.376  # of the published set
_ODD_SHARE = 0.005  # of rows with a constant reference, and again of rows with a strip of NaN
_MADE_PX = 29
_PSF_SIGMA_PX = 1.4
_COLUMNS = ("", "object_type", "mag", "x", "y", "mjd")


def write_published_layout(folder: Path, detectors: int, rows: int, rng: np.random.Generator) -> None:
    """Write a synthetic set in the published layout with its quirks; its pixels model no real camera.

    Types differ from detector to detector (`MADE_DTYPES`), tables have an unnamed index and further columns in
    changing order, a few stamps have a constant reference, a few a strip of NaN (integers have none).

    Parameters
    ----------
    folder : Path
        Created if absent.
    detectors : int
    rows : int
        Per detector; 10.1 KB of float32 per row.
    rng : Generator
    """
    folder.mkdir(parents=True, exist_ok=True)
    for detector in range(1, detectors + 1):
        words = rng.choice(list(OBJECT_TYPES), rows, p=[1 - _REAL_SHARE, _REAL_SHARE / 2, _REAL_SHARE / 2])
        dtype = np.dtype(MADE_DTYPES[(detector - 1) % len(MADE_DTYPES)])
        shape = (rows, _MADE_PX, _MADE_PX, 3)
        images = np.lib.format.open_memmap(folder / f"images{detector}.npy", "w+", dtype, shape)
        for first in range(0, rows, BATCH_ROWS):
            stamps = _make_stamps(words[first : first + BATCH_ROWS], rng)
            if dtype.kind == "f":
                _blank_strips(stamps, rng)
            images[first : first + len(stamps)] = stamps
        images.flush()
        _write_parameters(folder / f"params{detector}.csv", words, detector, rng)


def _make_stamps(words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return triplets, (n, 29, 29, 3): a transient with its host, or a dipole, a hot pixel or a noise peak."""
    count = len(words)
    noise = rng.standard_normal((2, count, _MADE_PX, _MADE_PX), np.float32) * np.float32(10)
    new, reference = noise[0] + 300, noise[1] * np.float32(0.4) + 300
    artefact = words == "artifact"
    sort = rng.integers(0, 3, count)
    brightness = 10 ** rng.uniform(1.5, 3.0, count)
    new += _blobs(np.where(artefact & (sort == 1), 0, brightness), _PSF_SIGMA_PX, rng.uniform(-0.5, 0.5, (2, count)))
    reference += _blobs(np.where(artefact & (sort == 0), brightness, 0), _PSF_SIGMA_PX, rng.normal(0, 0.7, (2, count)))
    host = _blobs(np.where(words == "galx_artificial_real", 200, 0), 3.0, rng.normal(0, 2.0, (2, count)))
    new, reference = new + host, reference + host
    hot = np.flatnonzero(artefact & (sort == 1))
    new[hot, _MADE_PX // 2, _MADE_PX // 2] += brightness[hot]
    reference[rng.random(count) < _ODD_SHARE] = 0
    return np.stack([new, reference, new - reference], axis=-1)


def _blobs(peak: np.ndarray, sigma_px: float, shift: np.ndarray) -> np.ndarray:
    """Return round Gaussians, (n, 29, 29) float32, offset from the centre by `shift`, (2, n), along y and x."""
    steps = np.arange(_MADE_PX) - _MADE_PX // 2
    along = np.exp(-((steps - shift[..., None]) ** 2) / (2 * sigma_px**2)).astype(np.float32)
    return (peak[:, None] * along[0]).astype(np.float32)[:, :, None] * along[1][:, None, :]


def _blank_strips(stamps: np.ndarray, rng: np.random.Generator) -> None:
    """Set strips of up to 20 columns at the left edge of one plane to NaN, in a few stamps."""
    for index in np.flatnonzero(rng.random(len(stamps)) < _ODD_SHARE):
        stamps[index, :, : rng.integers(1, 21), rng.integers(0, 3)] = np.nan


def _write_parameters(path: Path, words: np.ndarray, detector: int, rng: np.random.Generator) -> None:
    count = len(words)
    magnitudes = [
        "" if word == "artifact" else f"{mag:.3f}" for word, mag in zip(words, rng.uniform(14, 19, count), strict=True)
    ]
    x, y = rng.uniform(0, 2000, count), rng.uniform(0, 1128, count)
    mjd = 59000 + rng.integers(0, 30, count) + rng.uniform(0.4, 0.8, count)
    lines = zip(range(count), words, magnitudes, x.round(2), y.round(2), mjd.round(5), strict=True)
    turn = detector % len(_COLUMNS)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS[turn:] + _COLUMNS[:turn])
        writer.writerows(line[turn:] + line[:turn] for line in lines)
