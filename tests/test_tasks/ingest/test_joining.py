"""Metadata joined by id, else by position, row by row with exact values."""

import numpy as np
import pyarrow as pa
import pytest

from galaxy.catalogue.errors import CatalogueError
from tasks.ingest.joining import MATCH_RADIUS_ARCSEC, JoinedTable, read_joined_table, read_mapping

ARCSEC = 1 / 3600


def metadata(**columns) -> JoinedTable:
    table = pa.table(
        {
            "id": pa.array(["a", "b", "c"]),
            "ra_deg": pa.array([10.0, 20.0, None]),
            "dec_deg": pa.array([0.0, 0.0, 5.0]),
            "redshift": pa.array([0.1, 0.2, 0.3]),
            **columns,
        }
    )
    return JoinedTable(path=None, kind="gz1-metadata", rows=table)


def batch(ids, ra, dec, **columns) -> pa.RecordBatch:
    return pa.record_batch(
        {"id": pa.array(ids, pa.string()), "ra_deg": pa.array(ra), "dec_deg": pa.array(dec), **columns}
    )


def test_an_id_matches_before_a_position_and_both_are_counted() -> None:
    joined = metadata()
    filled = joined.fill(batch(["b", "x", "y"], [10.0, 20.0, 30.0], [0.0, 0.0, 0.0]))
    assert filled["redshift"].to_pylist() == [0.2, 0.2, None]
    assert joined.joined == {"by_id": 1, "by_position": 1, "neither": 1}
    joined.fill(batch(["a"], [10.0], [0.0]))
    assert joined.joined == {"by_id": 2, "by_position": 1, "neither": 1}


@pytest.mark.parametrize(("offset_arcsec", "redshift"), [(0.0, 0.1), (1.99, 0.1), (2.01, None)])
def test_a_position_matches_within_two_arcsec(offset_arcsec: float, redshift: float | None) -> None:
    assert MATCH_RADIUS_ARCSEC == 2.0
    filled = metadata().fill(batch(["x"], [10.0], [offset_arcsec * ARCSEC]))
    assert filled["redshift"].to_pylist() == [redshift]


def test_the_nearest_of_two_positions_is_taken() -> None:
    joined = metadata(ra_deg=pa.array([10.0, 10.0, None]), dec_deg=pa.array([0.0, 1.5 * ARCSEC, 5.0]))
    assert joined.fill(batch(["x"], [10.0], [1.0 * ARCSEC]))["redshift"].to_pylist() == [0.2]


def test_positions_that_are_missing_match_nothing() -> None:
    filled = metadata().fill(batch(["x", "y"], [None, 10.0], [5.0, None]))
    assert filled["redshift"].to_pylist() == [None, None]


def test_the_rows_own_values_stay_and_their_gaps_are_filled() -> None:
    filled = metadata().fill(batch(["a", "b"], [10.0, 20.0], [0.0, 0.0], redshift=pa.array([0.9, None])))
    assert filled["redshift"].to_pylist() == [0.9, 0.2]
    assert filled.schema.names == ["id", "ra_deg", "dec_deg", "redshift"]


def test_metadata_without_positions_joins_by_id_alone() -> None:
    rows = pa.table({"id": ["a"], "redshift": [0.1]})
    joined = JoinedTable(path=None, kind="labels-by-id", rows=rows)
    assert joined.fill(batch(["a", "x"], [10.0, 10.0], [0.0, 0.0]))["redshift"].to_pylist() == [0.1, None]
    without_positions = pa.record_batch({"id": pa.array(["a", "x"])})
    assert metadata().fill(without_positions)["redshift"].to_pylist() == [0.1, None]


def test_a_table_keeps_the_first_of_equal_ids_and_every_row_without_one(tmp_path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text("objid,ra,dec,z,petroR90_r\n7,1,1,0.1,3\n,2,2,0.2,4\n7,3,3,0.3,5\n,4,4,0.4,6\n8,5,5,0.5,7\n")
    joined = read_joined_table(path)
    assert joined.kind == "gz1-metadata"
    assert joined.rows["id"].to_pylist() == ["7", None, None, "8"]
    assert joined.rows["redshift"].to_pylist() == [0.1, 0.2, 0.4, 0.5]
    assert joined.rows.column_names == ["id", "ra_deg", "dec_deg", "redshift", "petro_r90_arcsec"]
    assert joined.joined == {"by_id": 0, "by_position": 0, "neither": 0}


def test_a_mapping_gives_ids_with_an_asset(tmp_path) -> None:
    path = tmp_path / "mapping.csv"
    path.write_text("objid,sample,asset_id\n7,original,100\n8,original,\n7,extra,300\n")
    assert read_mapping(path).to_pydict() == {"id": ["7"], "asset_id": [100]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("objid,ra,dec\n7,1,1\n", "has none of the columns redshift"),
        ("objid,sample\n7,extra\n", "and no other to join; it has objid, sample"),
        ("file\na.jpg\n", "and no other to join"),
        ("objid,z,petroR90_r\n", "has no rows"),
    ],
)
def test_a_table_without_values_to_join_is_refused(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=message):
        read_joined_table(path)


def test_a_mapping_without_assets_is_refused(tmp_path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text("objid,z,petroR90_r\n7,0.1,2\n")
    with pytest.raises(CatalogueError, match="no column 'asset_id'"):
        read_mapping(path)
    assert np.isfinite(read_joined_table(path).rows["redshift"].to_numpy()).all()


def test_a_row_without_an_id_stays_without_one() -> None:
    filled = metadata().fill(batch([None], [10.0], [0.0]))
    assert filled["id"].to_pylist() == [None]
    assert filled["redshift"].to_pylist() == [0.1]


def joined_of(folder, text: str, **named: str) -> JoinedTable:
    path = folder / "metadata.csv"
    path.write_text(text)
    return read_joined_table(path, named)


def test_metadata_without_ids_joins_by_position_and_never_by_an_id_made_of_it(tmp_path) -> None:
    joined = joined_of(tmp_path, "_RAJ2000,_DEJ2000,zsp\n10,0,0.4\n20,0,0.5\n")
    assert joined.rows["id"].null_count == 2
    filled = joined.fill(batch(["J010.00000+00.00000", None, "x"], [10.0, 20.0, 30.0], [0.0, 0.0, 0.0]))
    assert filled["redshift"].to_pylist() == [0.4, 0.5, None]
    assert joined.joined == {"by_id": 0, "by_position": 2, "neither": 1}


def test_metadata_of_another_survey_s_ids_joins_by_position(tmp_path) -> None:
    joined = joined_of(tmp_path, "source_id,ra,dec,z\n123456789012345678,10,0,0.4\n123456789012345679,20,0,0.5\n")
    filled = joined.fill(batch(["587722981742215240"], [20.0], [0.0]))
    assert filled["redshift"].to_pylist() == [0.5]
    assert joined.joined == {"by_id": 0, "by_position": 1, "neither": 0}


def test_a_row_s_number_joins_no_row_that_lies_elsewhere(tmp_path) -> None:
    joined = joined_of(tmp_path, "id,ra,dec,z\n1,10,0,0.4\n2,20,0,0.5\n3,,,0.6\n")
    near = 30 * ARCSEC
    filled = joined.fill(batch(["1", "2", "1", "3", "2"], [20.0, 20.0 + near, 50.0, 30.0, None], [0.0] * 5))
    assert filled["redshift"].to_pylist() == [0.5, 0.5, None, 0.6, 0.5]
    assert joined.joined == {"by_id": 3, "by_position": 1, "neither": 1}


def test_own_columns_of_metadata_are_joined_and_its_sample_is_not(tmp_path) -> None:
    joined = joined_of(tmp_path, "objid,sample,spiral,Bar,z\n7,extra,1,strong,0.1\n8,extra,0,,0.2\n")
    filled = joined.fill(pa.record_batch({"id": ["8", "7", "9"], "bar": pa.array([None, "weak", None], pa.string())}))
    assert filled["bar"].to_pylist() == [None, "weak", None]
    assert filled["gz1_spiral"].to_pylist() == [False, True, None]
    assert filled["redshift"].to_pylist() == [0.2, 0.1, None]
    assert "sample" not in filled.schema.names
    account = joined.account
    assert account.kept == ("Bar",)
    assert account.understood == {"id": "objid", "gz1_spiral": "spiral", "redshift": "z"}
    assert list(account.why_ignored) == ["sample"]


def test_a_mapping_with_an_index_and_one_that_names_its_ids(tmp_path) -> None:
    path = tmp_path / "mapping.csv"
    path.write_text("Unnamed: 0,objid,sample,asset_id,png\n0,7,original,100,a.png\n1,8,extra,101,b.png\n")
    assert read_mapping(path).to_pydict() == {"id": ["7", "8"], "asset_id": [100, 101]}
    path.write_text("index,galaxy,asset_id\n0,7,100\n")
    assert read_joined_table(path, {"id": "galaxy"}).rows["id"].to_pylist() == ["7"]


def test_ids_that_come_again_with_other_values_are_told(tmp_path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("objid,sample,z\na,one,0.1\nb,one,0.2\na,two,0.3\nb,two,0.2\n,one,0.5\n,one,0.6\n")
    joined = read_joined_table(path)
    joined.fill(batch(["a"], [10.0], [0.0]))
    assert joined.notes() == ("m.csv: 1 ids come again with other values, the first row of each counts: a",)
    path.write_text("objid,z\na,0.1\nb,\na,0.1\nb,\n")
    assert read_joined_table(path).faults == ()


def test_metadata_that_matches_no_object_and_positions_that_cannot_be_read_are_told(tmp_path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("ra,dec,z\neast,0,0.1\n10,0,0.2\n")
    joined = read_joined_table(path)
    joined.fill(batch(["a"], [50.0], [0.0]))
    unread = "m.csv: some positions cannot be read, such as ra = 'east'"
    assert joined.notes() == (unread, "m.csv: it fills no row: no object has an id or a position of its rows")
    joined.fill(batch(["b"], [10.0], [0.0]))
    assert joined.notes() == (unread,)
