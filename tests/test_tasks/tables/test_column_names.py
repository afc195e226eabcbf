"""Column names: brackets that hold units, brackets that do not, and names that collide."""

from pathlib import Path

import pytest

from tasks.tables.column_names import name_columns
from tasks.tables.table_columns import TableError

PATH = Path("t.csv")


@pytest.mark.parametrize(
    ("written", "name", "unit"),
    [
        ("RA (deg)", "ra", "deg"),
        ("dec[rad]", "dec", "rad"),
        (" Dec  (Degrees) ", "dec", "Degrees"),
        ("RA_(deg)", "ra", "deg"),
        ("RA (h)", "ra", "h"),
        ("RA (J2000)", "ra", ""),
        ("RA (J2000, deg)", "ra", "deg"),
        ("RA (J2000) [deg]", "ra", "deg"),
        ("RA [deg] (J2000)", "ra", "deg"),
        ("x (J2000)", "x (j2000)", ""),
        ("ra (furlong)", "ra", "furlong"),
        ("PetroR90_r (arcmin)", "petror90_r", "arcmin"),
        ("my radius (arcsec)", "my radius", "arcsec"),
        ("z (km/s)", "z", "km/s"),
        ("z (spec)", "z (spec)", ""),
        ("mag (g)", "mag (g)", ""),
        ("votes (count)", "votes (count)", ""),
        ("discovery date (UT)", "discovery date (ut)", ""),
        ("(deg)", "(deg)", ""),
    ],
)
def test_a_bracket_is_a_unit_where_it_can_be_one(written: str, name: str, unit: str) -> None:
    names = name_columns(PATH, [written])
    assert names.written == {name: written.strip()}
    assert names.units == ({name: unit} if unit else {})


def test_a_declared_unit_goes_before_a_bracket() -> None:
    assert name_columns(PATH, ["RA (deg)"], {"RA (deg)": "rad"}).units == {"ra": "rad"}


def test_of_two_notations_that_in_the_role_s_unit_has_the_name() -> None:
    names = name_columns(PATH, ["RA (hms)", "RA (deg)", "r (arcsec)", "r (arcmin)"])
    assert tuple(names.written) == ("ra (hms)", "ra", "r (arcsec)", "r (arcmin)")
    assert names.units["ra"] == "deg"
    plain = name_columns(PATH, ["ra", "RA (deg)"])
    assert tuple(plain.written) == ("ra", "ra (deg)")


def test_equal_names_are_refused_with_their_spelling() -> None:
    with pytest.raises(TableError, match=r"two columns named 'z' \('z', 'Z'\)"):
        name_columns(PATH, ["z", "Z", "a"])
