"""Coordinates as tables write them: values follow from hours, minutes and seconds by hand."""

import pytest

from realbogus.sky_angles import read_degrees, split_position


@pytest.mark.parametrize(
    ("text", "hours", "degrees"),
    [
        *(("150.5", True, 150.5), (" -20.25 ", False, -20.25), ("\N{MINUS SIGN}20.25", False, -20.25)),
        *(("10:00:00.0", True, 150.0), ("10 00 00", True, 150.0), ("10h00m00s", True, 150.0), ("10:00", True, 150.0)),
        *(("150d30m", True, 150.5), ("150°30′", True, 150.5), ("10h00m00s", False, 150.0)),
        *(("-20:30:00", False, -20.5), ("-00:30:00", False, -0.5), ("+20d30m", False, 20.5), ("23:59:60", True, 360.0)),
    ],
)
def test_angles_in_every_writing(text: str, hours: bool, degrees: float) -> None:
    assert read_degrees(text, hours=hours) == pytest.approx(degrees)


@pytest.mark.parametrize("text", ["north", "10:61:00", "10:00:61", "1:2:3:4"])
def test_what_is_no_angle_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is not a coordinate"):
        read_degrees(text, hours=False)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "06 45 08.9 -16 42 58 (J2000)",
            "06:45:08.9, -16:42:58",
            "06:45:08.9 -16:42:58 J2000",
            "06h45m08.9s -16d42m58s",
        ),
        "06 45 08.9-16 42 58",
    ],
)
def test_positions_are_split_at_the_declination(text: str) -> None:
    ra, dec = split_position(text)
    assert read_degrees(ra, hours=True) == pytest.approx(101.287083, abs=1e-6)
    assert read_degrees(dec, hours=False) == pytest.approx(-16.716111, abs=1e-6)


def test_decimal_positions_are_split_and_others_refused() -> None:
    assert split_position("101.5 16.5") == ("101.5", "16.5")
    with pytest.raises(ValueError, match="is not a position"):
        split_position("Sirius")
