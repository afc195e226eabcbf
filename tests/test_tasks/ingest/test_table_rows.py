"""Table files as catalogue rows: units, columns that the user names, tables that are catalogues themselves."""

from pathlib import Path

import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from galaxy.catalogue.errors import CatalogueError
from tasks.ingest.catalogue import ingest
from tasks.ingest.table_rows import named_columns, open_rows, require_named
from tasks.tables.roles import ColumnRoleError
from tasks.tables.table_files import TableError, open_table


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows_of(path: Path, **named: str) -> pa.Table:
    with open_rows(path, named_columns(named)) as rows:
        return pa.Table.from_batches(rows.batches())


def test_declared_units_become_the_catalogue_s(tmp_path) -> None:
    table = Table({"objid": [7], "ra": [1.0], "dec": [-600.0], "petroR90_r": [250.0], "petroMag_r": [17.0]})
    for name, unit in {"ra": "rad", "dec": "arcmin", "petroR90_r": "mas", "petroMag_r": "mag"}.items():
        table[name].unit = unit
    table.write(tmp_path / "t.fits")
    rows = rows_of(tmp_path / "t.fits").to_pylist()[0]
    assert rows["ra_deg"] == pytest.approx(57.29577951308232)
    assert rows["dec_deg"] == pytest.approx(-10)
    assert rows["petro_r90_arcsec"] == pytest.approx(0.25)
    assert rows["r_mag"] == 17.0


def test_a_unit_of_another_quantity_is_refused_by_column(tmp_path) -> None:
    table = Table({"objid": [7], "petroR90_r": [250.0]})
    table["petroR90_r"].unit = "kpc"
    table.write(tmp_path / "t.fits")
    with pytest.raises(TableError, match=r"t.fits: column 'petroR90_r' is in 'kpc'.*arcsec"):
        rows_of(tmp_path / "t.fits")


def test_an_archive_that_counts_right_ascension_in_hours_is_known_by_its_name(tmp_path) -> None:
    rows = rows_of(written(tmp_path, "objname,al2000,de2000\nNGC3031,9.925881,69.0653\nIC342,3.78008,68.09611\n"))
    assert rows["ra_deg"].to_pylist() == pytest.approx([148.888215, 56.7012])
    assert rows["dec_deg"].to_pylist() == [69.0653, 68.09611]


@pytest.mark.parametrize(
    ("header", "row"),
    [("ra_rad,dec_rad", "2.6179938779914944,-0.017453292519943295"), ("ra_hms,dec_dms", "10:00:00,-01:00:00")],
)
def test_a_unit_that_a_name_states_is_converted(tmp_path, header: str, row: str) -> None:
    rows = rows_of(written(tmp_path, f"objid,{header}\n1,{row}\n"))
    assert rows["ra_deg"].to_pylist() == pytest.approx([150])
    assert rows["dec_deg"].to_pylist() == pytest.approx([-1])


def test_a_position_split_over_columns_of_a_machine_readable_table_is_read(tmp_path) -> None:
    table = Table({"ID": ["a", "b"], "x": [1.0, 2.0]})
    table["pos"] = SkyCoord([150.1, 0.025], [0.2085, 12.5], unit="deg")
    table.write(tmp_path / "t.mrt", format="ascii.mrt")
    text = (tmp_path / "t.mrt").read_text()
    (tmp_path / "t.mrt").write_text(text.replace("+00 12", "-00 12"))  # astropy writes no minus before 0 degrees
    rows = rows_of(tmp_path / "t.mrt")
    assert rows["ra_deg"].to_pylist() == pytest.approx([150.1, 0.025], abs=1e-6)
    assert rows["dec_deg"].to_pylist() == pytest.approx([-0.2085, 12.5], abs=1e-6)


def test_a_z_in_magnitudes_is_no_redshift(tmp_path) -> None:
    table = Table({"objid": [7], "z": [15.5]})
    table["z"].unit = "mag"
    table.write(tmp_path / "t.fits")
    assert rows_of(tmp_path / "t.fits").column_names == ["id", "z"]
    with pytest.raises(TableError, match="column 'z' is in 'mag'"):
        rows_of(tmp_path / "t.fits", redshift="z")


def test_a_column_is_named_by_role_or_by_catalogue_column_in_any_case(tmp_path) -> None:
    path = written(tmp_path, "objid,RA,RA_fit,DEC_fit,Morph\n7,1,10,20,Er\n")
    rows = rows_of(path, ra="RA_fit", dec_deg="dec_FIT", gz2_class="Morph")
    assert rows.to_pylist() == [{"id": "7", "ra_deg": 10.0, "dec_deg": 20.0, "gz2_class": "Er", "ra": "1"}]


def test_a_name_counts_where_the_table_has_the_column(tmp_path) -> None:
    assert rows_of(written(tmp_path, "objid,z\n7,0.5\n"), redshift="z_fit")["redshift"].to_pylist() == [0.5]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"radius": "r"}, r"'radius', which is neither a role \(id, ra, .*\) nor a column of a catalogue"),
        ({"ra": "x", "dec": "X"}, "names 'X' or dec twice"),
        ({"ra": "x", "ra_deg": "y"}, "names 'y' or ra twice"),
    ],
)
def test_names_that_say_nothing_are_refused(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ColumnRoleError, match=message):
        named_columns(columns)


def test_a_named_column_must_be_in_one_of_the_tables(tmp_path) -> None:
    with open_table(written(tmp_path, "a,b\n1,2\n")) as one, open_table(written(tmp_path, "c\n1\n", "u.csv")) as other:
        require_named({"ra": "b", "dec": "c"}, [one, other])
        with pytest.raises(ColumnRoleError, match=r"columns names 'd' for ra, .*t.csv has a, b; .*u.csv has c"):
            require_named({"ra": "d"}, [one, other])


def test_a_catalogue_s_own_names_mean_themselves_whatever_else_it_holds(tmp_path) -> None:
    path = written(tmp_path, "dr7objid,objid,z,g,r,RA_fit,ra,dec\n7,8,0.5,16,17,3,1,2\n")
    report = ingest([path], None, tmp_path / "c.parquet")
    assert report.columns["kept"] == ["objid", "z", "g", "r", "RA_fit"]
    with open_rows(tmp_path / "c.parquet") as rows:
        assert rows.layout.source["id"] == "id"
        assert "redshift" not in rows.layout.source
        assert rows.layout.extra == ("objid", "z", "g", "r", "ra_fit")
    named = rows_of(tmp_path / "c.parquet", redshift="z", ra="RA_fit", gz2_class="g").to_pylist()[0]
    assert (named["redshift"], named["ra_deg"], named["gz2_class"]) == (0.5, 3.0, "16")


def test_one_coordinate_is_refused_with_the_columns_that_there_are(tmp_path) -> None:
    path = written(tmp_path, "objid,RAJ2000,note\n7,1,x\n")
    with pytest.raises(CatalogueError, match=r"lacks column 'dec_deg' or 'dec' .*; it has objid, raj2000, note"):
        rows_of(path)


def test_a_named_column_that_cannot_be_read_is_told_with_the_reason(tmp_path) -> None:
    Table({"objid": [7], "Shape": [[1.0, 2.0]]}).write(tmp_path / "t.fits")
    with (
        open_table(tmp_path / "t.fits") as table,
        pytest.raises(ColumnRoleError, match="'shape' for ra, which is not read: "),
    ):
        require_named({"ra": "shape"}, [table])
