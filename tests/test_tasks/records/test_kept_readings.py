"""A reading kept in a file's metadata comes back with the file."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from realbogus.readings import Reading
from tasks.records.kept_readings import keep_reading, kept_reading


def test_a_reading_survives_a_parquet_file(tmp_path: Path) -> None:
    reading = Reading({"ra": "RAJ2000"}, ("ベクトル",), {"time": 3}, ("a note",))
    rows = keep_reading(pa.table({"id": ["a"]}), reading)
    pq.write_table(rows, tmp_path / "rows.parquet")
    assert kept_reading(pq.read_schema(tmp_path / "rows.parquet")) == reading
    assert pq.read_table(tmp_path / "rows.parquet").to_pydict() == {"id": ["a"]}


def test_rows_without_one_have_an_empty_reading() -> None:
    assert kept_reading(pa.schema([("id", pa.string())])) == Reading()
