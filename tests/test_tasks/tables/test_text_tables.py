"""Text tables: separators, encodings, headers of archives, quotes, decimal commas, and what cannot be read."""

import bz2
import gzip
import logging
import lzma
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn, Table

from tasks.tables import text_tables
from tasks.tables.table_files import TableError, TableFile, open_table

HEADER = ["objID", "RA", "dec", "kind"]
ROWS = [["588017703996096547", "211.25", "-1.5", "spiral"], ["588017703996096548", "0.75", "54.125", "S b"]]
FOUND = {
    "objid": ["588017703996096547", "588017703996096548"],
    "ra": [211.25, 0.75],
    "dec": [-1.5, 54.125],
    "kind": ["spiral", "S b"],
}
TYPES = {"objid": pa.string(), "ra": pa.float64(), "dec": pa.float64(), "kind": pa.string()}


def lines(separator: str, header: list[str] = HEADER, rows: list[list[str]] = ROWS, end: str = "\n") -> str:
    return end.join(separator.join(row) for row in (header, *rows)) + end


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.dat"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, types: dict[str, pa.DataType] = TYPES) -> dict[str, list]:
    with open_table(path) as table:
        return pa.Table.from_batches(table.read(types)).to_pydict()


def opened(path: Path) -> TableFile:
    with open_table(path) as table:
        return table


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ", ", " ; ", " | "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_separator_and_line_end_is_read(tmp_path, separator: str, end: str) -> None:
    path = written(tmp_path, lines(separator, end=end))
    assert read(path) == FOUND
    assert opened(path).spelling == dict(zip(FOUND, HEADER, strict=True))


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_marks_and_utf16_are_read(tmp_path, codec: str) -> None:
    assert read(written(tmp_path, lines(";").encode(codec))) == FOUND


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_tables_are_read_and_cut_ones_named(tmp_path, pack) -> None:
    packed = pack(lines("\t").encode())
    assert read(written(tmp_path, packed)) == FOUND
    with pytest.raises(TableError, match=r"t\.dat cannot be read: it is truncated"):
        read(written(tmp_path, packed[:-12]))
    if pack is not gzip.compress:
        return
    with pytest.raises(TableError, match=r"t\.dat cannot be read: it is damaged"):
        read(written(tmp_path, packed[:-6] + b"\0" * 6))


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_tables_packed_by_zstandard_and_lz4_are_read(tmp_path, codec: str) -> None:
    packed = pa.compress(lines(",").encode(), codec, asbytes=True)
    assert read(written(tmp_path, packed)) == FOUND
    with pytest.raises(TableError, match="truncated"):
        read(written(tmp_path, packed[:-12]))


@pytest.mark.parametrize("before", ["#", "# ", "#Table1\n", "#a note, of two cells\n#", "\n# note\n\n# "])
def test_a_header_behind_a_hash_is_the_header(tmp_path, before: str) -> None:
    assert read(written(tmp_path, before + lines(","))) == FOUND


def test_a_comment_of_as_many_cells_is_no_header_of_a_table_of_text(tmp_path) -> None:
    text = "# made by me, yesterday\nid,kind\nab1,spiral\nab2,round\n"
    assert read(written(tmp_path, text), {"id": pa.string(), "kind": pa.string()})["kind"] == ["spiral", "round"]
    commented = "#id,kind\nab1,spiral\nab2,round\n"
    assert read(written(tmp_path, commented), {"id": pa.string()})["id"] == ["ab1", "ab2"]


@pytest.mark.parametrize(
    "text",
    [
        "objID  RA  dec   kind\n588017703996096547 211.25 -1.5 spiral\n  588017703996096548\t0.75  54.125 'S' \n",
        '# objID RA dec kind\n588017703996096547   211.25 -1.5 spiral\n588017703996096548   0.75  54.125 "S b"\n',
    ],
)
def test_columns_parted_by_blanks_are_read(tmp_path, text: str) -> None:
    assert read(written(tmp_path, text))["dec"] == FOUND["dec"]


def test_decimal_commas_are_read_as_points_and_told(tmp_path) -> None:
    path = written(tmp_path, lines(";", rows=[[cell.replace(".", ",") for cell in row] for row in ROWS]))
    assert read(path) == FOUND
    assert read(path, {"ra": pa.string()})["ra"] == ["211.25", "0.75"]
    assert opened(path).notes == ("columns are parted by semicolons", "decimal commas are read as points")


@pytest.mark.parametrize("separator", [" ", ",", ";", "\t"])
def test_row_names_of_r_that_the_header_leaves_out_are_no_column(tmp_path, separator: str) -> None:
    rows = [[f'"{row}"', *cells[:-1], f'"{cells[-1]}"'] for row, cells in enumerate(ROWS, 1)]
    path = written(tmp_path, lines(separator, rows=rows))
    assert read(path) == FOUND
    assert opened(path).ignored == {"(column 1)": "it has no name"}
    for first in ("1", '"a"'):  # it may be an id, and the last name be missing
        with pytest.raises(TableError):
            read(written(tmp_path, lines(",", rows=[[first, *rows[0][1:]]])))


def test_a_separator_at_the_end_of_every_row_is_no_column(tmp_path) -> None:
    path = written(tmp_path, lines(",", rows=[[*cells, ""] for cells in ROWS]))
    assert read(path) == FOUND
    assert opened(path).ignored == {"(column 5)": "it has no name"}
    with pytest.raises(TableError, match="Expected 4 columns, got 5"):
        read(written(tmp_path, lines(",", rows=[[*cells, "x"] for cells in ROWS])))


def test_decimal_commas_in_quotes_are_read_as_points_and_thousands_are_not(tmp_path) -> None:
    quoted = [[f'"{cell.replace(".", ",")}"' for cell in row] for row in ROWS]
    path = written(tmp_path, lines(",", rows=quoted))
    assert read(path) == FOUND
    assert opened(path).notes == ("decimal commas are read as points",)
    thousands = written(tmp_path, 'objID,counts\n1,"1,234"\n2,"12,500"\n')
    assert read(thousands, {"counts": pa.string()})["counts"] == ["1,234", "12,500"]
    mixed = written(tmp_path, 'objID,ra,note\n1,150.1,"12,5"\n')
    assert read(mixed, {"note": pa.string()})["note"] == ["12,5"]


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_vizier_units_and_dashes_are_no_rows(tmp_path, separator: str) -> None:
    extra = [["", '"h:m:s"', "deg", ""], ["---", "----", "----", "----"]]
    text = (
        "#\n#   VizieR\n#Table\tJ_x\n\n" + lines(separator, rows=[*extra, *ROWS, ["5", "   ", "1.5", " "]]) + "#END#\n"
    )
    path = written(tmp_path, text)
    assert opened(path).units == {"ra": "h:m:s", "dec": "deg"}
    assert read(path)["ra"] == [211.25, 0.75, None]
    assert read(path)["kind"] == ["spiral", "S b", None]
    with pytest.raises(TableError, match="several tables one after another"):
        read(written(tmp_path, text + "#Table\tJ_y\n\nother\n"))


def test_rdb_types_unit_lines_and_excel_hints_are_no_rows(tmp_path) -> None:
    assert read(written(tmp_path, lines("\t", rows=[["19N", "10N", "10N", "10S"], *ROWS]))) == FOUND
    path = written(tmp_path, lines(",", rows=[["", "deg", "deg", ""], *ROWS]))
    assert read(path) == FOUND
    assert opened(path).units == {"ra": "deg", "dec": "deg"}
    assert read(written(tmp_path, "sep=;\n" + lines(";"))) == FOUND


def test_a_title_before_the_header_is_left_out_and_told(tmp_path) -> None:
    path = written(tmp_path, '"2026-11-02 00:00:00"\n' + lines(","))
    assert read(path) == FOUND
    assert "2026-11-02" in opened(path).notes[0]


@pytest.mark.parametrize("before", [0, 5000])
def test_quotes_after_blanks_and_line_breaks_in_quotes_are_read_wherever_they_begin(tmp_path, before: int) -> None:
    odd = '588017703996096549, 1.5, 2.5, "a, b"\n588017703996096550,1,2,"two\nlines, one cell"\n'
    path = written(tmp_path, lines(",", rows=[*ROWS, *[ROWS[0]] * before]) + odd)
    found = read(path)
    assert found["kind"][-2:] == ["a, b", "two lines, one cell"]
    assert len(found["kind"]) == before + 4


def test_latin1_is_read_and_told(tmp_path, caplog) -> None:
    text = lines(",", rows=[*ROWS, ["5", "1", "2", "spiräl"]])
    path = written(tmp_path, text.encode("latin-1"))
    assert read(path)["kind"][-1] == "spiräl"
    assert opened(path).notes == ("text is Latin-1 (cp1252)",)
    late = lines(",", rows=[ROWS[0]] * 5000) + "5,1,2,spiräl\n"
    with caplog.at_level(logging.WARNING):
        assert read(written(tmp_path, late.encode("latin-1")))["kind"][-1] == "spiräl"
    assert "t.dat is not UTF-8 throughout" in caplog.text


def test_unnamed_columns_are_left_out(tmp_path) -> None:
    rows = [[str(at), *row] for at, row in enumerate(ROWS)]
    path = written(tmp_path, lines(",", header=["", *HEADER], rows=rows))
    assert read(path) == FOUND
    assert opened(path).ignored == {"(column 1)": "it has no name"}


def test_a_row_of_another_length_is_named(tmp_path) -> None:
    with pytest.raises(TableError, match=r"t\.dat: .*Expected 4 columns, got 2.*588017"):
        read(written(tmp_path, lines(",") + "588017703996096549,2\n"))
    with pytest.raises(TableError, match=r"t\.dat cannot be read: "):
        read(written(tmp_path, lines(",").encode("utf-16") + b"1"))


def test_cells_with_blanks_are_numbers_missing_or_truth_values(tmp_path) -> None:
    text = "id, n, flag, x\na, 16.0, true, NA\nb,  , 0, 1.5\n"
    types = {"n": pa.int32(), "flag": pa.bool_(), "x": pa.float64()}
    assert read(written(tmp_path, text), types) == {"n": [16, None], "flag": [True, False], "x": [None, 1.5]}
    with pytest.raises(TableError, match="column 'flag': 'maybe' is no truth value"):
        read(written(tmp_path, text.replace("true", "maybe")), types)


@pytest.mark.parametrize("delimiter", [" ", ","])
def test_ecsv_has_units_and_types(tmp_path, delimiter: str) -> None:
    table = Table({"objID": [588017703996096547, 2], "ra": [1.5, 2.5], "v": np.zeros((2, 3)), "c": [1j, 2j]})
    table["n"] = MaskedColumn([1, 2], mask=[False, True])
    table["kind"] = ["S b", 'a "b"']
    table["ra"].unit = "rad"
    path = tmp_path / "t.dat"
    table.write(path, format="ascii.ecsv", delimiter=delimiter)
    types = {"objid": pa.string(), "n": pa.int32(), "kind": pa.string()}
    assert read(path, types) == {
        "objid": ["588017703996096547", "2"],
        "n": [1, None],
        "kind": ["S b", 'a "b"'],
    }
    found = opened(path)
    assert found.units == {"ra": "rad"}
    assert found.float_columns == {"ra"}
    assert set(found.ignored) == {"v", "c"}
    assert found.columns == ("objid", "ra", "n", "kind")


def test_a_broken_ecsv_header_is_named(tmp_path) -> None:
    with pytest.raises(TableError, match=r"t\.dat: its ECSV header cannot be read"):
        read(written(tmp_path, "# %ECSV 1.0\n# ---\n# datatype: [}\nid ra\n1 2\n"))


@pytest.mark.parametrize("layout", ["ipac", "mrt", "fixed_width", "fixed_width_two_line", "rst", "commented_header"])
def test_layouts_of_astropy_are_read(tmp_path, layout: str) -> None:
    table = Table({"objID": [588017703996096547, 2], "ra": [1.5, 2.5], "kind": ["Sb", "E"]})
    table["ra"].unit = "rad"
    path = tmp_path / "t.dat"
    table.write(path, format=f"ascii.{layout}")
    assert read(path, {"objid": pa.string(), "ra": pa.float64(), "kind": pa.string()}) == {
        "objid": ["588017703996096547", "2"],
        "ra": [1.5, 2.5],
        "kind": ["Sb", "E"],
    }
    if layout in ("ipac", "mrt"):
        assert opened(path).units == {"ra": "rad"}


def test_pieces_of_any_size_give_the_same_rows(tmp_path, monkeypatch) -> None:
    rows = [[str(at), str(at / 4), "-1", "É"] for at in range(200)]
    path = written(tmp_path, lines(";", rows=rows).encode("cp1252"))
    whole = read(path)
    monkeypatch.setattr(text_tables, "_PIECE_BYTES", 50)
    assert read(path) == whole
    assert whole["objid"] == [str(at) for at in range(200)]


def test_a_sextractor_catalogue_is_read(tmp_path) -> None:
    text = "#   1 NUMBER  Running number\n#   2 ALPHA_J2000  Right ascension  [deg]\n 1 150.5\n 2 150.75\n"
    path = written(tmp_path, text)
    assert read(path, {"number": pa.int32(), "alpha_j2000": pa.float64()}) == {
        "number": [1, 2],
        "alpha_j2000": [150.5, 150.75],
    }
    assert opened(path).units == {"alpha_j2000": "deg"}
