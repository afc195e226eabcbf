"""Units of positions, dates and times of day: converted or refused, in tables of triplets and of known objects."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from realbogus.records import SourceError
from tasks.records.known_tables import read_known
from tasks.records.record_tables import RecordTables
from tasks.records.role_columns import read_text
from tasks.tables.table_files import open_table


@pytest.mark.parametrize("unit", ["s", "h", "min", "ms"])
def test_dates_in_other_units_than_days_are_refused(tmp_path: Path, unit: str) -> None:
    """Seconds may count from MJD 0 or from 1970: 1.7e9 s of Unix time are 19,675 d, which is an MJD of 1912."""
    rows = {"ra": [1.0], "dec": [2.0], "mjd": [1.7e9]}
    Table(rows, units={"mjd": unit}).write(tmp_path / "t.fits")
    for read in (RecordTables(), read_known):
        with pytest.raises(SourceError, match=f"t.fits: column 'mjd' is in '{unit}', but .* in days"):
            read(tmp_path / "t.fits")


@pytest.mark.parametrize("name", ["MJD [s]", "MJD (seconds)", "jd [hours]", "Discovery date [min]"])
def test_a_bracket_in_a_name_declares_a_unit(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"ra,dec,{name}\n1,2,5.1e9\n")
    with pytest.raises(SourceError, match=r"is in '.*', but discovery_time is read in days"):
        read_known(tmp_path / "t.csv")


@pytest.mark.parametrize("unit", ["d", "day", "MJD", "UTC"])
def test_days_and_words_that_are_no_unit_leave_dates_alone(tmp_path: Path, unit: str) -> None:
    Table({"ra": [1.0], "dec": [2.0], "mjd": [59000.5]}, units={"mjd": unit}).write(tmp_path / "t.ecsv")
    known, _ = read_known(tmp_path / "t.ecsv")
    assert known.mjd.tolist() == [59000.5]
    assert RecordTables()(tmp_path / "t.ecsv").epochs_mjd.tolist() == [59000.5]


@pytest.mark.parametrize("name", ["mjd (d)", "mjd [days]", "MJD (TAI)", "mjd"])
def test_notes_on_days_and_scales_are_no_fault(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"ra,dec,{name}\n1,2,59000.5\n")
    known, _ = read_known(tmp_path / "t.csv")
    assert known.mjd == pytest.approx(59000.5, abs=1e-3)


def test_a_year_of_an_equinox_is_no_date(tmp_path: Path) -> None:
    Table({"ra": [1.0], "dec": [2.0], "epoch": [2000.0]}, units={"epoch": "yr"}).write(
        tmp_path / "t.vot", format="votable"
    )
    known, _ = read_known(tmp_path / "t.vot")
    assert np.isnan(known.mjd).all()


@pytest.mark.parametrize(("unit", "value"), [("s", 12.0), ("min", 0.2), ("h", 12 / 3600), ("d", 12 / 86400)])
def test_times_of_day_are_converted_to_hours(tmp_path: Path, unit: str, value: float) -> None:
    """12 s after midnight; without its unit 12.0 would be noon."""
    rows = {"candid": [1], "obsdate": ["2020-05-31"], "ut": [value]}
    Table(rows, units={"ut": unit}).write(tmp_path / "t.fits")
    table = RecordTables()(tmp_path / "t.fits")
    assert table.epochs_mjd[0] == pytest.approx(59000 + 12 / 86400, abs=1e-9)
    assert (f"t.fits: ut is converted from {unit} to h" in " ".join(table.reading(0, 1).notes)) == (unit != "h")


def test_a_time_of_day_in_the_name_s_unit_and_in_words(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("obsdate,UT [s]\n2020-05-31,12\n")
    (tmp_path / "w.csv").write_text("obsdate,UT [hh:mm:ss]\n2020-05-31,00:00:12\n")
    for name in ("s.csv", "w.csv"):
        assert RecordTables()(tmp_path / name).epochs_mjd[0] == pytest.approx(59000 + 12 / 86400, abs=1e-9), name


def test_conversions_of_positions_are_said(tmp_path: Path) -> None:
    Table({"ra": [np.pi], "dec": [0.5]}, units={"ra": "rad", "dec": "deg"}).write(tmp_path / "t.fits")
    known, reading = read_known(tmp_path / "t.fits")
    assert known.ra_deg == pytest.approx(180.0)
    assert reading.notes == (f"{tmp_path / 't.fits'}: ra is converted from rad to deg",)
    assert RecordTables()(tmp_path / "t.fits").reading(0, 1).notes == reading.notes


def test_an_archive_s_own_unit_is_that_of_its_name(tmp_path: Path) -> None:
    """HyperLeda writes right ascension in decimal hours and declares no unit."""
    (tmp_path / "t.csv").write_text("objname,al2000,de2000\nNGC 1,12.0,5\n")
    with open_table(tmp_path / "t.csv") as table:
        text, _ = read_text(table, {"ra": "al2000", "dec": "de2000"}, ["al2000", "de2000"])
    assert [float(value) for value in text["al2000"].to_pylist()] == [180.0]
    assert read_known(tmp_path / "t.csv")[0].ra_deg == pytest.approx(180.0)


@pytest.mark.parametrize("column", ["ra", "discoverydate"])
def test_a_column_that_cannot_be_read_is_refused_where_it_is_needed(tmp_path: Path, column: str) -> None:
    rows = {"ra": [1.0], "dec": [2.0], column: [[1.0, 2.0]]}
    Table(rows).write(tmp_path / "t.fits")
    with pytest.raises(SourceError, match=f"column '{column}' is named for .* and cannot be read"):
        read_known(tmp_path / "t.fits")


def test_a_vector_of_labels_is_refused_and_another_vector_is_left_out(tmp_path: Path) -> None:
    Table({"id": [1], "label": [[1, 0]]}).write(tmp_path / "l.fits")
    with pytest.raises(SourceError, match="column 'label' is named for label and cannot be read"):
        RecordTables()(tmp_path / "l.fits")
    Table({"id": [1], "detid": [[1, 0]]}).write(tmp_path / "d.fits")
    assert RecordTables()(tmp_path / "d.fits").ignored[0].startswith("detid (")
