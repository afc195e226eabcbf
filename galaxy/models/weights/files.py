"""Files of weights as arrays by name: NumPy's .npz, safetensors, Keras's .h5 and torch files.

The format is recognised by the first bytes, not by the file's name.
"""

import io
import json
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.models.weights.errors import WeightsError
from galaxy.models.weights.torch_files import read_legacy_torch, read_zipped_torch
from galaxy.models.weights.zip_bounds import require_unpackable

FORMATS = ".npz, .safetensors, Keras .h5, or a torch file (.pth)"
MOST_HEADER_BYTES = 100_000_000
"""Of a safetensors file, by its specification."""

_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError),
    *(struct.error, zlib.error, zipfile.BadZipFile, SyntaxError, tokenize.TokenError),
)
"""What readers raise on damaged archives, headers and lengths."""

_BFLOAT16 = "BF16"
_SAFETENSORS_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", _BFLOAT16: "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1", "BOOL": "?",
}  # fmt: skip


def read_arrays(path: Path) -> dict[str, NDArray]:
    """Return the arrays of a file by name; those of ``.h5`` are named LAYER/NUMBER in the layer's order.

    Raises
    ------
    WeightsError
        The file is of another format, is damaged, or holds anything but arrays.
    """
    try:
        reader = _reader(path)
        return reader(path)
    except _DAMAGE as error:
        if isinstance(error, WeightsError):
            raise
        why = error or type(error).__name__
        raise WeightsError(f"{path} cannot be read as weights: {why}; if it is damaged, fetch it again") from error


def _reader(path: Path) -> Callable[[Path], dict[str, NDArray]]:
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise WeightsError(f"{path} is empty: fetch it again")
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_keras_h5
    if start.startswith(b"\x80\x02"):
        return read_legacy_torch
    if start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if all(name.endswith(".npy") for name in names):
            return _read_npz
        if any(name.endswith("/data.pkl") for name in names):
            return read_zipped_torch
    elif start[8:9] == b"{":
        return _read_safetensors
    raise WeightsError(f"{path} is no file of weights that can be read: give {FORMATS}")


def _read_npz(path: Path) -> dict[str, NDArray]:
    """Read each member by itself: NumPy would make room for what a header declares before it looks at what is there."""
    with zipfile.ZipFile(path) as archive:
        require_unpackable(path, archive)
        return {info.filename.removesuffix(".npy"): _npz_member(archive.read(info)) for info in archive.infolist()}


def _npz_member(body: bytes) -> NDArray:
    stream = io.BytesIO(body)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize != len(body) - stream.tell():
        raise ValueError(f"an array {shape} of {dtype} is said to be in {len(body) - stream.tell()} bytes")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def _read_safetensors(path: Path) -> dict[str, NDArray]:
    """Read the format of https://github.com/huggingface/safetensors: a JSON header, then the arrays' bytes."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MOST_HEADER_BYTES:
            raise WeightsError(f"{path} has a header of {length} bytes: it is no safetensors file")
        header: dict[str, Any] = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: _safetensor(path, name, entry, data) for name, entry in header.items()}


def _safetensor(path: Path, name: str, entry: dict[str, Any], data: bytes) -> NDArray:
    kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if kind not in _SAFETENSORS_TYPES:
        raise WeightsError(f"{path} holds {name} as {kind}; known are {', '.join(_SAFETENSORS_TYPES)}")
    dtype = np.dtype(_SAFETENSORS_TYPES[kind])
    if not 0 <= begin <= end <= len(data) or end - begin != math.prod(shape) * dtype.itemsize:
        raise WeightsError(f"{path} is damaged: {name} {shape} is said to be in bytes {begin} to {end}")
    values = np.frombuffer(data[begin:end], dtype).reshape(shape)
    # The upper half of a float32.
    return (values.astype("<u4") << 16).view("<f4") if kind == _BFLOAT16 else values


def _read_keras_h5(path: Path) -> dict[str, NDArray]:
    """Read weights that Keras 1 and 2 wrote, as the files of ``keras.applications`` still are."""
    import h5py

    with h5py.File(path) as file:
        layers = file.get("model_weights", file)
        if "layer_names" not in layers.attrs:
            raise WeightsError(f"{path} is no .h5 file of Keras weights: it has no layer_names")
        return {
            f"{_text(layer)}/{number}": np.asarray(layers[_text(layer)][_text(weight)])
            for layer in layers.attrs["layer_names"]
            for number, weight in enumerate(layers[_text(layer)].attrs["weight_names"])
        }


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
