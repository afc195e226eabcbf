"""Declared units: conversions with known results, spellings, sexagesimal text, and units that cannot be."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.tables.table_columns import TableError, TableFile
from tasks.tables.table_files import open_table
from tasks.tables.units import UnitError, describe_conversions, is_unit, read_in_units, to_unit

PATH = Path("a/t.csv")


def converted(value: float, declared: str, target: str) -> float:
    return float(to_unit(np.array([value]), declared, target, path=PATH, column="RA")[0])


@pytest.mark.parametrize(
    ("value", "declared", "target", "expected"),
    [
        (math.pi, "rad", "deg", 180),
        (math.pi, "Radians", "deg", 180),
        (10, "hourangle", "deg", 150),
        (10, "hr", "deg", 150),
        (10, '"h:m:s"', "deg", 150),
        (90, "arcmin", "deg", 1.5),
        (1500, "mas", "arcsec", 1.5),
        (0.5, "ArcMinutes", "arcsec", 30),
        (0.5, "deg", "arcsec", 1800),
        (12, "Degrees", "deg", 12),
        (12, "°", "deg", 12),
        (12, "d", "deg", 12),
        (12, "d", "d", 12),
        (36, "h", "d", 1.5),
        (17, "ABmag", "mag", 17),
        (17, "mag(AB)", "mag", 17),
        (17000, "mmag", "mag", 17),
        (5, "%", "", 0.05),
        (5, "---", "", 5),
        (5, "", "deg", 5),
        (5, "--", "deg", 5),
    ],
)
def test_known_conversions(value: float, declared: str, target: str, expected: float) -> None:
    assert converted(value, declared, target) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("declared", "target", "what"),
    [
        ("kg", "deg", "cannot be converted to deg"),
        ("mag", "arcsec", "cannot be converted to arcsec"),
        ("furlongz", "deg", "an unknown unit"),
        ("km/s", "", "cannot be converted to a pure number"),
        ("[deg]", "deg", "an unknown unit"),
        ("pix", "arcsec", "cannot be converted"),
    ],
)
def test_an_unknown_or_impossible_unit_is_refused_with_table_column_and_unit(
    declared: str, target: str, what: str
) -> None:
    with pytest.raises(UnitError, match=what) as refused:
        converted(1, declared, target)
    for part in ("a/t.csv", "'RA'", repr(declared), "declare no unit"):
        assert part in str(refused.value)
    assert isinstance(refused.value, TableError)


def test_arrow_numbers_keep_their_nulls() -> None:
    found = to_unit(pa.array([1, None]), "arcmin", "arcsec", path=PATH, column="r")
    assert found.to_pylist() == [60.0, None]


def test_columns_of_the_units_of_interest_are_told_apart() -> None:
    assert is_unit("h", ("deg",))
    assert not is_unit("s", ("deg",))
    assert not is_unit("no unit at all")


def rows(folder: Path, text: str, types: dict[str, pa.DataType], units: dict[str, str]) -> dict[str, list]:
    (folder / "t.csv").write_text(text)
    with open_table(folder / "t.csv") as table:
        return pa.Table.from_batches(read_in_units(table, types, units)).to_pydict()


def test_text_and_numbers_are_converted_and_other_columns_left(tmp_path) -> None:
    text = "id,RA (h),r [arcmin],n (count)\na,10,0.5,7\nb,12:30:36,,8\nc,odd,2,\n"
    types = {"id": pa.string(), "ra": pa.string(), "r": pa.string(), "n (count)": pa.int32()}
    found = rows(tmp_path, text, types, {"ra": "deg", "r": "arcsec", "absent": "deg"})
    assert found["id"] == ["a", "b", "c"]
    assert [float(value) for value in found["ra"][:2]] == pytest.approx([150, 187.65])
    assert found["ra"][2] == "odd"
    assert found["r"] == ["30", None, "120"]
    assert found["n (count)"] == [7, 8, None]
    assert rows(tmp_path, text, types | {"r": pa.float32()}, {"r": "arcsec"})["r"] == [30, None, 120]


def test_sexagesimal_text_stays_where_no_such_unit_is_declared(tmp_path) -> None:
    found = rows(
        tmp_path,
        "ra,dec (dms)\n10:00:00,-0:30:00\n11:00:00,-00 30 36.0\n",
        {"ra": pa.string(), "dec": pa.string()},
        {"ra": "deg", "dec": "deg"},
    )
    assert found["ra"] == ["10:00:00", "11:00:00"]
    assert [float(value) for value in found["dec"]] == pytest.approx([-0.5, -0.51])


def test_minutes_of_sixty_are_no_angle(tmp_path) -> None:
    found = rows(tmp_path, "ra (hms)\n10:60:00\n10:59:60\n", {"ra": pa.string()}, {"ra": "deg"})
    assert found["ra"] == ["10:60:00", "10:59:60"]


def test_a_wrong_unit_is_refused_before_a_row_is_read() -> None:
    def read(wanted: dict[str, pa.DataType]):
        raise AssertionError("a row is read")

    table = TableFile(PATH, ("ra",), frozenset(), read, {"ra": "RA"}, {"ra": "kg"})
    with pytest.raises(UnitError, match="'RA'"):
        read_in_units(table, {"ra": pa.float64()}, {"ra": "deg"})


def test_conversions_are_told(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("RA (h),dec (deg),n\n1,2,3\n")
    with open_table(tmp_path / "t.csv") as table:
        told = describe_conversions(table, {"ra": "deg", "dec": "deg", "n": ""})
    assert told == ("RA (h) is converted from h to deg",)
