"""Parsers' errors on damaged files: named with the file, whatever their kind; an interrupt passes."""

import random
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from astropy.table import Table

from tasks.tables.parser_faults import name_parser_faults
from tasks.tables.table_columns import TableError
from tasks.tables.table_files import open_table


@pytest.mark.parametrize("fault", [ValueError("x"), KeyError("x"), UserWarning("x"), MemoryError("x"), TypeError("x")])
def test_a_fault_is_named(fault: Exception) -> None:
    with pytest.raises(TableError, match=r"table t cannot be read: '?x"), name_parser_faults("table t"):
        raise fault


def test_an_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt), name_parser_faults("table t"):
        raise KeyboardInterrupt


def fault_of(path: Path) -> str | None:
    try:
        with open_table(path) as table:
            list(table.read(dict.fromkeys(table.columns, pa.string())))
    except TableError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("layout", "options"),
    [("votable", {}), ("votable", {"tabledata_format": "binary2"}), ("ascii.mrt", {}), ("ascii.ipac", {})],
)
def test_damaged_bytes_are_a_table_or_a_table_error(tmp_path: Path, layout: str, options: dict[str, str]) -> None:
    path = tmp_path / "t"
    Table({"id": [3, 1, 2], "ra": [1.5, 2.5, 3.5], "kind": ["a", "bb", "c"]}).write(path, format=layout, **options)
    whole = path.read_bytes()
    choose = random.Random(zlib.crc32(layout.encode()))
    for _ in range(60):
        at = choose.randrange(len(whole))
        cut = whole[at : at + choose.randrange(1, 30)]
        path.write_bytes(choose.choice((whole[:at] + whole[at + len(cut) :], whole[:at] + cut + whole[at:])))
        fault = fault_of(path)
        assert fault is None or str(path) in fault
