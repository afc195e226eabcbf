"""Array files read by rows: plain, in Fortran order, packed, and those that are refused."""

import pickle
import zipfile

import numpy as np
import pytest

from realbogus.records import SourceError
from realbogus.sources.array_files import StampArray, read_member_columns

TRIPLETS = np.arange(5 * 4 * 6 * 3, dtype=np.float32).reshape(5, 4, 6, 3)


def saved(path, array=TRIPLETS, **members):
    if path.suffix == ".npz":
        np.savez_compressed(path, **(members or {"triplets": array}))
    else:
        np.save(path, array)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<i2", "u1", "<f8"])
def test_rows_are_those_of_the_array_in_any_order(tmp_path, name, dtype):
    array = StampArray(saved(tmp_path / name, TRIPLETS.astype(dtype)))
    assert (len(array), array.shape) == (5, (5, 4, 6, 3))
    for first, count, rows in ((0, 2, slice(0, 2)), (3, 2, slice(3, 5)), (1, 1, slice(1, 2)), (4, 10, slice(4, 5))):
        read = array.rows(first, count)
        assert read.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(read, TRIPLETS.astype(dtype)[rows])
    again = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(again.rows(2, 2), TRIPLETS.astype(dtype)[2:4])


def test_fortran_order_is_read_from_npy_alone(tmp_path):
    turned = np.asfortranarray(TRIPLETS)
    np.testing.assert_array_equal(StampArray(saved(tmp_path / "a.npy", turned)).rows(1, 3), TRIPLETS[1:4])
    with pytest.raises(SourceError, match=r"member triplets\.npy is in Fortran order"):
        StampArray(saved(tmp_path / "a.npz", turned))


def test_an_empty_array_has_no_rows(tmp_path):
    array = StampArray(saved(tmp_path / "a.npy", TRIPLETS[:0]))
    assert len(array) == 0
    assert array.rows(0, 5).shape == (0, 4, 6, 3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (TRIPLETS[0], r"has shape \(4, 6, 3\), expected \(n, height, width, 3\)"),
        (TRIPLETS[..., :2], r"has shape \(5, 4, 6, 2\)"),
        (TRIPLETS.astype(complex), "is of type complex128, expected whole or floating-point"),
        (TRIPLETS.astype(object), "holds Python objects, which would have to be unpickled"),
    ],
)
def test_what_is_no_array_of_triplets_is_refused(tmp_path, array, message):
    with pytest.raises(SourceError, match=message):
        StampArray(saved(tmp_path / "a.npy", array))


def test_the_bytes_must_be_those_declared(tmp_path):
    path = saved(tmp_path / "a.npy")
    body = path.read_bytes()
    for wrong, size in ((body[:-4], "1,436"), (body + b"0000", "1,444")):
        path.write_bytes(wrong)
        with pytest.raises(SourceError, match=f"declares 1,440 bytes of .* it holds {size}"):
            StampArray(path)
    path.write_bytes(b"no array")
    with pytest.raises(SourceError, match="is not a NumPy array file"):
        StampArray(path)


def test_of_several_members_triplets_is_read(tmp_path):
    array = StampArray(saved(tmp_path / "a.npz", other=TRIPLETS + 1, triplets=TRIPLETS, flat=np.zeros(3)))
    np.testing.assert_array_equal(array.rows(0, 5), TRIPLETS)
    single = StampArray(saved(tmp_path / "b.npz", other=TRIPLETS + 1, flat=np.zeros(3)))
    np.testing.assert_array_equal(single.rows(0, 5), TRIPLETS + 1)
    for members in ({"one": TRIPLETS, "two": TRIPLETS}, {"flat": np.zeros(3)}):
        with pytest.raises(SourceError, match=f"{len(members) if 'one' in members else 0} four-dimensional members"):
            StampArray(saved(tmp_path / "c.npz", **members))


def test_columns_of_an_archive_are_read_beside_its_triplets(tmp_path):
    ids, names = np.array([2**60 + 1, 2, 3, 4, 5]), np.array(["a", "b", "c", "d", "e"])
    path = saved(tmp_path / "a.npz", triplets=TRIPLETS, candid=ids, names=names, raw=names.astype("S1"), other=ids[:3])
    assert read_member_columns(path, 5) == {
        "candid": [str(value) for value in ids],
        "names": list("abcde"),
        "raw": list("abcde"),
    }
    assert read_member_columns(saved(tmp_path / "a.npy"), 5) == {}


def test_suffixes_are_read_in_any_case(tmp_path):
    archive = saved(tmp_path / "a.npz", triplets=TRIPLETS, candid=np.arange(5)).rename(tmp_path / "A.NPZ")
    np.testing.assert_array_equal(StampArray(archive).rows(0, 5), TRIPLETS)
    assert read_member_columns(archive, 5) == {"candid": list("01234")}
    plain = saved(tmp_path / "b.npy").rename(tmp_path / "B.NPY")
    np.testing.assert_array_equal(StampArray(plain).rows(0, 5), TRIPLETS)


@pytest.mark.parametrize(
    ("shape", "message"),
    [("(5, 4, 6, 3", "is not a NumPy array file"), ("(-5, -4, 6, 3)", r"said to have shape \(-5, -4, 6, 3\)")],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, shape, message):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "a.npy").write_bytes(body + TRIPLETS.tobytes())
    with pytest.raises(SourceError, match=message):
        StampArray(tmp_path / "a.npy")


def test_a_member_that_ends_early_is_refused(tmp_path):
    path = saved(tmp_path / "a.npz", triplets=TRIPLETS, candid=np.array(["a", "b", "c", "d", "e"]))
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (5,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("cut.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16))
    with pytest.raises(SourceError, match=r"member cut\.npy holds 2 of 5 values"):
        read_member_columns(path, 5)
