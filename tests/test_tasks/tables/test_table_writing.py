"""What is written as FITS or VOTable is read back as it was, by the reader of an ingest."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.tables.table_files import open_table
from tasks.tables.table_writing import SUFFIXES, write_table_as

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("ra_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("seen", pa.bool_()),
        pa.field("none", pa.string()),
    ]
)
ROWS: list[dict[str, Any]] = [
    {"id": "587722952767439450", "ra_deg": 0.1 + 0.2, "seen": True, "none": None},
    {"id": None, "ra_deg": None, "seen": None, "none": None},
    {"id": "b", "ra_deg": -1.5, "seen": False, "none": None},
]


@pytest.mark.parametrize("kind", ["fits", "votable"])
@pytest.mark.parametrize("rows", [ROWS, []])
def test_values_units_and_what_is_missing_are_kept(kind: Any, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / f"t{SUFFIXES[kind]}"
    write_table_as(pa.Table.from_pylist(rows, SCHEMA), path, kind)
    with open_table(path) as table:
        assert table.columns == ("id", "ra_deg", "seen", "none")
        assert table.units["ra_deg"] == "deg"
        kinds = {"id": pa.string(), "ra_deg": pa.float64(), "seen": pa.int16(), "none": pa.string()}
        read = [row for batch in table.read(kinds) for row in batch.to_pylist()]
    assert read == [row | {"seen": {True: 1, False: 0, None: -1}[row["seen"]]} for row in rows]


def test_letters_that_fits_cannot_hold_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    write_table_as(pa.table({"id": ["é1", "b"]}), path, "fits")
    with open_table(path) as table:
        (batch,) = table.read({"id": pa.string()})
    assert batch.column("id").to_pylist() == ["\\xe91", "b"]
