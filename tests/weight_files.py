"""Files of weights as other programs write them: safetensors and both torch formats, written without either."""

import io
import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


def write_safetensors(path: Path, arrays: Mapping[str, NDArray], kind: str = "F32") -> None:
    """Write arrays as F32, or as BF16 by their upper halves."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in arrays.items():
        values = np.ascontiguousarray(array, "<f4")
        packed = (values.view("<u4") >> 16).astype("<u2").tobytes() if kind == "BF16" else values.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@contextmanager
def torch_names() -> Iterator[types.ModuleType]:
    """Modules of torch's names, so that a pickle may refer to them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild(*_: Any) -> None: ...

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", *["_rebuild_tensor_v2"] * 2
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield torch


class TorchTensor:
    """Stands for a tensor of a whole storage, or of a part of it with strides of its own."""

    def __init__(self, key: str, values: NDArray, view: tuple[int, tuple[int, ...], tuple[int, ...]] | None = None):
        self.key, self.values = key, np.ascontiguousarray(values)
        steps = tuple(stride // self.values.itemsize for stride in self.values.strides)
        self.view = view or (0, self.values.shape, steps)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        storage = TorchStorage(self.key, self.values)
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (storage, *self.view, False, OrderedDict())


class TorchStorage:
    """Stands for a storage; pickled by its identity."""

    def __init__(self, key: str, values: NDArray):
        self.key, self.values = key, values


class _Pickler(pickle.Pickler):
    def persistent_id(self, item: Any) -> Any:
        if not isinstance(item, TorchStorage):
            return None
        kind = getattr(sys.modules["torch"], STORAGES[str(item.values.dtype)])
        return ("storage", kind, item.key, "cpu", item.values.size, None)


def pickled(item: Any) -> bytes:
    """Return an object's pickle in torch's way."""
    stream = io.BytesIO()
    with torch_names():
        _Pickler(stream, 2).dump(item)
    return stream.getvalue()


def tensors(arrays: Mapping[str, NDArray]) -> "OrderedDict[str, TorchTensor]":
    """Return arrays as tensors of storages of their own."""
    return OrderedDict((name, TorchTensor(f"{n}", array)) for n, (name, array) in enumerate(arrays.items()))


def write_legacy_torch(path: Path, items: Any) -> None:
    """Write what ``torch.save(items)`` wrote before version 1.6; `items` are as of `tensors`, or anything else."""
    parts = [pickled(0x1950A86A20F9469CFC6C), pickled(1001), pickled({"little_endian": True}), pickled(items)]
    storages = (
        {t.key: t.values for t in items.values() if isinstance(t, TorchTensor)} if isinstance(items, dict) else {}
    )
    parts.append(pickled(list(storages)))
    parts += [struct.pack("<q", values.size) + values.tobytes() for values in storages.values()]
    path.write_bytes(b"".join(parts))


def write_zipped_torch(path: Path, items: "OrderedDict[str, TorchTensor]") -> None:
    """Write what ``torch.save(items)`` writes since version 1.6."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(items))
        for tensor in items.values():
            archive.writestr(f"archive/data/{tensor.key}", tensor.values.tobytes())
