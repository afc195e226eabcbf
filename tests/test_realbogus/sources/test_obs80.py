"""Lines of 80 columns, written here after the format's description, and tables of orbits."""

from realbogus.sources.obs80 import is_obs80, is_orbit_table, read_obs80

LINE = "     K24A12B  C2024 03 05.52083 10 00 00.50 -20 30 00.1          18.9 G      X05"
ORBIT = "00001    3.34  0.15 K2555 188.70269   73.27343   80.25221   10.58780  0.0794013  0.21424651   2.7660512"


def test_a_line_gives_name_date_and_position() -> None:
    assert len(LINE) == 80
    assert is_obs80(LINE.encode())
    numbered = "00433         C1998 12 23.00000 09 08 07.01 +01 02 03.4                     644"
    columns = read_obs80([LINE, "", "COM a comment", numbered])
    assert columns == {
        "name": ["K24A12B", "00433"],
        "discovery_time": ["2024 03 05.52083", "1998 12 23.00000"],
        "ra": ["10 00 00.50", "09 08 07.01"],
        "dec": ["-20 30 00.1", "+01 02 03.4"],
    }


def test_orbits_are_no_astrometry() -> None:
    assert is_orbit_table(ORBIT.encode())
    assert is_orbit_table(b"MINOR PLANET CENTER ORBIT DATABASE (MPCORB)\n\nThis file")
    assert not is_obs80(ORBIT.encode())
    for other in (LINE, "name,ra,dec\na,1,2\n", ""):
        assert not is_orbit_table(other.encode())
    assert not is_obs80(b"name,ra,dec")
