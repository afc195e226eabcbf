"""What is written as FITS or VOTable is read back as it was, by the reader of an ingest."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from tasks.tables import table_writing
from tasks.tables.table_files import open_table
from tasks.tables.table_writing import SUFFIXES, write_table_as

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("ra_deg", pa.float64(), metadata={b"unit": b"deg"}),
        pa.field("width", pa.float64(), metadata={b"unit": b"px"}),
        pa.field("seen", pa.bool_()),
        pa.field("none", pa.string()),
    ]
)
ROWS: list[dict[str, Any]] = [
    {"id": "587722952767439450", "ra_deg": 0.1 + 0.2, "width": 128.0, "seen": True, "none": None},
    {"id": None, "ra_deg": None, "width": None, "seen": None, "none": None},
    {"id": "b", "ra_deg": -1.5, "width": 1e9, "seen": False, "none": None},
]


def written(table: pa.Table, folder: Path, kind: Any) -> Path:
    path = folder / f"t{SUFFIXES[kind]}"
    pq.write_table(table, folder / "t.parquet")
    write_table_as(folder / "t.parquet", path, kind)
    return path


@pytest.mark.parametrize("kind", ["fits", "votable"])
@pytest.mark.parametrize("rows", [ROWS, []])
@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_values_units_and_what_is_missing_are_kept(
    kind: Any, rows: list[dict[str, Any]], at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_writing, "ROWS_AT_ONCE", at_once)
    with open_table(written(pa.Table.from_pylist(rows, SCHEMA), tmp_path, kind)) as table:
        assert table.columns == ("id", "ra_deg", "width", "seen", "none")
        assert (table.units["ra_deg"], table.units["width"]) == ("deg", "pix")
        kinds = {
            "id": pa.string(),
            "ra_deg": pa.float64(),
            "width": pa.float64(),
            "seen": pa.int16(),
            "none": pa.string(),
        }
        read = [row for batch in table.read(kinds) for row in batch.to_pylist()]
    assert read == [row | {"seen": {True: 1, False: 0, None: -1}[row["seen"]]} for row in rows]


@pytest.mark.parametrize("kind", ["fits", "votable"])
def test_other_programs_read_the_same(kind: Any, tmp_path: Path) -> None:
    texts, numbers = ["<a> & b", "inf", ""], [float("inf"), -float("inf"), 1 / 3]
    table = pa.table({"text": texts, "number": numbers, "count": [1, None, 3], "whole": [2**60, 0, -1]})
    read = Table.read(written(table, tmp_path, kind), format=kind)
    assert np.ma.filled(read["text"], "").tolist() == texts
    assert read["number"].tolist() == numbers
    assert read["whole"].tolist() == [2**60, 0, -1]
    np.testing.assert_array_equal(np.ma.filled(read["count"], np.nan), [1, np.nan, 3])


def test_letters_that_fits_cannot_hold_are_escaped(tmp_path: Path) -> None:
    with open_table(written(pa.table({"id": ["é1", "b"]}), tmp_path, "fits")) as table:
        (batch,) = table.read({"id": pa.string()})
    assert batch.column("id").to_pylist() == ["\\xe91", "b"]
