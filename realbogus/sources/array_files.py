"""Array files of triplets: ``.npy``, mapped into memory, and members of ``.npz``, read as a stream.

Nothing is unpickled: a file of Python objects is refused. Memory use is that of the requested rows.
"""

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from realbogus.records import SourceError

_REAL_KINDS = "iuf"
_HEADER_FAULTS = (
    *(ValueError, TypeError, EOFError, OSError, zlib.error, zipfile.BadZipFile),
    *(SyntaxError, tokenize.TokenError, RecursionError, MemoryError),  # a header is an expression of Python
)
_ID_MEMBERS = ("candid", "id", "diasourceid", "objectid", "alertid", "alert_id", "oid")


class StampArray:
    """The (n, height, width, 3) array of a file, read by rows.

    An ``.npy`` is mapped again for every range of rows, so that pages already read do not stay in memory. An ``.npz``
    is kept open, so that rows read in order take one pass; the open file is not pickled.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    """

    def __init__(self, path: Path) -> None:
        """Open the array.

        Raises
        ------
        SourceError
            The file is not an array of triplets of real numbers, holds Python objects, or is truncated.
        """
        self.path = path
        self._member = _choose_member(path) if _is_npz(path) else None
        self._stream: BinaryIO | None = None
        with _open_plain(path, self._member) as stream:
            shape, fortran, self._dtype = _read_header(stream, self._name)
            self._start = stream.tell()
        if len(shape) != 4 or shape[3] != 3:
            raise SourceError(f"{self._name} has shape {shape}, expected (n, height, width, 3)")
        self.shape = shape
        size, declared = _plain_size(path, self._member) - self._start, math.prod(shape) * self._dtype.itemsize
        if size != declared:
            raise SourceError(f"{self._name} declares {declared:,} bytes of {shape} {self._dtype}, it holds {size:,}")
        self._fortran = fortran
        if fortran and self._member is not None:
            raise SourceError(f"{self._name} is in Fortran order: save it in C order, or as .npy")

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    @property
    def _name(self) -> str:
        return str(self.path) if self._member is None else f"{self.path}: member {self._member}"

    def rows(self, first: int, count: int) -> np.ndarray:
        """Return up to `count` rows, shape (count, height, width, 3), in the file's type; a view of a mapped file."""
        count = min(count, len(self) - first)
        if self._member is None:
            return self._map_rows()[first : first + count]
        row_bytes = int(np.prod(self.shape[1:])) * self._dtype.itemsize
        try:
            if self._stream is None:
                self._stream = _open_plain(self.path, self._member)
            self._stream.seek(self._start + first * row_bytes)
            values = np.frombuffer(self._stream.read(count * row_bytes), self._dtype)
            return values.reshape(count, *self.shape[1:])
        except (zlib.error, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            raise SourceError(f"{self._name} cannot be read at row {first}: {error}") from error

    def _map_rows(self) -> np.ndarray:
        if 0 in self.shape:
            return np.zeros(self.shape, self._dtype)
        return np.memmap(self.path, self._dtype, "r", self._start, self.shape, "F" if self._fortran else "C")


def read_member_columns(path: Path, rows: int) -> dict[str, list[str]]:
    """Return the one-dimensional members of an ``.npz`` that have `rows` numbers or texts, each as text.

    Raises
    ------
    SourceError
        A member of ids has another length.
    """
    columns: dict[str, list[str]] = {}
    if not _is_npz(path):
        return columns
    for member in _member_names(path):
        with _open_plain(path, member) as stream:
            shape, _, dtype = _read_header(stream, f"{path}: member {member}")
            name = member.removesuffix(".npy")
            if len(shape) == 1 and shape != (rows,) and name.lower() in _ID_MEMBERS:
                raise SourceError(f"{path} has {shape[0]} of {name} for {rows} candidates")
            if shape == (rows,) and dtype.kind in "iufbUS":
                values = _member_values(stream, rows, dtype, f"{path}: member {member}")
                text = np.char.decode(values, "latin-1") if dtype.kind == "S" else values
                columns[name] = [str(value) for value in text.tolist()]
    return columns


def _member_values(stream: BinaryIO, rows: int, dtype: np.dtype, name: str) -> np.ndarray:
    try:
        values = np.frombuffer(stream.read(rows * dtype.itemsize), dtype)
    except (zlib.error, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise SourceError(f"{name} cannot be read: {error}") from error
    if len(values) != rows:
        raise SourceError(f"{name} holds {len(values)} of {rows} values")
    return values


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def _member_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceError(f"{path} is not a readable .npz: {error}") from error


def _choose_member(path: Path) -> str:
    """Return the name of the only four-dimensional member, ``triplets.npy`` if there are several."""
    candidates = []
    for name in _member_names(path):
        with _open_plain(path, name) as stream:
            if len(_read_header(stream, f"{path}: member {name}")[0]) == 4:
                candidates.append(name)
    if "triplets.npy" in candidates:
        return "triplets.npy"
    if len(candidates) != 1:
        raise SourceError(f"{path} has {len(candidates)} four-dimensional members {candidates}: name one 'triplets'")
    return candidates[0]


def _open_plain(path: Path, member: str | None) -> BinaryIO:
    try:
        if member is None:
            return path.open("rb")
        return cast(BinaryIO, zipfile.ZipFile(path).open(member))
    except (zipfile.BadZipFile, RuntimeError, OSError) as error:  # RuntimeError: a member with a password
        raise SourceError(f"{path} cannot be opened: {error}") from error


def _plain_size(path: Path, member: str | None) -> int:
    if member is None:
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo(member).file_size


def _read_header(stream: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether in Fortran order, and dtype of an array file; the stream is left at the values."""
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise SourceError(f"{name} is of .npy version {version}, expected (1, 0) or (2, 0)")
        shape, fortran, dtype = read(stream)
    except SourceError:
        raise
    except _HEADER_FAULTS as error:
        raise SourceError(f"{name} is not a NumPy array file: {error}") from error
    if min(shape, default=0) < 0:
        raise SourceError(f"{name} is said to have shape {shape}")
    if dtype.hasobject:
        raise SourceError(f"{name} holds Python objects, which would have to be unpickled: save plain numbers")
    if len(shape) == 4 and dtype.kind not in _REAL_KINDS:
        raise SourceError(f"{name} is of type {dtype}, expected whole or floating-point numbers")
    return shape, fortran, dtype
