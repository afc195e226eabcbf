"""Torch files as arrays by name, without torch and without running what they hold.

Such a file is a pickle. Its unpickler knows `OrderedDict`, the function that rebuilds a tensor, and the kinds of
storage, and refuses every other name.
"""

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from galaxy.models.weights.errors import WeightsError
from galaxy.models.weights.zip_bounds import require_unpackable

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "?",
}  # fmt: skip
_NOTING = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_MALFORMED = (pickle.UnpicklingError, EOFError, TypeError, ValueError, LookupError, AttributeError, OverflowError)


@dataclass(frozen=True)
class _Storage:
    """A run of numbers in the file, named by its key."""

    key: str
    dtype: np.dtype


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage: offset, shape and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, values: NDArray) -> NDArray:
        """Return the tensor's numbers, given those of its storage."""
        if min((self.offset, *self.shape, *self.strides)) < 0:
            raise ValueError(f"negative offset, shape or stride: {self}")
        if math.prod(self.shape) > len(values):  # a stride of zero would make any number of numbers from one
            raise ValueError(f"{self} has more than its {len(values)} numbers")
        reach = sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))
        if 0 not in self.shape and self.offset + reach >= len(values):
            raise ValueError(f"{self} reaches beyond its {len(values)} numbers")
        steps = tuple(stride * values.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


def read_legacy_torch(path: Path) -> dict[str, NDArray]:
    """Return the arrays of a file that torch wrote before version 1.6: five pickles, then the storages.

    Raises
    ------
    WeightsError
        The file is damaged, or holds anything but named tensors.
    """

    def read() -> dict[str, NDArray]:
        with path.open("rb") as plain:
            file = _Bounded(plain)
            if _unpickled(file)[0] != LEGACY_MAGIC:
                raise ValueError("it does not begin with torch's number")
            _unpickled(file)  # version of the format
            if not _unpickled(file)[0]["little_endian"]:
                raise ValueError("its numbers are big-endian")
            tensors, storages = _unpickled(file)
            values = {key: _read_storage(file, storages[key]) for key in _unpickled(file)[0]}
        return _arrays(tensors, values)

    return _read_strictly(path, read)


def read_zipped_torch(path: Path) -> dict[str, NDArray]:
    """Return the arrays of a file that torch writes since version 1.6: a zip archive; errors as above."""

    def read() -> dict[str, NDArray]:
        with zipfile.ZipFile(path) as archive:
            require_unpackable(path, archive)
            (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            tensors, storages = _unpickled(_Bounded(io.BytesIO(archive.read(pickled))))
            folder = pickled.removesuffix("data.pkl")
            values = {
                key: np.frombuffer(archive.read(f"{folder}data/{key}"), storage.dtype)
                for key, storage in storages.items()
            }
        return _arrays(tensors, values)

    return _read_strictly(path, read)


class _Bounded:
    """A file that is asked for no more bytes than it has: a reader makes room for all that it is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)

    def read(self, size: int) -> bytes:
        """Return at most so many bytes."""
        return self._file.read(min(size, self._size - self._file.tell()))

    def readline(self) -> bytes:
        """Return the rest of a line."""
        return self._file.readline()

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def seek(self, place: int) -> None:
        """Go to a place."""
        self._file.seek(place)


def _unpickled(file: _Bounded) -> tuple[Any, dict[str, "_Storage"]]:
    """Return what the pickle at the place of a file holds, and the storages that it names.

    Its instructions are looked at first: one that notes a value under a number of its own makes the unpickler keep room
    for all numbers below, so a few bytes could take all memory.
    """
    begin = file.tell()
    instructions = pickletools.genops(file)  # type: ignore[arg-type]  # of a file it takes read, readline and tell
    for count, (instruction, argument, _) in enumerate(instructions):
        if instruction.name in _NOTING and int(argument or 0) > count:
            raise pickle.UnpicklingError(f"note {argument} is instruction {count}")
    file.seek(begin)
    unpickler = _Unpickler(file)
    return unpickler.load(), unpickler.storages


class _Unpickler(pickle.Unpickler):
    """Knows the names that a file of tensors needs, and no other."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGES:
            return np.dtype(STORAGES[name])
        raise WeightsError(f"it asks for {module}.{name}, which a file of tensors does not need: it is not read")

    def persistent_load(self, identity: Any) -> _Storage:
        kind, dtype, key, *_ = identity
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise pickle.UnpicklingError("a storage is named as no storage is")
        return self.storages.setdefault(key, _Storage(key, dtype))


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _read_storage(file: _Bounded, storage: _Storage) -> NDArray:
    count = int.from_bytes(file.read(8), "little")
    data = file.read(count * storage.dtype.itemsize)
    if len(data) != count * storage.dtype.itemsize:
        raise EOFError(f"{storage.key} ends early")
    return np.frombuffer(data, storage.dtype)


def _arrays(tensors: Any, values: Mapping[str, NDArray]) -> dict[str, NDArray]:
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise ValueError("it holds no tensors by name (a state_dict)")
    return {str(name): tensor.of(values[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_strictly(path: Path, read: Callable[[], dict[str, NDArray]]) -> dict[str, NDArray]:
    """Return what `read` returns; whatever a malformed pickle raises becomes one error that names the file."""
    try:
        return read()
    except WeightsError as error:
        raise WeightsError(f"{path} is a torch file, but {error}") from error
    except _MALFORMED as error:
        why = error or type(error).__name__
        raise WeightsError(f"{path} cannot be read as a torch file: {why}; if it is damaged, fetch it again") from error
