"""Tables of triplets by the names that surveys and brokers use, in the formats that tables come in."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from realbogus.records import SourceError
from tasks.records.record_tables import RecordTables, find_record_roles

ZTF = {"id": "candid", "group": "objectid", "sign": "isdiffpos", "detector": "rcid", "band": "fid", "time": "jd"}
RUBIN = {"id": "diasourceid", "group": "diaobjectid", "detector": "detector", "band": "band", "time": "midpointmjdtai"}


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (["objectid", "candid", "jd", "fid", "rcid", "ra", "dec", "isdiffpos"], ZTF | {"ra": "ra", "dec": "dec"}),
        (["diasourceid", "diaobjectid", "midpointmjdtai", "band", "detector"], RUBIN),
        (["i:candid", "i:jd", "i:ra"], {"id": "i:candid", "time": "i:jd", "ra": "i:ra"}),
        (["candidate.jd", "candidate.ra", "prv.ra"], {"time": "candidate.jd"}),
        (["ccdvisitid.detector", "alertid"], {"detector": "ccdvisitid.detector", "id": "alertid"}),
        (["oid", "mjd", "obsdate"], {"id": "oid", "group": "oid", "time": "mjd"}),
        (["obsdate", "ut", "filter"], {"time": "obsdate", "time_of_day": "ut", "band": "filter"}),
        (["flux", "x"], {}),
    ],
)
def test_roles_follow_from_the_names(columns: list[str], roles: dict[str, str]) -> None:
    assert find_record_roles(Path("t.csv"), columns, {}) == roles


def test_named_columns_go_before_synonyms() -> None:
    named = {"ra": "RA_fit", "id": "Mine"}
    found = find_record_roles(Path("t.csv"), ["ra", "ra_fit", "candid", "mine"], named)
    assert (found["ra"], found["id"]) == ("ra_fit", "mine")


@pytest.mark.parametrize(
    ("columns", "text", "message"),
    [
        ((), "ra,ra_deg\n1,1\n", "has 2 columns for ra: ra_deg, ra; name one with"),
        ((("ra", "RA_fit"),), "ra\n1\n", "columns names 'ra_fit' for ra, which table .*t.csv lacks"),
        ((("colour", "ra"),), "ra\n1\n", "columns names the role 'colour'; roles are id, group"),
    ],
)
def test_two_columns_and_absent_ones_are_refused(
    tmp_path: Path, columns: tuple[tuple[str, str], ...], text: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        RecordTables(columns)(tmp_path / "t.csv")


ROWS = {"Candid": [10**17 + 1, 10**17 + 2], "RA": [10.0, 20.0], "Dec": [1.0, -2.0], "MJD": [59000.5, 59001.5]}


def test_every_format_of_tables_gives_the_same_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS), tmp_path / "t.parquet")
    Table(ROWS).write(tmp_path / "t.fits")
    Table(ROWS).write(tmp_path / "t.ecsv")
    Table(ROWS).write(tmp_path / "t.tsv", format="ascii.tab")
    Table(ROWS).write(tmp_path / "t.csv", format="ascii.csv")
    for name in ("t.parquet", "t.fits", "t.ecsv", "t.tsv", "t.csv"):
        table = pickle.loads(pickle.dumps(RecordTables()))(tmp_path / name)
        assert table.roles == {"id": "Candid", "ra": "RA", "dec": "Dec", "time": "MJD"}, name
        assert table.texts_of("id", 0, 2) == [str(10**17 + 1), str(10**17 + 2)], name
        np.testing.assert_array_equal(table.positions, [ROWS["RA"], ROWS["Dec"]])
        np.testing.assert_array_equal(table.epochs_mjd, ROWS["MJD"])
        assert table.parameters(0, 1)[0]["RA"] == 10.0, name


def test_units_are_converted_and_vectors_ignored_by_name(tmp_path: Path) -> None:
    table = Table({"ra": np.radians([10.0]), "dec": [1.0], "v": [[1.0, 2.0]]}, units={"ra": "rad", "dec": "deg"})
    table.write(tmp_path / "t.fits")
    read = RecordTables()(tmp_path / "t.fits")
    assert read.positions[0][0] == pytest.approx(10.0)
    assert [name.split()[0] for name in read.ignored] == ["v"]


def test_columns_of_epochs_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("mjd,jd,obsmjd\n59000.5,2459001.0,1\n59001.5,2459005.0,1\n")
    (note,) = RecordTables()(tmp_path / "t.csv").reading(0, 2).notes
    assert "columns 'mjd' and 'jd' differ by more than a day in 1 rows, first row 1: 'mjd' is used" in note


def test_members_of_an_archive_are_a_table() -> None:
    table = RecordTables()(Path("a.npz"), pa.table({"candid": ["7"], "jd": ["2459001.0"]}))
    assert (table.roles, table.epochs_mjd.tolist()) == ({"id": "candid", "time": "jd"}, [59000.5])


def test_columns_with_their_units_in_brackets_keep_their_written_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Candid,RA (deg),Dec (deg),MJD (d)\n7,10.5,-1,59000.5\n")
    table = RecordTables()(tmp_path / "t.csv")
    assert table.roles == {"id": "Candid", "ra": "RA (deg)", "dec": "Dec (deg)", "time": "MJD (d)"}
    assert [float(values[0]) for values in table.positions] == [10.5, -1.0]
    assert table.epochs_mjd.tolist() == [59000.5]
