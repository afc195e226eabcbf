"""The catalogue's Parquet: its schema, row groups, counts of missing values, provenance."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy.catalogue import writing
from galaxy.catalogue.writing import PROVENANCE_KEY, CatalogueWriter, united_schema


def test_the_catalogues_columns_come_first_in_their_order_then_the_tables_own() -> None:
    schema = united_schema(
        [
            pa.schema([("note", pa.string()), ("redshift", pa.float64())]),
            pa.schema([("id", pa.string()), ("other", pa.string()), ("note", pa.string())]),
        ]
    )
    assert schema.names == ["id", "redshift", "note", "other"]
    assert schema.field("redshift").metadata == {b"unit": b"", b"meaning": b"redshift"}
    assert schema.field("note").metadata == {b"unit": b"", b"meaning": b"the table's own"}


def batch(start: int, count: int) -> pa.RecordBatch:
    redshift = [None if number % 10 == 0 else number / 100 for number in range(start, start + count)]
    return pa.record_batch({"id": [str(number) for number in range(start, start + count)], "redshift": redshift})


def test_row_groups_have_a_least_size_and_nothing_is_lost(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "_FEWEST_ROWS_A_GROUP", 10)
    path = tmp_path / "c.parquet"
    schema = united_schema([batch(1, 1).schema, pa.schema([("r_mag", pa.float64()), ("note", pa.string())])])
    with CatalogueWriter(path, schema) as writer:
        for start, count in ((0, 4), (4, 6), (10, 3), (13, 8), (21, 2)):
            writer.write(batch(start, count))
        assert writer.rows == 23
        writer.finish({"name": "c"})
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [10, 11, 2]
    table = file.read()
    assert table["id"].to_pylist() == [str(number) for number in range(23)]
    assert table["note"].null_count == 23
    assert writer.nulls == {"id": 0, "redshift": 3, "r_mag": 23}
    assert json.loads(file.metadata.metadata[PROVENANCE_KEY.encode()]) == {"name": "c"}


def test_row_groups_have_statistics_but_of_vote_measures(tmp_path) -> None:
    rows = pa.record_batch({"redshift": [0.1, 0.2], "t02_edgeon_a04_yes_count": pa.array([1, 2], pa.int16())})
    with CatalogueWriter(tmp_path / "c.parquet", united_schema([rows.schema])) as writer:
        writer.write(rows)
        writer.finish({})
    group = pq.read_metadata(tmp_path / "c.parquet").row_group(0)
    assert [group.column(number).is_stats_set for number in range(2)] == [True, False]
