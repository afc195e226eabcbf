"""Arrow tables as astropy tables: values, units and masks are those of the table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.table import join

from tasks.candidates.building.staged_rows import LEDGER_COLUMNS
from tasks.predictions.prediction_sources import FACTS
from tasks.tables.astropy_tables import astropy_table, read_astropy_table, unit_of

TABLE = pa.table(
    {
        "id": ["587722952767439450", "b", "c"],
        "ra_deg": [0.1 + 0.2, None, float("nan")],
        "row": pa.array([2**53 + 1, None, 0], pa.int64()),
        "clipped": [True, None, False],
        "reason": [None, "blank", None],
        "finished_at": pa.array([0, None, 10**6], pa.timestamp("us", "UTC")),
        "none": pa.nulls(3),
    }
)


def test_values_are_kept_and_what_is_null_is_masked() -> None:
    table = astropy_table(TABLE)
    assert table["id"].tolist() == ["587722952767439450", "b", "c"]
    assert not hasattr(table["id"], "mask")
    assert table["ra_deg"][0] == 0.1 + 0.2
    assert np.isnan(table["ra_deg"][2])
    assert table["ra_deg"].mask.tolist() == [False, True, False]
    assert table["row"].tolist() == [2**53 + 1, None, 0]
    assert table["clipped"].tolist() == [True, None, False]
    assert table["reason"].tolist() == [None, "blank", None]
    assert table["finished_at"].tolist() == ["1970-01-01 00:00:00+00:00", None, "1970-01-01 00:00:01+00:00"]
    assert table["none"].mask.all()


def test_a_unit_is_that_of_the_field_else_of_the_name() -> None:
    fields = [
        pa.field("width", pa.float64(), metadata={b"unit": b"arcsec/px"}),
        pa.field("x_px", pa.float32()),
        pa.field("scale_arcsec_per_px", pa.float64()),
        pa.field("label_deg", pa.string()),
        pa.field("redshift", pa.float64()),
    ]
    table = astropy_table(pa.table([pa.array([], field.type) for field in fields], schema=pa.schema(fields)))
    assert [table[field.name].unit for field in fields] == [
        units.arcsec / units.pix,
        units.pix,
        units.arcsec / units.pix,
        None,
        None,
    ]


def test_astropy_knows_the_unit_of_every_ledger_and_scores_column() -> None:
    told = {field.name: unit_of(field) for field in [*LEDGER_COLUMNS, *FACTS]}
    assert {told["ra_deg"], told["mag"], told["flux_counts"], told["seeing_fwhm_arcsec"]} == {
        "deg",
        "mag",
        "count",
        "arcsec",
    }
    for name, unit in told.items():
        assert unit is None or units.Unit(unit), name


def test_tables_join_by_id() -> None:
    scores = astropy_table(pa.table({"id": ["c", "b", "a"], "score": [0.25, 0.5, 0.75]}))
    joined = join(astropy_table(TABLE), scores, keys="id")
    assert dict(zip(joined["id"], joined["score"], strict=True)) == {"b": 0.5, "c": 0.25}


def test_a_file_is_read_by_column(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet")
    assert read_astropy_table(tmp_path / "t.parquet", ["row", "id"]).colnames == ["row", "id"]
    assert len(read_astropy_table(tmp_path / "t.parquet").colnames) == 7
    with pytest.raises(KeyError, match="no column votes"):
        read_astropy_table(tmp_path / "t.parquet", ["id", "votes"])
    with pytest.raises(FileNotFoundError):
        read_astropy_table(tmp_path / "none.parquet")
