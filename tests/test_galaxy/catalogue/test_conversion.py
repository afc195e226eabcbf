"""Batches of a table as catalogue columns: types, bounds, positions, magnitudes, Galaxy Zoo 1 classes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxy.catalogue.conversion import empty_batch, floats
from galaxy.catalogue.errors import CatalogueError
from tasks.ingest.table_rows import open_rows

GZ1_HEADER = "OBJID,RA,DEC,NVOTE,P_EL,P_CW,P_ACW,P_EDGE,P_DK,P_MG,P_CS,P_EL_DEBIASED,P_CS_DEBIASED,SPIRAL,ELLIPTICAL,\
UNCERTAIN"


def converted(folder: Path, text: str) -> pa.Table:
    path = folder / "t.csv"
    path.write_text(text)
    with open_rows(path) as table:
        rows = pa.Table.from_batches(table.batches())
        assert empty_batch(table.layout).schema == rows.schema
        assert empty_batch(table.layout).num_rows == 0
    return rows


def test_values_at_and_beyond_the_bounds_are_missing(tmp_path) -> None:
    rows = converted(tmp_path, "id,redshift,petro_r90_arcsec\na,-0.1,0\nb,-0.09,0.01\nc,11.9,3599\nd,12,3600\ne,,\n")
    assert rows["redshift"].to_pylist() == [None, -0.09, 11.9, None, None]
    assert rows["petro_r90_arcsec"].to_pylist() == [None, 0.01, 3599.0, None, None]


def test_types_follow_the_catalogue_and_blanks_are_null(tmp_path) -> None:
    rows = converted(tmp_path, 'id,total_votes,gz2_class,note\n 7 ,0, Er ,x\n8,-1,"  ",\n')
    assert rows["id"].to_pylist() == ["7", "8"]
    assert rows["total_votes"].to_pylist() == [0, None]
    assert rows.schema.field("total_votes").type == pa.int32()
    assert rows["gz2_class"].to_pylist() == ["Er", None]
    assert rows["note"].to_pylist() == ["x", None]
    assert rows.column_names == ["id", "total_votes", "gz2_class", "note"]


def test_right_ascensions_in_sexagesimal_are_hours_and_unreadable_ones_nan(tmp_path) -> None:
    rows = converted(tmp_path, "id,ra,dec\na,01:00:00,-01:30:00\nb,12.5,x\nc,,3\n")
    assert floats(rows["ra_deg"]).tolist()[:2] == [15.0, 12.5]
    assert rows["ra_deg"].to_pylist()[2] is None
    dec = rows["dec_deg"].to_pylist()
    assert dec[0] == -1.5
    assert np.isnan(dec[1])
    assert dec[2] == 3.0


def test_the_extinction_is_taken_from_the_magnitude_where_it_is_known(tmp_path) -> None:
    text = "objid,petroMag_r,petroR90_r,z,extinction_r\na,16.5,5,0.1,0.25\nb,16.5,5,0.1,0\nc,16.5,5,0.1,-0.1\n"
    rows = converted(tmp_path, text)
    assert rows["r_mag_corrected"].to_pylist() == [16.25, 16.5, None]
    assert "extinction_r" not in rows.column_names
    own = converted(tmp_path, "id,r_mag,extinction_r,r_mag_corrected\na,16.5,0.25,16.0\n")
    assert own["r_mag_corrected"].to_pylist() == [16.0]
    assert "r_mag_corrected" not in converted(tmp_path, "id,r_mag\na,16.5\n").column_names


def test_gz1_class_needs_exactly_one_flag_and_the_majority_a_vote(tmp_path) -> None:
    votes = ["0.5,0.3,0.1,0.1,0,0", "0.2,0.2,0.5,0.1,0,0", "0,0,0,0,0,0", "0.4,0.4,0,0.1,0.1,0"]
    flags = ["0,1,0", "1,0,0", "0,0,1", "1,1,0"]
    lines = [f"{n},1,1,20,{vote},0.5,0.5,0.5,{flag}" for n, (vote, flag) in enumerate(zip(votes, flags, strict=True))]
    rows = converted(tmp_path, "\n".join([GZ1_HEADER, *lines, ""]))
    assert rows["gz1_class"].to_pylist() == ["elliptical", "spiral", "uncertain", None]
    assert rows["gz1_majority"].to_pylist() == ["elliptical", "anticlockwise", None, "elliptical"]
    unset = converted(tmp_path, f"{GZ1_HEADER}\n9,1,1,20,{votes[0]},0.5,0.5,0.5,,1,\n")
    assert unset["gz1_class"].to_pylist() == ["elliptical"]
    assert rows["gz1_spiral"].to_pylist() == [False, True, False, True]


def test_two_flags_make_the_third(tmp_path) -> None:
    rows = converted(tmp_path, "objid,spiral,elliptical\na,1,0\nb,0,1\nc,0,0\nd,1,1\ne,,0\n")
    assert rows["gz1_class"].to_pylist() == ["spiral", "elliptical", "uncertain", None, None]
    assert "gz1_uncertain" not in rows.column_names


def test_the_majority_is_made_of_raw_fractions_alone_and_the_class_string_of_all_debiased_ones(tmp_path) -> None:
    header = "OBJID,RA,DEC,NVOTE,P_EL,P_CW,P_ACW,P_EDGE,P_DK,P_MG,P_CS"
    rows = converted(tmp_path, f"{header}\n7,10:00:00,-01:30:00,20,0.1,0.2,0.5,0.1,0.1,0,0.8\n")
    assert rows["gz1_majority"].to_pylist() == ["anticlockwise"]
    assert rows["gz1_votes"].to_pylist() == [20]
    assert "gz1_class" not in rows.column_names
    some = converted(tmp_path, "dr7objid,gz2_class,t02_edgeon_a04_yes_debiased\n7,Sen,0.75\n")
    assert some.to_pydict() == {"id": ["7"], "gz2_class": ["Sen"], "t02_edgeon_a04_yes_debiased": [0.75]}


def test_a_table_without_ids_takes_them_from_files_before_positions(tmp_path) -> None:
    assert converted(tmp_path, "ra,dec,file\n1,2,m31.jpg\n")["id"].to_pylist() == ["m31"]
    assert converted(tmp_path, "ra,dec,x\n1,2,3\n")["id"].to_pylist() == ["J001.00000+02.00000"]


def test_a_floating_point_id_column_is_refused(tmp_path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"objid": pa.array([1.0]), "note": ["x"]}), path)
    with open_rows(path) as table, pytest.raises(CatalogueError, match="id column 'objid' is floating point"):
        list(table.batches())


def test_damaged_ids_are_noticed_at_the_end_of_the_table(tmp_path) -> None:
    ids = [128 * (2**53 // 128 + step) for step in (1, 2, 3)]
    with pytest.raises(CatalogueError, match="multiples of 128"):
        converted(tmp_path, "objid,note\n" + "".join(f"{number},x\n" for number in ids))
