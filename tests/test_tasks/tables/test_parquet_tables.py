"""Parquet tables: columns that are not flat, units of several writers, masks, cut files."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table

from tasks.tables import parquet_tables
from tasks.tables.parquet_tables import open_parquet
from tasks.tables.table_files import TableError, TableFile, open_table


def opened(path: Path) -> TableFile:
    with open_table(path) as table:
        return table


def read(path: Path, types: dict[str, pa.DataType]) -> dict[str, list]:
    with open_table(path) as table:
        return pa.Table.from_batches(table.read(types)).to_pydict()


@pytest.mark.parametrize(
    "odd",
    [
        pa.array([[1], [2, 3]]),
        pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2)),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        pa.array([b"ab", b"c"]),
        pa.array([b"ab", b"cd"], pa.binary(2)),
        pa.array([1, 2], pa.duration("s")),
    ],
)
def test_a_column_that_is_not_flat_is_left_out_with_its_type(tmp_path, odd: pa.Array) -> None:
    path = tmp_path / "t"
    pq.write_table(pa.table({"ID": ["a", "b"], "Odd": odd}), path)
    table = opened(path)
    assert table.columns == ("id",)
    assert list(table.ignored) == ["Odd"]
    assert read(path, {"id": pa.string()}) == {"id": ["a", "b"]}


def test_dates_decimals_unsigned_and_empty_columns_are_flat(tmp_path) -> None:
    path = tmp_path / "t"
    columns = {
        "date": pa.array([0, None], pa.timestamp("ms")),
        "d": pa.array([Decimal("1.25"), Decimal(2)], pa.decimal128(20, 2)),
        "u": pa.array([18446744073709551615, 0], pa.uint64()),
        "none": pa.nulls(2),
        "b": pa.array([1, 2], pa.int8()),
    }
    pq.write_table(pa.table(columns), path)
    types = {"date": pa.string(), "d": pa.float64(), "u": pa.string(), "none": pa.string(), "b": pa.int32()}
    assert read(path, types) == {
        "date": ["1970-01-01 00:00:00.000", None],
        "d": [1.25, 2.0],
        "u": ["18446744073709551615", "0"],
        "none": [None, None],
        "b": [1, 2],
    }
    with pytest.raises(TableError, match="column 'date'"):
        read(path, {"date": pa.float64()})


def test_whole_decimals_keep_every_digit_and_half_floats_are_numbers(tmp_path) -> None:
    path = tmp_path / "t"
    ids = pa.array([Decimal("587722981742215241"), None], pa.decimal128(19, 0))
    pq.write_table(pa.table({"objid": ids, "half": pa.array(np.array([0.5, np.nan], np.float16))}), path)
    assert read(path, {"objid": pa.string()}) == {"objid": ["587722981742215241", None]}
    assert read(path, {"objid": pa.int64()}) == {"objid": [587722981742215241, None]}
    assert read(path, {"half": pa.float64()}) == {"half": [0.5, None]}
    assert read(path, {"half": pa.string()}) == {"half": ["0.5", None]}


def test_units_of_fields_and_of_astropy_are_declared(tmp_path) -> None:
    fields = [pa.field("RA", pa.float64(), metadata={"unit": "rad"}), pa.field("dec", pa.float64())]
    pq.write_table(pa.table([[1.0], [2.0]], schema=pa.schema(fields)), tmp_path / "a")
    assert opened(tmp_path / "a").units == {"ra": "rad"}
    table = Table({"RA": [1.0, 2.0], "n": MaskedColumn([1, 2], mask=[False, True])})
    table["RA"].unit = "hourangle"
    table.write(tmp_path / "b.parquet")
    assert opened(tmp_path / "b.parquet").units == {"ra": "hourangle"}
    assert opened(tmp_path / "b.parquet").columns == ("ra", "n")
    assert read(tmp_path / "b.parquet", {"n": pa.int32()}) == {"n": [1, None]}


def test_units_of_an_embedded_votable_are_declared(tmp_path) -> None:
    table = Table({"id": [1], "ra": [1.0]})
    table["ra"].unit = "rad"
    table.write(tmp_path / "t.parquet", format="parquet.votable", metadata={"id": {}, "ra": {"unit": "rad"}})
    assert opened(tmp_path / "t.parquet").units == {"ra": "rad"}


def test_a_cut_file_is_named_as_truncated(tmp_path) -> None:
    path = tmp_path / "t"
    pq.write_table(pa.table({"id": np.arange(100)}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match="truncated, its footer is missing"):
        opened(path)


def test_a_column_of_truth_values_is_a_mask_only_beside_its_column_in_a_table_of_astropy(tmp_path: Path) -> None:
    """Its own header is what tells a mask from a column that somebody named so."""
    columns = {"n": [1, 2], "n.mask": [False, True]}
    pq.write_table(pa.table(columns), tmp_path / "plain")
    with open_parquet(tmp_path / "plain", tmp_path / "plain") as table:
        assert table.columns == ("n", "n.mask")
        (batch,) = table.read({"n": pa.int32(), "n.mask": pa.bool_()})
    assert batch.to_pydict() == columns
    headed = pa.table(columns).replace_schema_metadata({"table_meta_yaml": "damaged: ["})
    pq.write_table(headed, tmp_path / "headed")
    with open_parquet(tmp_path / "headed", tmp_path / "headed") as table:
        assert (table.columns, table.ignored) == (("n",), {"n.mask": "it says where 'n' is missing"})
        (batch,) = table.read({"n": pa.int32()})
    assert batch.to_pydict() == {"n": [1, None]}


def test_a_field_s_own_unit_goes_before_that_of_astropy_s_header(tmp_path: Path) -> None:
    header = "datatype:\n- {name: RA, unit: rad, datatype: float64}\n- {name: dec, unit: rad, datatype: float64}"
    fields = [pa.field("RA", pa.float64(), metadata={"Units": "deg"}), pa.field("dec", pa.float64())]
    schema = pa.schema(fields, {"table_meta_yaml": header})
    pq.write_table(pa.table([[1.0], [2.0]], schema=schema), tmp_path / "t")
    with open_parquet(tmp_path / "t", tmp_path / "t") as table:
        assert table.units == {"ra": "deg", "dec": "rad"}


def test_rows_come_in_order_in_pieces_and_only_the_asked_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_tables, "_ROWS_A_BATCH", 2)
    path = tmp_path / "t"
    pq.write_table(pa.table({"N": range(5), "X ": [0.5, np.nan, np.inf, None, 4.5], "": [1] * 5}), path)
    with open_parquet(path, path) as table:
        assert table.ignored == {"(column 3)": "it has no name"}
        assert table.float_columns == {"x"}
        batches = list(table.read({"x": pa.float64(), "n": pa.string()}))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    expected = {"x": [0.5, None, None, None, 4.5], "n": ["0", "1", "2", "3", "4"]}
    assert pa.Table.from_batches(batches).to_pydict() == expected


def test_a_table_without_rows_has_its_columns_and_gives_no_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ra": pa.array([], pa.float32())}), tmp_path / "t")
    with open_parquet(tmp_path / "t", tmp_path / "t") as table:
        assert (table.columns, table.float_columns) == (("ra",), {"ra"})
        assert sum(batch.num_rows for batch in table.read({"ra": pa.float64()})) == 0


@pytest.mark.parametrize("content", [b"PAR1" + bytes(40), b""])
def test_a_file_without_a_footer_is_refused_by_the_name_that_was_given(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "unpacked").write_bytes(content)
    with pytest.raises(TableError, match=r"^table sky\.parquet\.gz cannot be read: .* its footer is missing"):
        open_parquet(Path("sky.parquet.gz"), tmp_path / "unpacked").__enter__()
