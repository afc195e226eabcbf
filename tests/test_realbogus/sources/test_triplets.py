"""A folder of triplets: the real ZTF one, and made ones with every fault."""

import itertools
import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from realbogus.records import SourceError, file_sha256
from realbogus.sources.triplets import TripletConventions, TripletSource
from tests.small_triplets import open_triplets

RNG = np.random.default_rng(5)
STAMPS = RNG.normal(100, 10, (6, 31, 31, 3)).astype(np.float32)


def _write(folder: Path, text: str, array: np.ndarray = STAMPS) -> Path:
    np.save(folder / "stamps.npy", array)
    (folder / "table.csv").write_text(text)
    return folder


def _rows(source: TripletSource) -> list[dict]:
    return list(itertools.chain.from_iterable(source.read(b).table.to_pylist() for b in source.batches()))


@pytest.fixture(scope="module")
def ztf(shared_data) -> Path:
    return shared_data / "ztf_alerts"


def test_the_real_ztf_folder(ztf):
    source = open_triplets(ztf)
    records = [source.read(batch) for batch in source.batches()]
    rows = list(itertools.chain.from_iterable(part.table.to_pylist() for part in records))
    assert Counter(row["label"] for row in rows) == {"real": 877, "bogus": 92, None: 250}
    assert Counter(row["reason"] for row in rows) == {None: 1219}
    assert len({row["id"] for row in rows}) == 1219
    assert all(row["group"].startswith("ZTF") for row in rows)
    night = Counter(row["label"] for row in rows if row["night"] == "2458451")
    assert night == {"real": 164, "bogus": 46, None: 59}  # as counted in facts/evidence.md
    assert sum(row["finite_fraction"] < 1 for row in rows) == 62
    pixels = np.concatenate([part.pixels for part in records])
    with np.load(ztf / "triplets.npz") as archive:
        original = archive["triplets"][:, 17:46, 17:46]
        assert [row["id"] for row in rows] == [str(candid) for candid in archive["candid"]]
    np.testing.assert_array_equal(pixels[..., :2], original[..., :2])
    np.testing.assert_array_equal(np.abs(pixels[..., 2]), np.abs(original[..., 2]))


def test_at_its_own_size_one_real_stamp_is_less_than_half_there(ztf):
    source = open_triplets(ztf, 63)
    records = [source.read(batch) for batch in source.batches()]
    reasons = Counter(itertools.chain.from_iterable(part.table["reason"].to_pylist() for part in records))
    assert reasons == {None: 1218, "nan_plane": 1}
    assert sum((part.table["finite_fraction"].to_numpy() < 1).sum() for part in records) == 181


def test_real_differences_become_new_minus_reference(ztf):
    """ZTF's stamps of negative candidates are reference minus new; each must follow its own two planes."""
    source = open_triplets(ztf)
    (records,) = (source.read(batch) for batch in source.batches())
    new, reference, difference = np.moveaxis(records.pixels, -1, 0)
    usable = np.isfinite(records.pixels).all(axis=(1, 2, 3))
    expected = (new - reference)[usable].reshape(usable.sum(), -1)
    measured = difference[usable].reshape(usable.sum(), -1)
    correlation = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(expected, measured, strict=True)])
    flagged = np.array(["difference_was" in json.loads(text) for text in records.table["parameters"].to_pylist()])
    assert flagged.sum() == 401
    assert np.median(correlation[flagged[usable]]) > 0.6
    assert np.median(correlation[~flagged[usable]]) > 0.8
    (as_they_are,) = read_triplets_as_they_are(ztf)
    assert (as_they_are.pixels[flagged, 14, 14, 2] > 0).mean() > 0.9


def read_triplets_as_they_are(path: Path):
    source = open_triplets(path, conventions=TripletConventions(signed=False))
    return [source.read(batch) for batch in source.batches()]


def test_a_compressed_archive_is_read_in_any_order_and_in_another_process(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", triplets=STAMPS, spare=STAMPS[:2], candid=np.arange(6) + 10**17)
    (tmp_path / "a.csv").write_text("candid\n" + "\n".join(str(10**17 + row) for row in range(6)) + "\n")
    source = open_triplets(tmp_path, batch_rows=2)
    batches = source.batches()
    for place in (2, 0, 1, 0):
        records = pickle.loads(pickle.dumps(source)).read(batches[place])
        np.testing.assert_array_equal(records.pixels, STAMPS[2 * place : 2 * place + 2, 1:30, 1:30])
        np.testing.assert_array_equal(records.pixels, source.read(batches[place]).pixels)
        assert records.table["id"].to_pylist() == [str(10**17 + 2 * place), str(10**17 + 2 * place + 1)]


def test_labels_are_numbers_words_or_nothing(tmp_path):
    source = open_triplets(_write(tmp_path, "label,x\n1,a\n0,b\n-1,c\nreal,d\nBogus,e\n,f\n"))
    assert [row["label"] for row in _rows(source)] == ["real", "bogus", None, "real", "bogus", None]


def test_columns_can_be_named(tmp_path):
    text = "label,mine,objectId,star\n1,0,A,S\n1,0,A,S\n1,0,A,\n1,1,A,T\n1,1,A,T\n1,-1,A,T\n"
    source = open_triplets(_write(tmp_path, text), label_column="mine", group_column="star")
    rows = _rows(source)
    assert [row["label"] for row in rows] == ["bogus"] * 3 + ["real"] * 2 + [None]
    assert [row["group"] for row in rows] == ["S", "S", rows[2]["id"], "T", "T", "T"]
    assert {row["group"] for row in _rows(open_triplets(tmp_path))} == {"A"}
    for wrong in ({"label_column": "nope"}, {"group_column": "nope"}):
        with pytest.raises(SourceError, match=r"table\.csv has no column 'nope'; its columns are label, mine"):
            open_triplets(tmp_path, **wrong)


def test_rows_without_id_and_group_are_known_by_file_and_place(tmp_path):
    rows = _rows(open_triplets(_write(tmp_path, "x\n" + "1\n" * 6), batch_rows=4))
    digest = file_sha256(tmp_path / "stamps.npy")[:32]
    assert [row["id"] for row in rows] == [row["group"] for row in rows] == [f"{digest}-{row:07d}" for row in range(6)]
    assert {row["label"] for row in rows} == {None}


def test_another_channel_order_is_brought_to_ours(tmp_path):
    folder = _write(tmp_path, "isdiffpos\nt\nf\n1\n0\nt\nt\n")
    source = open_triplets(folder, 31, conventions=TripletConventions(("difference", "new", "reference")))
    (records,) = (source.read(batch) for batch in source.batches())
    sign = np.array([1, -1, 1, -1, 1, 1])[:, None, None]
    np.testing.assert_array_equal(records.pixels[..., 0], STAMPS[..., 1])
    np.testing.assert_array_equal(records.pixels[..., 1], STAMPS[..., 2])
    np.testing.assert_array_equal(records.pixels[..., 2], STAMPS[..., 0] * sign)
    with pytest.raises(SourceError, match="expected new, reference, difference in any order"):
        open_triplets(folder, conventions=TripletConventions(("new", "new", "difference")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label\n1\n0\n", r"stamps\.npy has 6 rows, .*table\.csv has 2"),
        ("label\n1\n0\n1\nmaybe\n1\n1\n", "row 3 has label 'maybe'"),
        ("candid\n1\n2\n3.5e17\n4\n5\n6\n", "row 2 has candid 3.5e17, which passed through floating point"),
    ],
)
def test_wrong_tables_are_refused_by_name_and_row(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        open_triplets(_write(tmp_path, text))


def test_an_archive_that_names_other_rows_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", triplets=STAMPS, candid=np.arange(6)[::-1])
    (tmp_path / "a.csv").write_text("candid\n0\n1\n2\n3\n4\n5\n")
    with pytest.raises(SourceError, match="do not have the same candid"):
        open_triplets(tmp_path)


def test_objects_fortran_order_and_broken_archives_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x\n" + "1\n" * 6)
    file = tmp_path / "a.npz"
    np.savez(file, triplets=np.array([{}] * 6), allow_pickle=True)
    with pytest.raises(SourceError, match="Python objects"):
        open_triplets(tmp_path)
    np.savez(file, triplets=np.asfortranarray(STAMPS))
    with pytest.raises(SourceError, match="Fortran order"):
        open_triplets(tmp_path)
    np.savez(file, one=STAMPS, other=STAMPS)
    with pytest.raises(SourceError, match="2 four-dimensional members"):
        open_triplets(tmp_path)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(SourceError, match=r"a\.npz is not a readable \.npz"):
        open_triplets(tmp_path)


def test_a_damaged_member_is_refused_at_its_row(tmp_path):
    (tmp_path / "a.csv").write_text("x\n" + "1\n" * 6)
    np.savez_compressed(tmp_path / "a.npz", triplets=STAMPS)
    body = bytearray((tmp_path / "a.npz").read_bytes())
    body[len(body) // 2 : len(body) // 2 + 64] = bytes(64)
    (tmp_path / "a.npz").write_bytes(body)
    source = open_triplets(tmp_path)
    with pytest.raises(SourceError, match="cannot be read at row 0"):
        source.read(source.batches()[0])


def test_a_folder_must_hold_one_of_each(tmp_path):
    with pytest.raises(SourceError, match=r"0 files \.npy or \.npz"):
        open_triplets(tmp_path)
    _write(tmp_path, "x\n" + "1\n" * 6)
    np.save(tmp_path / "other.npy", STAMPS)
    with pytest.raises(SourceError, match=r"2 files \.npy or \.npz"):
        open_triplets(tmp_path)
    with pytest.raises(SourceError, match="is neither a folder with an array and its table nor an array file"):
        open_triplets(tmp_path / "table.csv")


def test_of_several_tables_the_one_with_as_many_rows_is_taken(tmp_path):
    folder = _write(tmp_path, "candid\n" + "".join(f"{row}\n" for row in range(6)))
    (folder / "known.csv").write_text("name,ra,dec\nx,1,2\n")
    for path in (folder, folder / "stamps.npy"):
        assert [row["id"] for row in _rows(open_triplets(path))] == [str(row) for row in range(6)]
    (folder / "known.csv").write_text("name\n" + "x\n" * 6)
    with pytest.raises(SourceError, match=r"2 tables have the 6 rows of .*stamps\.npy: name its table stamps\.csv"):
        open_triplets(folder)
    alone = open_triplets(folder / "stamps.npy")
    assert alone.table.names == ()
    assert "known.csv, table.csv cannot be told to be its own" in alone.read(alone.batches()[0]).reading.notes[0]


def test_members_of_an_archive_serve_as_its_table(tmp_path):
    ids, epochs = np.arange(6) + 10**17, np.full(6, 2459001.0)
    np.savez(tmp_path / "a.npz", triplets=STAMPS, candid=ids, jd=epochs, isdiffpos=np.array(list("tftttt")))
    (records,) = (open_triplets(tmp_path / "a.npz").read(batch) for batch in open_triplets(tmp_path).batches())
    assert records.table["id"].to_pylist() == [str(value) for value in ids]
    assert records.table["night"].to_pylist() == ["2459001"] * 6
    np.testing.assert_array_equal(records.pixels[1, ..., 2], -STAMPS[1, 1:30, 1:30, 2])


def test_an_object_s_name_is_the_id_where_every_row_has_its_own(tmp_path):
    rows = _rows(open_triplets(_write(tmp_path, "objectId\n" + "".join(f"Z{row}\n" for row in range(6)))))
    assert [row["id"] for row in rows] == [row["group"] for row in rows] == [f"Z{row}" for row in range(6)]
    (tmp_path / "table.csv").write_text("objectId\n" + "Z1\n" * 6)
    rows = _rows(open_triplets(tmp_path))
    assert {row["group"] for row in rows} == {"Z1"}
    assert len({row["id"] for row in rows}) == 6


def test_a_row_without_an_id_has_the_array_s(tmp_path):
    rows = _rows(open_triplets(_write(tmp_path, "candid,a\n1,1\n2,1\n,1\n4,1\n5,1\n6,1\n")))
    digest = file_sha256(tmp_path / "stamps.npy")[:32]
    assert [row["id"] for row in rows] == ["1", "2", f"{digest}-0000002", "4", "5", "6"]
