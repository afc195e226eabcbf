"""Text tables of a layout of their own: known by their first lines, read in pieces, masks kept, damage named."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn, Table

from tasks.tables import ascii_tables
from tasks.tables.ascii_tables import find_ascii_format, open_ascii
from tasks.tables.table_columns import TableError, TableFile

LAYOUTS = ("ipac", "mrt", "fixed_width_two_line", "rst")
TYPES = {"kind": pa.string(), "n": pa.int32(), "x": pa.float64()}


def table() -> Table:
    """Five rows; the second has no n, the third no x, the fourth a NaN."""
    return Table(
        {
            "n": MaskedColumn([1, 2, 3, 4, 5], mask=[False, True, False, False, False]),
            "x": MaskedColumn([0.5, 1.5, 2.5, np.nan, 4.5], mask=[False, False, True, False, False], unit="arcsec"),
            "kind": ["Sa", "E", "S b", "E", "Irr"],
        }
    )


def text(layout: str, of: Table) -> str:
    stream = io.StringIO()
    of.write(stream, format=f"ascii.{layout}")
    return stream.getvalue()


def read(path: Path, types: dict[str, pa.DataType] = TYPES) -> list[pa.RecordBatch]:
    with open_ascii(path, path) as opened:
        return list(opened.read(types))


def opened(path: Path) -> TableFile:
    with open_ascii(path, path) as found:
        return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_layout_is_known_by_its_first_lines(layout: str, before: str, end: str) -> None:
    content = before + text(layout, table()).replace("\n", end)
    assert find_ascii_format(content.encode()) == layout


@pytest.mark.parametrize(
    ("head", "layout"),
    [
        ("\\catalogue = 'x'\n\\ a comment\n|  id|   ra|\n|char|double|\n a 1.5\n", "ipac"),
        ("|id|ra|\n|a|1.5|\n", None),
        ("id|ra\na|1.5\n", None),
        ("Catalogue of stars\nByte-by-byte Description of file: t.dat\n", "cds"),
        ("Title: stars\nByte-by-byte Description of file: t.dat\n", "mrt"),
        ("Title: stars\n The Byte-by-byte Description is elsewhere\n", None),
        ("#   1 NUMBER  Running number\n#  2 MAG_AUTO\n 1 17.5\n", "sextractor"),
        ("# 1 of 3 files\nid,ra\na,1\n", None),
        ("# made by hand\nid ra\n-- ---\na  1.5\n", "fixed_width_two_line"),
        ("id\tra\n--\t---\na\t1.5\n", None),
        ("id,ra\n-- ---\na,1.5\n", None),
        ("== ===\nid ra\n== ===\na  1.5\n== ===\n", "rst"),
        ("id n m\n-  - -\na  1 2\n", None),
        ("", None),
        ("id,ra\n", None),
    ],
)
def test_rows_of_separated_cells_are_no_layout(head: str, layout: str | None) -> None:
    assert find_ascii_format(head.encode()) == layout


@pytest.mark.parametrize("layout", ["ipac", "mrt"])
def test_masked_cells_and_nan_are_null(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "t.dat"
    path.write_text(text(layout, table()))
    assert pa.Table.from_batches(read(path)).to_pydict() == {
        "kind": ["Sa", "E", "S b", "E", "Irr"],
        "n": [1, None, 3, 4, 5],
        "x": [0.5, 1.5, None, None, 4.5],
    }
    found = opened(path)
    assert (found.columns, found.float_columns, found.units) == (("n", "x", "kind"), {"x"}, {"x": "arcsec"})
    assert found.notes == (f"layout {layout}",)


def test_rows_come_in_order_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ascii_tables, "_ROWS_A_BATCH", 2)
    path = tmp_path / "t.dat"
    path.write_text(text("ipac", table()))
    batches = read(path)
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    assert [name for batch in batches for name in batch["kind"].to_pylist()] == ["Sa", "E", "S b", "E", "Irr"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_text_with_blanks_is_one_cell_beside_a_column_of_one_character(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "t.dat"
    path.write_text(text(layout, table()))
    whole = pa.Table.from_batches(read(path, {"kind": pa.string()}))
    assert whole["kind"].to_pylist() == ["Sa", "E", "S b", "E", "Irr"]


def test_a_table_without_rows_has_its_columns_and_gives_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "t.dat"
    path.write_text("|kind|   n|     x|\n|char| int|double|\n|    |    |   deg|\n|null|null|  null|\n \n")
    found = opened(path)
    assert (found.columns, found.units) == (("kind", "n", "x"), {"x": "deg"})
    assert read(path) == []


def test_a_cell_of_another_type_is_refused_with_its_column(tmp_path: Path) -> None:
    path = tmp_path / "t.dat"
    path.write_text(text("fixed_width_two_line", table()))
    with pytest.raises(TableError, match=r"t\.dat: column 'kind': 'Sa' is no number"):
        read(path, {"kind": pa.float64()})


def test_damage_is_named_with_the_file_as_given_and_its_layout(tmp_path: Path) -> None:
    plain = tmp_path / "unpacked"
    plain.write_text(text("ipac", table()).replace("double", "doubly"))
    with pytest.raises(TableError, match=r"^table catalogue\.tbl \(layout ipac\) cannot be read: .*doubly"):
        open_ascii(Path("catalogue.tbl"), plain).__enter__()
