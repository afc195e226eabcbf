"""What is told of tables' columns: understood, kept, ignored, and rows without a value."""

from pathlib import Path

import pyarrow as pa
import pytest

from galaxy.labels.votes import STEMS
from tasks.ingest.catalogue import IngestReport, ingest
from tasks.ingest.column_account import ACCOUNT_KEYS, ColumnAccount, MissingRows, merge_accounts, read_account
from tasks.ingest.provenance import read_provenance


def ingested(folder: Path, *texts: str, metadata: str | None = None, **columns: str) -> IngestReport:
    """Ingest tables a.csv, b.csv, ..."""
    paths = []
    for name, text in zip("abc", texts, strict=False):
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text(text)
    side = None
    if metadata is not None:
        side = folder / "meta.csv"
        side.write_text(metadata)
    return ingest(paths, side, folder / "out.parquet", columns=columns)


def test_each_column_is_in_one_list_under_the_name_in_the_file(tmp_path) -> None:
    report = ingested(tmp_path, "id,dr7objid,RA,Dec (deg),Z,My_Class\n0,7,10,20,0.1,S\n1,8,11,,,E\n2,9,12,22,0.3,S\n")
    assert report.columns["understood"] == {"id": "dr7objid", "ra": "RA", "dec": "Dec (deg)", "redshift": "Z"}
    assert report.columns["kept"] == ["My_Class"]
    assert report.columns["ignored"] == ["id"]
    assert report.columns["why_ignored"] == {"id is read from dr7objid": ["id"]}
    assert set(report.columns) == set(ACCOUNT_KEYS)


def test_rows_without_a_value_count_where_they_are_rejected_for_it_too(tmp_path) -> None:
    report = ingested(tmp_path, "objid,ra,dec,z\n7,10,20,\n8,11,,0.1\n,12,22,0.2\n9,13,23,0.3\n")
    assert report.rejected == {"id_missing": 1, "position_missing": 1}
    assert report.missing == {"id": 1, "ra": 0, "dec": 1, "redshift": 1, "petro_r90": 2}


def test_roles_that_a_build_may_need_are_counted_though_no_column_holds_them(tmp_path) -> None:
    report = ingested(tmp_path, "file,my_class\na.jpg,S\nb.jpg,E\n")
    assert report.columns["understood"] == {"file": "file"}
    assert report.missing == {"id": 0, "ra": 2, "dec": 2, "redshift": 2, "petro_r90": 2, "file": 0}


def test_tables_that_name_a_role_differently_are_told_apart(tmp_path) -> None:
    report = ingested(
        tmp_path,
        "objid,ra,dec,my_class\n7,10,20,S\n",
        "objid,RAJ2000,dec,my_class\n8,11,21,E\n",
        metadata="objid,petroR90_r,bar\n7,5,yes\n",
    )
    assert report.columns["understood"] == {
        "id": "objid",
        "ra": "a.csv: ra, b.csv: RAJ2000",
        "dec": "dec",
        "petro_r90": "petroR90_r",
    }
    assert report.columns["kept"] == ["my_class", "bar"]
    assert report.missing["petro_r90"] == report.missing["petro_r90_arcsec"] == 1


def test_votes_are_told_in_one_line(tmp_path) -> None:
    names = [f"{stem}_{measure}" for stem in STEMS[:2] for measure in ("debiased", "weight")]
    report = ingested(tmp_path, f"dr7objid,gz2_class,{','.join(names)}\n7,Er,0.5,1,0.5,1\n")
    assert report.columns["understood"]["votes"] == f"{names[0]} and 1 more"
    assert report.columns["ignored"] == [names[1], names[3]]
    assert len(report.columns["why_ignored"]) == 1


def test_a_catalogue_keeps_the_account_in_its_provenance(tmp_path) -> None:
    report = ingested(tmp_path, "objid,my_class\n7,S\n")
    assert read_account(report.path) == report.columns
    assert read_provenance(report.path)["kept"] == ["my_class"]


def test_accounts_merge_to_the_first_reason_and_every_note() -> None:
    one = ColumnAccount({"id": "a"}, ("x",), {"w": "because"}, ("n",))
    other = ColumnAccount({"id": "a", "ra": "r"}, ("x", "y"), {"w": "also", "v": "no"}, ("n", "m"))
    merged = merge_accounts([(Path("f/one.csv"), one), (Path("f/other.csv"), other)])
    assert merged == ColumnAccount({"id": "a", "ra": "r"}, ("x", "y"), {"w": "because", "v": "no"}, ("n", "m"))


@pytest.mark.parametrize("nulls", [{}, {"redshift": 0, "galactic_latitude_deg": 0}])
def test_physical_columns_are_listed_where_a_value_is_missing(nulls: dict[str, int]) -> None:
    missing = MissingRows()
    missing.see(pa.record_batch({"id": ["a", None], "ra_deg": [1.0, 2.0], "dec_deg": [None, 2.0]}))
    missing.see(pa.record_batch({"id": ["b"]}))
    counted = missing.count(["r_mag", "p_el"], nulls | {"area_ratio": 3}, 5)
    redshift = nulls.get("redshift", 5)
    assert counted == {"area_ratio": 3, "id": 1, "ra": 1, "dec": 2, "redshift": redshift, "petro_r90": 5, "r_mag": 5}
