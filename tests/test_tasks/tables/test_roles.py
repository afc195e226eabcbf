"""Which column of a table holds which quantity, by its name and the names beside it."""

from pathlib import Path

import pytest

from galaxy.catalogue.columns import COLUMNS
from tasks.tables.roles import ROLES, ColumnRoleError, check_named, find_roles, refuse_unread

TABLE = Path("folder/t.csv")
GALAXY = ("id", "ra", "dec", "redshift", "petro_r90", "r_mag", "file")


def found(*columns: str, **named: str) -> dict[str, str]:
    return find_roles(TABLE, columns, GALAXY, named)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("ra", "dec"),
        ("raj2000", "dej2000"),
        ("_raj2000", "_dej2000"),
        ("ra_icrs", "de_icrs"),
        ("_ra.icrs", "_de.icrs"),
        ("radeg", "dedeg"),
        ("ramean", "decmean"),
        ("rastack", "decstack"),
        ("alpha_j2000", "delta_j2000"),
        ("alphawin_j2000", "deltawin_j2000"),
        ("al2000", "de2000"),
        ("ra_d", "dec_d"),
        ("coord_ra", "coord_dec"),
        ("r.a.", "dec."),
        ("right ascension", "declination"),
        ("ra j2000", "dec j2000"),
        ("raj2000_deg", "dej2000_deg"),
        ("sky_centroid.ra", "sky_centroid.dec"),
        ("ra_rad", "dec_rad"),
        ("ra_hms", "dec_dms"),
    ],
)
def test_positions_go_by_the_names_of_archives(ra: str, dec: str) -> None:
    assert found("x", dec, ra) == {"ra": ra, "dec": dec}


def test_every_catalogue_column_of_a_role_goes_by_its_own_name() -> None:
    assert [column.name for column in COLUMNS if column.role and column.name not in ROLES[column.role].names] == []


def test_names_within_a_role_are_distinct_and_in_lower_case() -> None:
    for role in ROLES.values():
        assert len(set(role.names)) == len(role.names), role.name
        assert [name for name in role.names if name != name.lower()] == []
        assert set(role.own_units) <= set(role.names)


def test_ids_of_several_releases_are_taken_in_the_order_of_their_names_and_a_row_s_number_last() -> None:
    assert found("objid", "dr8objid", "dr7objid") == {"id": "dr7objid"}
    assert found("id", "source_id") == {"id": "source_id"}
    assert found("id", "name") == {"id": "id"}


def test_a_number_within_a_brick_is_no_id() -> None:
    assert found("release", "brickid", "objid") == {}
    assert found("brickid", "objid", "ls_id") == {"id": "ls_id"}


@pytest.mark.parametrize(
    ("columns", "redshift"),
    [
        (["z"], "z"),
        (["z", "petromag_r", "petror90_r"], "z"),
        (["z", "modelmag_u", "modelmag_g", "modelmag_z"], "z"),
        (["z", "zmag", "rmag"], "z"),
        (["g", "r", "z"], None),
        (["z", "y"], None),
        (["x", "y", "z"], None),
        (["j", "h", "k", "z"], None),
        (["u", "g", "r", "i", "z", "specz"], "specz"),
        (["petromag_z", "mag_z", "zmag", "z_mag", "modelmag_z"], None),
        (["zerr", "z_err"], None),
    ],
)
def test_a_band_is_never_a_redshift(columns: list[str], redshift: str | None) -> None:
    assert found("id", *columns).get("redshift") == redshift


def test_two_columns_for_one_role_are_refused_unless_one_is_named() -> None:
    with pytest.raises(
        ColumnRoleError, match=r"t.csv has 2 columns for ra: ra, raj2000; name one with columns='\{\"ra\""
    ):
        found("raj2000", "ra", "dec")
    assert found("raj2000", "ra", "dec", ra=" RAJ2000 ")["ra"] == "raj2000"


def test_the_same_position_once_more_is_no_second_column() -> None:
    vizier = found("_raj2000", "_dej2000", "raj2000", "dej2000", "id")
    assert vizier == {"id": "id", "ra": "_raj2000", "dec": "_dej2000"}
    assert found("ra_hms", "dec_dms", "ra", "dec") == {"ra": "ra", "dec": "dec"}
    assert found("raj2000", "ra_rad", "dej2000") == {"ra": "raj2000", "dec": "dej2000"}
    with pytest.raises(ColumnRoleError, match="has 2 columns for ra: ra_rad, ra_hms"):
        found("ra_rad", "ra_hms", "dec")
    with pytest.raises(ColumnRoleError, match="has 2 columns for ra: _raj2000, ra_icrs"):
        found("_raj2000", "raj2000", "ra_icrs", "dej2000")


def test_a_named_column_is_of_no_other_role() -> None:
    assert found("g", "r", "z", redshift="z") == {"redshift": "z"}
    assert found("id", "z", "petromag_r", r_mag="z") == {"id": "id", "r_mag": "z"}


def test_a_named_column_must_be_there_and_a_named_role_known() -> None:
    with pytest.raises(
        ColumnRoleError, match=r"columns names 'x' for ra, which table folder/t.csv lacks; it has dec, y"
    ):
        found("dec", "y", ra="X")
    with pytest.raises(ColumnRoleError, match="names the role 'radius'; roles are id, ra"):
        check_named({"radius": "r"}, ("id", "ra"))
    check_named({"ra": "r"}, ("id", "ra"))


def test_a_column_that_cannot_be_read_is_refused_where_no_other_holds_its_role() -> None:
    unread = {"RA": "it holds vectors of 2 values (2D)", "flux": "it holds lists"}
    refuse_unread(TABLE, unread, ("ra", "dec"), {"ra": "ramean"})
    with pytest.raises(ColumnRoleError, match=r"t\.csv: column 'RA' is named for ra .*vectors of 2"):
        refuse_unread(TABLE, unread, ("ra", "dec"), {"dec": "dec"})
