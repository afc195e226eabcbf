"""Files of weights: the format is found by content, and a damaged or foreign file is named."""

import struct
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from galaxy.models.weights.errors import WeightsError
from galaxy.models.weights.files import read_arrays
from tests.weight_files import write_safetensors

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b/c": np.float32([0.5, -1.25])}


def test_an_npz_file_comes_back_whatever_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **ARRAYS)
    (tmp_path / "w.npz").rename(tmp_path / "w.h5")
    found = read_arrays(tmp_path / "w.h5")
    assert {name: array.tolist() for name, array in found.items()} == {n: a.tolist() for n, a in ARRAYS.items()}


def test_safetensors_come_back_whole_and_halved(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "w.safetensors", ARRAYS)
    for name, array in read_arrays(tmp_path / "w.safetensors").items():
        np.testing.assert_array_equal(array, ARRAYS[name])
    write_safetensors(tmp_path / "half.safetensors", ARRAYS, "BF16")  # these values have short mantissas
    for name, array in read_arrays(tmp_path / "half.safetensors").items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_a_keras_h5_file_gives_each_layer_s_arrays_in_order(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="first"), keras.layers.Dense(1, name="b")])
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{layer.name}/{w.name}:0".encode() for w in layer.weights]
            for weight, values in zip(layer.weights, layer.get_weights(), strict=True):
                group[f"{layer.name}/{weight.name}:0"] = values
    found = read_arrays(tmp_path / "w.h5")
    assert list(found) == ["first/0", "first/1", "b/0", "b/1"]
    np.testing.assert_array_equal(found["first/0"], model.layers[0].get_weights()[0])


def test_a_header_that_declares_more_than_there_is_makes_no_room_for_it(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16))
    with pytest.raises(WeightsError, match=r"an array \(99999999999,\) of float64 is said to be in 16 bytes"):
        read_arrays(tmp_path / "w.npz")


def test_a_zip_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(9 << 20))
    with pytest.raises(WeightsError, match=r"would unpack to 75,\d{3},\d{3} bytes, more than 67,108,864"):
        read_arrays(tmp_path / "w.npz")


def damaged(name: str, path: Path) -> None:
    """Write a file that only begins like weights."""
    if name == "objects":
        np.savez(path, allow_pickle=True, a=np.array([{}], object))
        path.with_suffix(".npz").rename(path)
    elif name.startswith("half"):
        if name == "half an npz":
            np.savez(path, **ARRAYS)
            path.with_suffix(".npz").rename(path)
        else:
            with h5py.File(path, "w") as file:
                file["x"] = np.zeros(1000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name == "packed otherwise":
        np.savez(path, **ARRAYS)
        whole = path.with_suffix(".npz").read_bytes()
        place = whole.index(b"PK\x01\x02") + 10  # the compression method of the directory's first entry
        path.write_bytes(whole[:place] + b"\x63" + whole[place + 1 :])
    elif name == "offsets":
        write_safetensors(path, ARRAYS)
        path.write_bytes(path.read_bytes()[:-4])
    elif name == "type":
        text = b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"0")
    elif name == "header":
        path.write_bytes(struct.pack("<Q", 2**40) + b"{}")
    elif name == "hdf5":
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 100)
    elif name == "no layers":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    else:
        path.write_bytes({"text": b"not weights at all", "empty": b""}[name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("objects", "cannot be read as weights"),
        ("half an npz", "cannot be read as weights: File is not a zip file; .* fetch it again"),
        ("half an h5", "cannot be read as weights: .*truncated file.*; .* fetch it again"),
        ("packed otherwise", "cannot be read as weights: That compression method"),
        ("offsets", "is damaged: b/c"),
        ("type", "a as F8_E4M3"),
        ("header", "header of 1099511627776 bytes"),
        ("hdf5", "cannot be read as weights"),
        ("no layers", "no layer_names"),
        ("text", "no file of weights that can be read: give .npz"),
        ("empty", "is empty: fetch it again"),
    ],
)
def test_a_damaged_or_foreign_file_is_named(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "weights"
    damaged(name, path)
    with pytest.raises(WeightsError, match=message) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
