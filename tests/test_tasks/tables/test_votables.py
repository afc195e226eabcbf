"""VOTables: serialisations, units, arrays, several tables, a service's status, cut files."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table

from tasks.tables import votables
from tasks.tables.table_files import TableError, TableFile, open_table
from tasks.tables.units import to_unit
from tasks.tables.votables import declared_units, open_votable, parse_votable

FRAME = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">{}</RESOURCE></VOTABLE>"""
TABLE = """<TABLE name="{}"><FIELD name="{}" datatype="int"/><DATA><TABLEDATA><TR><TD>7</TD></TR></TABLEDATA></DATA>
</TABLE>"""


def opened(path: Path) -> TableFile:
    with open_table(path) as table:
        return table


def read(path: Path, types: dict[str, pa.DataType]) -> dict[str, list]:
    with open_table(path) as table:
        return pa.Table.from_batches(table.read(types)).to_pydict()


@pytest.mark.parametrize("kind", ["tabledata", "binary", "binary2"])
def test_serialisations_units_and_arrays(tmp_path, kind: str) -> None:
    table = Table({"objID": [588017703996096547, 2], "ra": [1.5, 2.5], "kind": ["Sb", "E"], "v": np.zeros((2, 4))})
    table["c"] = [1j, 2j]
    table["ra"].unit = "hourangle"
    path = tmp_path / "t"
    table.write(path, format="votable", tabledata_format=kind)
    assert read(path, {"objid": pa.string(), "ra": pa.float64(), "kind": pa.string()}) == {
        "objid": ["588017703996096547", "2"],
        "ra": [1.5, 2.5],
        "kind": ["Sb", "E"],
    }
    found = opened(path)
    assert to_unit(np.array([10.0]), found.units["ra"], "deg", path=path, column="ra") == pytest.approx(150)
    assert set(found.ignored) == {"v", "c"}
    assert found.spelling["objid"] == "objID"


def test_the_first_of_several_tables_is_read_and_the_others_named(tmp_path) -> None:
    path = tmp_path / "t"
    path.write_text(FRAME.format(TABLE.format("one", "id") + TABLE.format("two", "other")))
    assert read(path, {"id": pa.int32()}) == {"id": [7]}
    assert opened(path).notes == ("the first of 2 tables is read, 'one'; not 'two'",)


def test_of_several_tables_the_one_whose_rows_are_named_is_read(tmp_path) -> None:
    path = tmp_path / "t"
    path.write_text(FRAME.format(TABLE.format("about", "version") + TABLE.format("rows", "objID")))
    assert read(path, {"objid": pa.int32()}) == {"objid": [7]}
    assert opened(path).notes == ("one of 2 tables is read, 'rows'; not 'about'",)


def test_a_service_s_status_is_told(tmp_path) -> None:
    path = tmp_path / "t"
    path.write_text(FRAME.format('<INFO name="QUERY_STATUS" value="ERROR">no such column</INFO>'))
    with pytest.raises(TableError, match=r"holds no table \(ERROR: no such column\)"):
        opened(path)
    path.write_text(FRAME.format(TABLE.format("one", "id") + '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'))
    assert opened(path).notes == ("the query's status is OVERFLOW",)


def test_a_cut_file_is_named_as_truncated(tmp_path) -> None:
    path = tmp_path / "t"
    path.write_text(FRAME.format(TABLE.format("one", "id"))[:-30])
    with pytest.raises(TableError, match=r"it is truncated, its end </VOTABLE> is missing"):
        opened(path)


def test_two_fields_of_one_name_are_refused(tmp_path) -> None:
    path = tmp_path / "t"
    field = '<FIELD name="id" datatype="int"/>'
    path.write_text(
        FRAME.format(TABLE.format("one", "id").replace("<DATA>", field + "<DATA>").replace("</TR>", "<TD>8</TD></TR>"))
    )
    with pytest.raises(TableError, match="two columns named 'id'"):
        opened(path)


FIELDS = """<TABLE name="t">{}<DATA><TABLEDATA>{}</TABLEDATA></DATA></TABLE>"""


def document(fields: str, rows: list[list[str]]) -> str:
    cells = "".join(f"<TR>{''.join(f'<TD>{cell}</TD>' for cell in row)}</TR>" for row in rows)
    return FRAME.format(FIELDS.format(fields, cells))


def test_empty_cells_nan_and_declared_nulls_are_null_and_rows_come_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(votables, "_ROWS_A_BATCH", 2)
    fields = """<FIELD name="N" datatype="int"><VALUES null="-1"/></FIELD><FIELD name="x" datatype="double" unit="mas"/>
    <FIELD name="word" datatype="char" arraysize="*"/><FIELD name="sign" datatype="unicodeChar" arraysize="4"/>"""
    rows = [["1", "0.5", " a b ", "é"], ["-1", "NaN", "", ""], ["3", "", "c", "+"]]
    path = tmp_path / "t"
    path.write_text(document(fields, rows))
    with open_votable(path, path) as table:
        assert (table.columns, table.float_columns, table.units) == (("n", "x", "word", "sign"), {"x"}, {"x": "mas"})
        batches = list(table.read({"word": pa.string(), "sign": pa.string(), "x": pa.float64(), "n": pa.int32()}))
    assert [batch.num_rows for batch in batches] == [2, 1]
    assert pa.Table.from_batches(batches).to_pydict() == {
        "word": ["a b", None, "c"],
        "sign": ["é", None, "+"],
        "x": [0.5, None, None],
        "n": [1, None, 3],
    }


@pytest.mark.parametrize(
    ("field", "cell", "reason"),
    [
        ('datatype="int" arraysize="2"', "1 2", "it holds arrays (int, arraysize 2)"),
        ('datatype="double" arraysize="*"', "1 2", "it holds arrays (double, arraysize *)"),
        ('datatype="floatComplex"', "1 2", "it holds complex numbers (floatComplex)"),
    ],
)
def test_a_column_that_is_not_flat_is_left_out_with_its_datatype(
    tmp_path: Path, field: str, cell: str, reason: str
) -> None:
    path = tmp_path / "t"
    path.write_text(document(f'<FIELD name="id" datatype="int"/><FIELD name="Odd" {field}/>', [["7", cell]]))
    with open_votable(path, path) as table:
        assert (table.columns, table.ignored) == (("id",), {"Odd": reason})
        (batch,) = table.read({"id": pa.int32()})
    assert batch.to_pydict() == {"id": [7]}


def test_a_table_without_rows_has_its_columns_and_gives_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text(document('<FIELD name="id" datatype="int"/>', []))
    with open_votable(path, path) as table:
        assert table.columns == ("id",)
        assert list(table.read({"id": pa.int32()})) == []


def test_units_are_told_by_the_name_or_the_id_of_their_field() -> None:
    fields = """<FIELD ID="a" datatype="int" unit="deg"/><FIELD ID="b" name="B" datatype="int" unit="mas"/>
    <FIELD name="c" datatype="int"/>"""
    parsed = parse_votable(io.BytesIO(document(fields, []).encode()), "the metadata")
    assert declared_units(parsed.get_first_table()) == {"a": "deg", "B": "mas"}


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [("</DATA>", "", "mismatched tag"), ('"int"', '"char" arraysize="2x3"', "invalid size specifier '2x3' .*'id'")],
)
def test_what_cannot_be_parsed_is_refused_by_the_name_that_was_given(
    tmp_path: Path, right: str, wrong: str, fault: str
) -> None:
    path = tmp_path / "unpacked"
    path.write_text(document('<FIELD name="id" datatype="int"/>', []).replace(right, wrong))
    with pytest.raises(TableError, match=rf"(?i)^VOTable sky\.vot\.gz cannot be read: .*{fault}"):
        open_votable(Path("sky.vot.gz"), path).__enter__()


@pytest.mark.parametrize(
    ("end", "is_whole"),
    [("</VOTABLE>", True), ("</VOTABLE >\n\n", True), ("</VOTABL", False), ("<!-- no VOTABLE -->", False)],
)
def test_a_file_is_whole_if_its_end_is_there(tmp_path: Path, end: str, *, is_whole: bool) -> None:
    path = tmp_path / "t"
    path.write_text(FRAME.format(TABLE.format("one", "id")).replace("</VOTABLE>", end))
    if is_whole:
        with open_votable(path, path) as table:
            assert table.columns == ("id",)
        return
    with pytest.raises(TableError, match=r"^VOTable .*t cannot be read: it is truncated"):
        open_votable(path, path).__enter__()
