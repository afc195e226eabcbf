"""Tables of known objects in the layouts of TNS, VSX, the Minor Planet Center, SkyBoT and people's own."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from realbogus.records import SourceError
from realbogus.sources.object_kinds import KNOWN_ASTEROID, KNOWN_TRANSIENT, KNOWN_VARIABLE
from tasks.records.known_tables import read_known

TNS_BULK = (
    '"2020-06-02 00:00:00 - 23:59:59"\n'
    '"objid","name_prefix","name","ra","declination","redshift","typeid","type","reporting_group","discoverydate"\n'
    '"61","AT","2020abc","150.0","-20.5","","","","ZTF","2020-05-31 12:00:00"\n'
    '"62","SN","2020xyz","15.0","20.5","0.02","3","SN Ia","ATLAS","2020-06-01"\n'
)
TNS_SEARCH = (
    '"ID","Name","RA","DEC","{}","Redshift","Discovery Date (UT)"\n'
    '"1","AT 2020abc","10:00:00.000","-20:30:00.00","SN Ia","0.1","2020-05-31 12:00:00"\n'
    '"2","SN 2020xyz","01:00:00.000","+20:30:00.00","","","2020-06-01 00:00:00"\n'
)


@pytest.mark.parametrize("text", [TNS_BULK, TNS_SEARCH.format("Obj. Type"), TNS_SEARCH.format("Obj Type")])
def test_exports_of_the_transient_name_server(tmp_path: Path, text: str) -> None:
    (tmp_path / "tns.csv").write_text(text)
    known, reading = read_known(tmp_path / "tns.csv")
    assert [name.replace(" ", "") for name in known.names] == ["AT2020abc", "SN2020xyz"]
    np.testing.assert_allclose(known.ra_deg, [150.0, 15.0])
    np.testing.assert_allclose(known.dec_deg, [-20.5, 20.5])
    np.testing.assert_allclose(known.mjd, [59000.5, 59001.0])
    assert known.kinds.tolist() == [KNOWN_TRANSIENT] * 2
    assert reading.missing["discovery_time"] == 0
    assert reading.understood["name"].lower() == "name"


def test_the_reading_says_what_was_taken_and_what_was_not(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("Name,RA,Dec,disc_date,flux\na,1,2,2020-05-31,5\nb,,2,,6\nc,1,2,0,7\n")
    known, reading = read_known(tmp_path / "own.csv")
    assert known.names.tolist() == ["a", "c"]
    assert reading.understood == {"ra": "RA", "dec": "Dec", "name": "Name", "discovery_time": "disc_date"}
    assert reading.ignored == ("flux",)
    assert reading.missing == {"position": 1, "discovery_time": 1, "name": 0, "object_type": 3}


def test_the_date_and_the_time_of_two_columns_are_one_epoch(tmp_path: Path) -> None:
    rows = ["1999 AA,1,2,2020-05-31,12:00:00", "1999 AB,1,2,2020-05-31,", "1999 AC,1,2,2020-05-31T06:00:00,12:00:00"]
    (tmp_path / "t.csv").write_text("\n".join(["designation,ra,dec,date,UT", *rows]) + "\n")
    known, reading = read_known(tmp_path / "t.csv")
    assert known.mjd.tolist() == [59000.5, 59000.0, 59000.25]
    assert reading.understood["time_of_day"] == "UT"
    (tmp_path / "t.csv").write_text("designation,ra,dec,date,UT\n1999 AA,1,2,2020-05-31,noon\n")
    with pytest.raises(SourceError, match="column 'date', row 0: 'noon' is no time of day"):
        read_known(tmp_path / "t.csv")


@pytest.mark.parametrize("suffix", ["vot", "fits", "csv"])
def test_the_vsx_catalogue_of_vizier(tmp_path: Path, suffix: str) -> None:
    rows = {"OID": [1, 2, 3], "Name": ["R And", "EX Hya", "SN X"], "RAJ2000": [6.0, 7.0, 8.0]}
    rows |= {"DEJ2000": [38.0, 1.0, 2.0], "Type": ["M", "UG", "SN Ia"], "Period": [409.0, 0.07, np.nan]}
    path = tmp_path / f"vsx.{suffix}"
    Table(rows).write(path, format={"vot": "votable", "fits": "fits", "csv": "ascii.csv"}[suffix])
    known, reading = read_known(path)
    assert known.kinds.tolist() == [KNOWN_VARIABLE, KNOWN_VARIABLE, KNOWN_TRANSIENT]
    assert known.names.tolist() == ["R And", "EX Hya", "SN X"]
    assert "Period" in reading.ignored


@pytest.mark.parametrize(
    "text",
    [
        "Name,AUID,Coords (J2000),Const.,Var. Type,Period\nR And,000-BBB,00 24 00.0 +38 30 00,And,M,409\n",
        "Name,Const,RA,Dec,Var. Type\nR And,And,00 24 00.0,+38 30 00,M\n",
        "Name;Coords;Var. Type\nR And;00:24:00.0 +38:30:00;M\n",
    ],
)
def test_exports_of_the_vsx_itself(tmp_path: Path, text: str) -> None:
    (tmp_path / "vsx.csv").write_text(text)
    known, _ = read_known(tmp_path / "vsx.csv")
    assert known.kinds.tolist() == [KNOWN_VARIABLE]
    np.testing.assert_allclose([known.ra_deg[0], known.dec_deg[0]], [6.0, 38.5])


@pytest.mark.parametrize(
    "text",
    [
        "designation,RA,Dec,epoch\n2020 AB12,150.0,-20.5,2459001.0\n",
        "targetname,RA,DEC,datetime_jd,delta\n433 Eros (1898 DQ),10:00:00,-20:30:00,2459001.0,1.1\n",
        "Num,Name,RA,DE,Class,epoch\n433,Eros,150.0,-20.5,NEA>Amor,2020-05-31T12:00:00\n",
        "     K20A12B  C2020 05 31.50000 10 00 00.00 -20 30 00.0          18.9 G      X05\n",
    ],
)
def test_ephemerides_and_astrometry_of_minor_planets(tmp_path: Path, text: str) -> None:
    (tmp_path / "mpc.txt").write_text(text)
    known, _ = read_known(tmp_path / "mpc.txt")
    assert known.kinds.tolist() == [KNOWN_ASTEROID]
    np.testing.assert_allclose([known.ra_deg[0], known.dec_deg[0], known.mjd[0]], [150.0, -20.5, 59000.5])


ORBITS = (
    "designation,a,e,incl,node,peri,M,epoch\n433,1.46,0.22,10.8,304.3,178.8,71.3,2459001\n",
    "MINOR PLANET CENTER ORBIT DATABASE (MPCORB)\n",
)


@pytest.mark.parametrize("text", ORBITS)
def test_orbits_are_refused_as_what_they_are(tmp_path: Path, text: str) -> None:
    (tmp_path / "orbits.csv").write_text(text)
    with pytest.raises(SourceError, match=r"orbits\.csv holds orbits, not positions: give an ephemeris"):
        read_known(tmp_path / "orbits.csv")


def test_columns_can_be_named_and_two_of_a_role_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text("name,ra,ra_deg,dec\na,1,2,3\n")
    with pytest.raises(SourceError, match="has 2 columns for ra: ra_deg, ra; name one"):
        read_known(path)
    known, reading = read_known(path, {"ra": "RA"})
    assert (known.ra_deg.tolist(), reading.understood["ra"]) == ([1.0], "ra")
    with pytest.raises(SourceError, match="columns names the role 'colour'"):
        read_known(path, {"colour": "ra"})


def test_radians_and_hours_are_converted(tmp_path: Path) -> None:
    table = Table({"name": ["a"], "ra": [10.0], "dec": np.radians([-20.5])}, units={"ra": "hourangle", "dec": "rad"})
    table.write(tmp_path / "known.ecsv")
    known, _ = read_known(tmp_path / "known.ecsv")
    np.testing.assert_allclose([known.ra_deg[0], known.dec_deg[0]], [150.0, -20.5])


def test_the_name_of_the_column_of_dates_states_the_time_scale(tmp_path: Path) -> None:
    """TAI is 37 s ahead of UTC in 2024."""
    (tmp_path / "known.csv").write_text("name,ra,dec,midpointMjdTai\na,1,2,60374.5\n")
    known, _ = read_known(tmp_path / "known.csv", {"discovery_time": "midpointMjdTai"})
    assert known.mjd[0] == pytest.approx(60374.5 - 37 / 86_400, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,ra,flux\na,1,2\n", "has no column of dec .*; it has name, ra, flux; name one with columns"),
        ("name,ra,dec,mjd\na,1,2,yesterday\n", "column 'mjd', row 0: 'yesterday' is no epoch"),
        ("", "is empty"),
    ],
)
def test_what_is_no_table_of_known_objects_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "known.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_known(tmp_path / "known.csv")
    with pytest.raises(SourceError, match=r"gone\.csv does not exist"):
        read_known(tmp_path / "gone.csv")
