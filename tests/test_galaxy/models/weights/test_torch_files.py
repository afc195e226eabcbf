"""Torch files: tensors come back as written, and nothing that a file names beside them is run."""

import os
import pickle
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from galaxy.models.weights.errors import WeightsError
from galaxy.models.weights.files import read_arrays
from galaxy.models.weights.torch_files import LEGACY_MAGIC
from tests.weight_files import TorchTensor, tensors, write_legacy_torch, write_zipped_torch

ARRAYS = {
    "kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "count": np.array(7, np.int64),
    "wide": np.linspace(0, 1, 5),
    "empty": np.empty((0, 3), np.float32),
}


@pytest.mark.parametrize("write", [write_legacy_torch, write_zipped_torch])
def test_tensors_come_back_as_they_were_written(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "w.pth", tensors(ARRAYS))
    found = read_arrays(tmp_path / "w.pth")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_view_has_its_own_offset_and_strides(tmp_path: Path) -> None:
    base = np.arange(12, dtype=np.float32)
    write_legacy_torch(tmp_path / "w.pth", OrderedDict(t=TorchTensor("0", base, (2, (2, 3), (1, 2)))))
    np.testing.assert_array_equal(read_arrays(tmp_path / "w.pth")["t"], base[2:8].reshape(3, 2).T)


@pytest.mark.parametrize(
    "view", [(10, (3,), (1,)), (0, (2, 7), (6, 1)), (-1, (2,), (1,)), (4, (2,), (-1,)), (0, (9**9,), (0,))]
)
def test_a_view_beyond_its_storage_is_refused(tmp_path: Path, view) -> None:  # type: ignore[no-untyped-def]
    base = np.arange(12, dtype=np.float32)
    write_legacy_torch(tmp_path / "w.pth", OrderedDict(t=TorchTensor("0", base, view)))
    with pytest.raises(
        WeightsError,
        match=r"w.pth cannot be read as a torch file: (negative|.*reaches|.*more than its 12).*; if it is damaged",
    ):
        read_arrays(tmp_path / "w.pth")


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("where", ["beside a tensor", "alone"])
def test_a_file_that_asks_for_another_name_is_refused_and_not_run(tmp_path: Path, where: str) -> None:
    command = Command(tmp_path / "ran")
    write_legacy_torch(tmp_path / "w.pth", command if where == "alone" else tensors(ARRAYS) | {"z": command})
    with pytest.raises(WeightsError, match=r"w.pth is a torch file, but it asks for (posix|nt).system"):
        read_arrays(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


MAGIC = pickle.dumps(LEGACY_MAGIC, 2)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (MAGIC + b"\x80\x02}r\x00\x00\x00\x80.", "note 2147483648 is instruction 2"),
        (MAGIC + b"\x80\x02\x8d" + (2**40).to_bytes(8, "little") + b"a.", "expected 1099511627776 bytes"),
        (MAGIC + b"\x80\x02X\xff\xff\xff\x7fa.", "expected 2147483647 bytes"),
    ],
)
def test_an_instruction_that_would_take_all_memory_is_not_followed(tmp_path: Path, body: bytes, why: str) -> None:
    (tmp_path / "w.pth").write_bytes(body)
    tracemalloc.start()
    with pytest.raises(WeightsError, match=why):
        read_arrays(tmp_path / "w.pth")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_storage_of_more_numbers_than_the_file_has_is_refused(tmp_path: Path) -> None:
    write_legacy_torch(tmp_path / "w.pth", tensors({"a": np.arange(5.0)}))
    whole = (tmp_path / "w.pth").read_bytes()
    at = len(whole) - 5 * 8 - 8
    assert int.from_bytes(whole[at : at + 8], "little") == 5
    (tmp_path / "w.pth").write_bytes(whole[:at] + (2**40).to_bytes(8, "little") + whole[at + 8 :])
    with pytest.raises(WeightsError, match="ends early"):
        read_arrays(tmp_path / "w.pth")


@pytest.mark.parametrize("items", [[1, 2], {"epoch": 3}, 5])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, items) -> None:  # type: ignore[no-untyped-def]
    write_legacy_torch(tmp_path / "w.pth", items)
    with pytest.raises(WeightsError, match="no tensors by name"):
        read_arrays(tmp_path / "w.pth")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, share: float) -> None:
    write_legacy_torch(tmp_path / "w.pth", tensors(ARRAYS))
    whole = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match=r"w\.pth"):
        read_arrays(tmp_path / "w.pth")
