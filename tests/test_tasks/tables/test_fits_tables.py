"""FITS tables: scaled, unsigned, undefined and ASCII columns, columns that are not flat, several tables, cut files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits

from tasks.tables import fits_tables
from tasks.tables.fits_tables import open_fits
from tasks.tables.table_files import TableError, TableFile, open_table


def written(folder: Path, *units: fits.BinTableHDU) -> Path:
    path = folder / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path, overwrite=True)
    return path


def binary(*columns: fits.Column, name: str = "") -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns(list(columns), name=name)


def read(path: Path, types: dict[str, pa.DataType]) -> dict[str, list]:
    with open_table(path) as table:
        return pa.Table.from_batches(table.read(types)).to_pydict()


def opened(path: Path) -> TableFile:
    with open_table(path) as table:
        return table


IDS = fits.Column("objID", "K", array=[1, 2])


def test_unsigned_and_scaled_columns_hold_their_true_values_and_nulls(tmp_path) -> None:
    stored = [("big", "K", [5, -5]), ("u16", "I", [7, -7]), ("scaled", "I", [4, 99]), ("f", "E", [2, 3])]
    path = written(tmp_path, binary(*(fits.Column(name, kind, array=np.array(rows)) for name, kind, rows in stored)))
    for keyword, value in {
        **{"TZERO1": 1 << 63, "TZERO2": 1 << 15, "TNULL2": -7},
        **{"TSCAL3": 0.5, "TZERO3": 10, "TNULL3": 99, "TSCAL4": 2},
    }.items():
        fits.setval(path, keyword, value=value, ext=1)
    types = {"big": pa.string(), "u16": pa.int32(), "scaled": pa.float64(), "f": pa.float64()}
    assert read(path, types) == {
        "big": [str((1 << 63) + 5), str((1 << 63) - 5)],
        "u16": [(1 << 15) + 7, None],
        "scaled": [12.0, None],
        "f": [4.0, 6.0],
    }
    assert opened(path).float_columns == {"scaled", "f"}


def test_an_undefined_truth_value_is_missing_and_text_ends_at_a_null(tmp_path) -> None:
    unit = binary(fits.Column("flag", "L", array=[True, False, True]), fits.Column("s", "4A", array=["ab", "", "x"]))
    path = written(tmp_path, unit)
    content = bytearray(path.read_bytes())
    at = content.index(b"Tab\0\0F\0\0\0\0Tx")
    content[at : at + 5] = b"\0a\0zz"
    path.write_bytes(content)
    assert read(path, {"flag": pa.bool_(), "s": pa.string()}) == {"flag": [None, False, True], "s": ["a", None, "x"]}


def test_ascii_tables_keep_blanks_nulls_and_exact_ids(tmp_path) -> None:
    columns = [
        fits.Column("id", "I19", ascii=True, array=[587722981742215240, 587722981742215241]),
        fits.Column("x", "D25.17", ascii=True, array=[1.5, -2.5]),
        fits.Column("n", "I4", null="---", ascii=True, array=[7, 8]),
        fits.Column("s", "A3", ascii=True, array=["S", "SB"]),
    ]
    path = tmp_path / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.TableHDU.from_columns(columns)]).writeto(path)
    content = path.read_bytes()
    row = content.index(b"587722981742215241")
    cell = content.index(b"   8", row)
    path.write_bytes(content[:cell] + b" ---" + content[cell + 4 :])
    assert read(path, {"id": pa.string(), "x": pa.float64(), "n": pa.int32(), "s": pa.string()}) == {
        "id": ["587722981742215240", "587722981742215241"],
        "x": [1.5, -2.5],
        "n": [7, None],
        "s": ["S", "SB"],
    }
    assert opened(path).float_columns == {"x"}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (fits.Column("Odd", "5E", array=np.zeros((2, 5))), "vectors of 5"),
        (fits.Column("Odd", "6J", dim="(3,2)", array=np.zeros((2, 2, 3), int)), "vectors of 6"),
        (fits.Column("Odd", "M", array=np.zeros(2, complex)), "complex"),
        (fits.Column("Odd", "PD()", array=np.array([[1.0], [1.0, 2.0]], object)), "variable length"),
        (fits.Column("Odd", "QJ()", array=np.array([[1], [1, 2]], object)), "variable length"),
        (fits.Column("Odd", "3X", array=np.ones((2, 3), bool)), "bits"),
        (fits.Column("Odd", "4A", dim="(2,2)", array=np.array([["a", "b"], ["c", "d"]])), "arrays of text"),
        (fits.Column("Odd", "0E", array=np.zeros((2, 0))), "no width"),
    ],
)
def test_a_column_that_is_not_flat_is_left_out_with_its_reason(tmp_path, column: fits.Column, reason: str) -> None:
    path = written(tmp_path, binary(IDS, column))
    table = opened(path)
    assert table.columns == ("objid",)
    assert table.spelling == {"objid": "objID"}
    assert reason in table.ignored["Odd"]
    assert read(path, {"objid": pa.int64()}) == {"objid": [1, 2]}


def test_text_that_is_not_ascii_is_left_out_with_its_row(tmp_path) -> None:
    path = written(tmp_path, binary(IDS, fits.Column("kind", "3A", array=["abc", "SB1"])))
    path.write_bytes(path.read_bytes().replace(b"SB1", b"S\xfc1"))
    assert opened(path).ignored == {"kind": "it holds bytes that are not ASCII, row 2 is b'S\\xfc1'"}


def test_the_first_of_several_tables_is_read_and_the_others_are_named(tmp_path) -> None:
    header = binary(fits.Column("Field Header Card", "80A", array=["x"]), name="LDAC_IMHEAD")
    path = written(tmp_path, header, binary(IDS, name="OBJECTS"), binary(fits.Column("a", "J", array=[1]), name="MORE"))
    table = opened(path)
    assert table.columns == ("objid",)
    assert table.notes == ("the first of 2 tables is read, unit 2 'OBJECTS'; not 3 'MORE'",)


def test_of_several_tables_the_one_whose_rows_are_named_is_read(tmp_path) -> None:
    about = binary(fits.Column("KEY", "4A", array=["x"]), name="META")
    sky = binary(fits.Column("RAJ2000", "D", array=[1.0]), fits.Column("DEJ2000", "D", array=[2.0]), name="CAT")
    table = opened(written(tmp_path, about, sky, binary(IDS, name="MORE")))
    assert table.columns == ("raj2000", "dej2000")
    assert table.notes == ("one of 3 tables is read, unit 2 'CAT'; not 1 'META', 3 'MORE'",)
    assert opened(written(tmp_path, about, about)).columns == ("key",)


def test_units_are_declared_by_lower_case_name(tmp_path) -> None:
    table = opened(written(tmp_path, binary(fits.Column("RA", "D", unit="rad", array=[1.0]), IDS)))
    assert table.units == {"ra": "rad"}


@pytest.mark.parametrize("size", [1000, 2880 + 900, 2 * 2880, 2 * 2880 + 15])
def test_a_cut_file_is_named_as_truncated(tmp_path, size: int) -> None:
    path = written(tmp_path, binary(IDS))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(TableError, match=r"t\.fits .*truncated"):
        opened(path)


def test_a_file_that_lacks_only_its_padding_is_read(tmp_path) -> None:
    path = written(tmp_path, binary(IDS))
    path.write_bytes(path.read_bytes()[: 2 * 2880 + 16])
    assert read(path, {"objid": pa.int64()}) == {"objid": [1, 2]}


@pytest.mark.parametrize("missing", [1, 8, 23])
def test_missing_bytes_are_counted_to_the_last_row_without_padding(tmp_path: Path, missing: int) -> None:
    """Three rows of 8 bytes; the message has the name of the file that was given, not that of the unpacked copy."""
    path = written(tmp_path, binary(fits.Column("objID", "K", array=[1, 2, 3])))
    path.write_bytes(path.read_bytes()[: 2 * 2880 + 24 - missing])
    message = (
        f"^table sky.fits.gz cannot be read: the FITS file is truncated, {missing} bytes are missing of the 3 rows "
    )
    with pytest.raises(TableError, match=message):
        open_fits(Path("sky.fits.gz"), path).__enter__()


def test_rows_come_in_order_in_pieces_and_not_finite_numbers_are_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fits_tables, "_ROWS_A_BATCH", 2)
    numbers = [0.5, np.nan, 2.5, -np.inf, 4.5]
    text = np.array([b"a", b"b", b"c", b"\xfc", b"e"], "S1")
    path = written(tmp_path, binary(fits.Column("x", "E", array=numbers), fits.Column("n", "I", array=range(5))))
    with open_fits(path, path) as table:
        batches = list(table.read({"n": pa.int64(), "x": pa.float64()}))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    assert pa.Table.from_batches(batches).to_pydict() == {"n": [*range(5)], "x": [0.5, None, 2.5, None, 4.5]}
    foreign = written(tmp_path, binary(fits.Column("s", "1A", array=np.full(5, "z"))))
    foreign.write_bytes(foreign.read_bytes().replace(b"zzzzz", text.tobytes()))
    with open_fits(foreign, foreign) as table:
        assert table.ignored == {"s": "it holds bytes that are not ASCII, row 4 is b'\\xfc'"}


def test_a_table_without_rows_has_its_columns_and_gives_no_batch(tmp_path: Path) -> None:
    path = written(tmp_path, binary(fits.Column("RA", "D", unit="deg", array=np.empty(0))))
    with open_fits(path, path) as table:
        assert (table.columns, table.float_columns, table.units) == (("ra",), {"ra"}, {"ra": "deg"})
        assert list(table.read({"ra": pa.float64()})) == []
