"""Reading of table files: formats by their first bytes, headers, missing values, errors that name the file."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from tasks.tables import text_tables
from tasks.tables.table_columns import NO_NUMBER
from tasks.tables.table_files import MISSING_TEXT, TableError, open_table

TYPES = {"id": pa.string(), "x": pa.float64(), "n": pa.int32(), "flag": pa.bool_()}
CSV = "id, X ,n,flag\na,1.5,3,true\nb,-9999,-9999,0\nc,NaN,,\n"
ROWS = {"id": ["a", "b", "c"], "x": [1.5, None, None], "n": [3, None, None], "flag": [True, False, None]}


def read(path: Path, types: dict[str, pa.DataType] = TYPES) -> dict[str, list]:
    with open_table(path) as table:
        assert set(types) <= set(table.columns)
        return pa.Table.from_batches(table.read(types)).to_pydict()


def written(folder: Path, content: str | bytes, name: str = "t") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("head", ["", "#Table1\n", "\n\n#a\n#b\n", "\ufeff"])
def test_a_csv_may_have_comment_lines_and_a_byte_order_mark(tmp_path, head: str) -> None:
    assert read(written(tmp_path, head + CSV)) == ROWS
    assert read(written(tmp_path, gzip.compress((head + CSV).encode()))) == ROWS


def test_every_missing_text_is_null(tmp_path) -> None:
    lines = [f'"{text}",{text}' for text in MISSING_TEXT]
    rows = read(written(tmp_path, "\n".join(["id,x", *lines, "-9998,0", ""])), {"id": pa.string(), "x": pa.float64()})
    assert rows["id"] == [None] * len(MISSING_TEXT) + ["-9998"]
    assert rows["x"] == [None] * len(MISSING_TEXT) + [0.0]


def test_truth_values_are_read_by_their_words(tmp_path) -> None:
    path = written(tmp_path, "a,b\nyes,N\nNo,y\n1.0,FALSE\n,T\n")
    expected = {"a": [True, False, True, None], "b": [False, True, False, True]}
    assert read(path, {"a": pa.bool_(), "b": pa.bool_()}) == expected


@pytest.mark.parametrize("text", [*NO_NUMBER, "INDEF", "None"])
def test_what_stands_for_no_number_is_null_among_numbers_only(tmp_path, text: str) -> None:
    path = written(tmp_path, f"id,x,n\nb,+1.5,2\nc,2,+3\n{text},{text},{text}\n")
    rows = read(path, {"id": pa.string(), "x": pa.float64(), "n": pa.int32()})
    assert rows == {"id": ["b", "c", None if text == "None" else text], "x": [1.5, 2, None], "n": [2, 3, None]}


def test_a_text_that_is_no_number_is_refused_by_its_value(tmp_path) -> None:
    for text in ("17.jpg", "1,2,3", "0x10", "12 kpc"):
        with pytest.raises(TableError, match=f"column 'X': '{text}' is no number: correct it, or leave the cell empty"):
            read(written(tmp_path, f'id,X\na,1\nb,"{text}"\n'), {"x": pa.float64()})


def test_columns_are_read_by_lower_case_name_in_the_asked_order(tmp_path) -> None:
    with open_table(written(tmp_path, CSV)) as table:
        assert table.columns == ("id", "x", "n", "flag")
        assert table.float_columns == frozenset()
        batch = next(table.read({"n": pa.int32(), "id": pa.string()}))
    assert batch.schema.names == ["n", "id"]


def test_integers_written_as_floats_are_read_and_fractions_refused(tmp_path) -> None:
    assert read(written(tmp_path, "id,n\na,16.0\nb,\n"), {"n": pa.int32()}) == {"n": [16, None]}
    with pytest.raises(TableError, match=r"table .*t: "):
        read(written(tmp_path, "id,n\na,16.5\n"), {"n": pa.int32()})
    with pytest.raises(TableError, match="column 'X'"):
        read(written(tmp_path, "id,X\na,word\n"), {"x": pa.float64()})


def test_a_csv_longer_than_a_piece_is_read_whole_and_in_order(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(text_tables, "_PIECE_BYTES", 64)
    monkeypatch.setattr(text_tables, "_ROWS_A_BATCH", 10)
    lines = [f"{number},{number / 2}" for number in range(101)]
    path = written(tmp_path, "\n".join(["n,x", *lines]))
    with open_table(path) as table:
        batches = list(table.read({"n": pa.int32(), "x": pa.float64()}))
    rows = pa.Table.from_batches(batches)
    assert rows["n"].to_pylist() == list(range(101))
    assert rows["x"].to_pylist() == [number / 2 for number in range(101)]
    assert 1 < len(batches) <= 11
    assert all(batch.num_rows >= 10 for batch in batches[:-1])


def test_parquet_dictionaries_floats_and_sentinels(tmp_path) -> None:
    table = pa.table(
        {
            "id": pa.array(["a", " b ", "NA"]).dictionary_encode(),
            "X": pa.array([1.5, -9999.0, np.inf]),
            "n": pa.array([3, -9999, 4], pa.int64()),
            "flag": pa.array([1.0, 0.0, None]),
        }
    )
    path = tmp_path / "t.any"
    pq.write_table(table, path)
    with open_table(path) as opened:
        assert opened.columns == ("id", "x", "n", "flag")
        assert opened.float_columns == {"x", "flag"}
    expected = {"id": ["a", "b", None], "x": [1.5, None, None], "n": [3, None, 4], "flag": [True, False, None]}
    assert read(path) == expected
    pq.write_table(pa.table({"x": [True, False]}), path)
    assert read(path, {"x": pa.float64()}) == {"x": [1.0, 0.0]}


def test_fits_nulls_blanks_and_float_columns(tmp_path) -> None:
    columns = [
        fits.Column("ID", "4A", array=["a", "b   "]),
        fits.Column("n", "J", array=[7, 99], null=99),
        fits.Column("x", "D", array=[1.5, np.nan]),
        fits.Column("e", "E", array=[1, 2]),
    ]
    path = tmp_path / "t.txt"
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2))), fits.BinTableHDU.from_columns(columns)])
    hdus.writeto(path)
    types = {"id": pa.string(), "n": pa.int32(), "x": pa.float64()}
    expected = {"id": ["a", "b"], "n": [7, None], "x": [1.5, None]}
    assert read(path, types) == expected
    with open_table(path) as table:
        assert table.float_columns == {"x", "e"}
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read(path, types) == expected


def test_a_fits_file_without_a_table_is_named(tmp_path) -> None:
    path = tmp_path / "t.fits"
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(path)
    with pytest.raises(TableError, match=r"t\.fits holds no table"):
        read(path)


def test_votable_masks_and_types(tmp_path) -> None:
    frame = Table({"ID": ["a", "b"], "x": np.ma.array([1.5, 2.5], mask=[False, True]), "n": [1, 2]})
    path = tmp_path / "t.xml"
    frame.write(path, format="votable")
    assert read(path, {"id": pa.string(), "x": pa.float64(), "n": pa.int32()}) == {
        "id": ["a", "b"],
        "x": [1.5, None],
        "n": [1, 2],
    }
    with open_table(path) as table:
        assert table.float_columns == {"x"}
    path.write_text("<VOTABLE><RESOURCE>")
    with pytest.raises(TableError, match=r"VOTable .* cannot be read"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"#only\n#comments\n", "has no header line"),
        (b"PAR1 torn", "cannot be read"),
        (gzip.compress(b"id,x\n" + b"".join(b"%d,%d\n" % (n * n, n**3) for n in range(9999)))[:9000], "cannot be read"),
        (b"id,ID \n1,2\n", "two columns named 'id'"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, content: bytes, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read(written(tmp_path, content), {"id": pa.string()})


def test_an_archive_and_a_missing_file_are_named_as_such(tmp_path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("t.csv", CSV)
    with pytest.raises(TableError, match="is a zip archive: unpack it first"):
        read(written(tmp_path, packed.getvalue()))
    with pytest.raises(TableError, match="does not exist"):
        read(tmp_path / "absent.csv")


def test_a_votable_field_without_a_name_has_its_id(tmp_path) -> None:
    path = tmp_path / "t.xml"
    Table({"x": [1.5]}).write(path, format="votable")
    path.write_text(path.read_text().replace('name="x"', "").replace('ID="x"', 'ID="y"'))
    assert read(path, {"y": pa.float64()}) == {"y": [1.5]}
