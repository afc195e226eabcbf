"""VOTables: serialisations, units, arrays, several tables, a service's status, cut files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table

from tasks.tables.table_files import TableError, TableFile, open_table
from tasks.tables.units import to_unit

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
