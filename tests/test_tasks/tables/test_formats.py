"""What is no table is refused as what it is, whatever its name."""

import io
import json
import pickle
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from tasks.tables.formats import HEAD_BYTES, looks_like_utf16, recognise_format
from tasks.tables.table_files import TableError, open_table


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "id,ra\n1,2\n")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("t.csv"))
    return out.getvalue()


def made(folder: Path, kind: str) -> bytes:
    path = folder / "made"
    if kind == "hdf5":
        with h5py.File(path, "w") as file:
            file["x"] = np.arange(3)
    elif kind == "sqlite":
        with sqlite3.connect(path) as database:
            database.execute("create table t (id integer)")
        database.close()
    elif kind == "feather":
        pyarrow.feather.write_feather(pa.table({"id": [1]}), path)
    elif kind == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.arange(3))
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["hdf5", "sqlite", "feather", "npy"])
def test_binary_formats_are_named(tmp_path, kind: str) -> None:
    names = {"hdf5": "HDF5", "sqlite": "SQLite", "feather": "Feather", "npy": "NumPy array"}
    path = tmp_path / "t.csv"
    path.write_bytes(made(tmp_path, kind))
    with pytest.raises(TableError, match=rf"t\.csv is an? .*{names[kind]}.*: ."):
        open_table(path).__enter__()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("[Content_Types].xml", "xl/workbook.xml"), r"Excel workbook \(xlsx\): save the sheet as CSV"),
        (zipped("t.csv"), "zip archive: unpack it first"),
        (zipped("arr_0.npy"), "npz"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"Excel workbook \(xls\)"),
        (tarred(), "tar archive: unpack it"),
        (pickle.dumps({"id": [1]}), "pickle: pickles are never opened"),
        (json.dumps([{"id": 1}]).encode(), "JSON"),
        (b'{\n "data": []}', "JSON"),
        (b"\n<!DOCTYPE html>\n<html><head><title>Log in</title>", "web page .* titled 'Log in': a login"),
        (b"<html><body>404", "web page"),
        (b"<?xml version='1.0'?>\n<rss></rss>", "XML file without a VOTABLE"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"% a\n\\begin{deluxetable}\n", "LaTeX"),
        (b"PARE" + bytes(40), "encrypted Parquet"),
        (b"%PDF-1.7\n", "PDF"),
        (bytes(range(250)) * 3, "binary data of an unknown format"),
    ],
    ids=lambda value: "content" if isinstance(value, bytes) else value,  # an archive's bytes have the time in them
)
def test_other_files_are_named_with_a_remedy(tmp_path, content: bytes, what: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=rf"t\.csv is .*{what}"):
        open_table(path).__enter__()


def test_a_text_table_may_begin_like_a_binary_format(tmp_path) -> None:
    for name in ("ORCID", "PARENT", "CDFS_ID", "BZh_id"):
        path = tmp_path / "t.fits"
        path.write_text(f"{name},ra\n1,2\n")
        with open_table(path) as table:
            assert table.columns == (name.lower(), "ra")


def test_a_folder_is_named_as_one(tmp_path) -> None:
    with pytest.raises(TableError, match="is a folder"):
        open_table(tmp_path).__enter__()


SKY = Table({"id": [1, 2], "ra": [1.5, 2.5]})


@pytest.mark.parametrize(
    ("layout", "kind"), [("fits", "fits"), ("votable", "votable"), ("ascii.csv", "text"), ("ascii.ecsv", "text")]
)
def test_what_astropy_writes_is_recognised_by_its_first_bytes(tmp_path: Path, layout: str, kind: str) -> None:
    SKY.write(tmp_path / "t", format=layout)
    head = (tmp_path / "t").read_bytes()[:HEAD_BYTES]
    assert recognise_format(Path("t.dat"), head) == kind
    if kind in ("votable", "text"):
        for codec in ("utf-16-le", "utf-16-be", "utf-16", "utf-8-sig"):
            assert recognise_format(Path("t.dat"), head.decode().encode(codec)) == kind


def test_parquet_is_recognised_and_a_cut_head_is_enough(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "t")
    assert recognise_format(Path("t"), (tmp_path / "t").read_bytes()[:4]) == "parquet"


@pytest.mark.parametrize(
    "text",
    [
        "id,note\n1,<html>\n",
        "[id],ra\n1,2\n",
        "{id} ra\n1 2\n",
        '# {"id": 1}\nid,ra\n1,2\n',
        "% id, ra\n1,2\n",
        "Objects,n\n1,2\n",
        "version,id\n1,2\n",
    ],
)
def test_a_text_with_signs_of_another_format_behind_its_beginning_is_text(text: str) -> None:
    assert recognise_format(Path("t"), text.encode()) == "text"


@pytest.mark.parametrize("before", ["", "\ufeff", " \n"])
def test_a_refusal_names_the_table_what_it_is_and_a_remedy(before: str) -> None:
    with pytest.raises(TableError, match=r"^table a/t\.csv is a JSON file: pandas\.read_json.*CSV"):
        recognise_format(Path("a/t.csv"), f'{before}[["id"], [1]]'.encode())


@given(st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=4))
def test_ascii_text_in_utf16_is_told_from_that_in_utf8_with_and_without_a_mark(text: str) -> None:
    assert all(looks_like_utf16(text.encode(codec)) for codec in ("utf-16", "utf-16-le", "utf-16-be"))
    assert not looks_like_utf16(text.encode())
    assert not looks_like_utf16(text.encode("utf-32-le"))
