"""Positions split over columns: joined with their signs, and left alone where a part is missing."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tables.split_positions import join_positions
from tasks.tables.table_columns import TableFile, typed_batch
from tasks.tables.table_files import open_table
from tasks.tables.units import read_in_units

HEADER = "ID,RAh,RAm,RAs,DE-,DEd,DEm,DEs,note"
TEXT = {"ra": pa.string(), "dec": pa.string()}


def read(folder: Path, text: str, types: dict[str, pa.DataType] = TEXT) -> dict[str, list]:
    (folder / "t.csv").write_text(text)
    with open_table(folder / "t.csv") as table:
        return pa.Table.from_batches(table.read(types)).to_pydict()


def test_parts_are_joined_with_their_sign(tmp_path) -> None:
    rows = "a,10,00,24.5,-,00,12,30.1,x\nb,0,7,0,+,5,0,0,y\nc,23,59,59.99,,89,1,2,z\nd,1,2,,-,3,4,5,\n"
    found = read(tmp_path, f"{HEADER}\n{rows}", {"dec": pa.string(), "id": pa.string(), "ra": pa.string()})
    assert found == {
        "dec": ["-00:12:30.1", "+5:0:0", "89:1:2", "-3:4:5"],
        "id": ["a", "b", "c", "d"],
        "ra": ["10:00:24.5", "0:7:0", "23:59:59.99", None],
    }
    with open_table(tmp_path / "t.csv") as table:
        assert table.columns == ("id", "note", "ra", "dec")
        assert (table.spelling["ra"], table.spelling["dec"]) == ("RAh, RAm, RAs", "DE-, DEd, DEm, DEs")


def test_minutes_may_be_the_last_part(tmp_path) -> None:
    assert read(tmp_path, "ID,RAh,RAm,DE-,DEd,DEm\n1,10,30.5,-,0,12\n") == {"ra": ["10:30.5"], "dec": ["-0:12"]}


@pytest.mark.parametrize(
    "header", ["ID,RAh,RAm,RAs,DEd,DEm,DEs", "ID,RAh,RAs,DE-,DEd,DEm,DEs", f"{HEADER},RAJ2000", f"{HEADER},Dec"]
)
def test_parts_stay_where_one_is_missing_or_the_position_stands_beside(tmp_path, header: str) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n")
    with open_table(tmp_path / "t.csv") as table:
        assert table.columns == tuple(header.lower().split(","))


def held(columns: dict[str, list[str | None]], asked: list[str] | None = None) -> TableFile:
    """A table in memory; `asked` gets the columns that are read."""

    def read_columns(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        if asked is not None:
            asked.extend(wanted)
        yield typed_batch(Path("t"), {name: pa.array(columns[name], pa.string()) for name in wanted}, wanted)

    units = {"ra": "h:m:s", "dec": "d:m:s", "rah": "h", "ded": "deg", "mag": "mag"}
    return TableFile(Path("t"), tuple(columns), frozenset({"ras", "des", "mag"}), read_columns, {}, units)


@given(
    st.integers(0, 23),
    st.sampled_from(["-", "+", None]),
    st.integers(0, 89),
    st.integers(0, 59),
    st.decimals(0, "59.99", places=2),
)
def test_joined_parts_are_the_angle_that_they_add_up_to(
    hours: int, sign: str | None, degrees: int, minutes: int, seconds: object
) -> None:
    """Also a declination between -1 and 0 degrees, whose sign is that of no number."""
    parts = {"rah": hours, "ram": minutes, "ras": seconds, "de-": sign, "ded": degrees, "dem": minutes, "des": seconds}
    table = join_positions(held({name: [None if part is None else str(part)] for name, part in parts.items()}))
    (batch,) = read_in_units(table, TEXT, {"ra": "deg", "dec": "deg"})
    fraction = minutes / 60 + float(str(seconds)) / 3600
    assert float(batch["ra"][0].as_py()) == pytest.approx(15 * (hours + fraction), abs=1e-9)
    assert float(batch["dec"][0].as_py()) == pytest.approx((-1 if sign == "-" else 1) * (degrees + fraction), abs=1e-9)


PARTS = dict.fromkeys(("rah", "ram", "ras", "ded", "dem", "des"), "1")


@pytest.mark.parametrize("absent", PARTS)
def test_a_position_that_lacks_a_part_is_missing_and_the_other_one_is_there(absent: str) -> None:
    table = join_positions(
        held({name: [None if name == absent else part] for name, part in PARTS.items()} | {"de-": ["-"]})
    )
    (batch,) = table.read(TEXT)
    lacking = "ra" if absent.startswith("ra") else "dec"
    expected: dict[str, list[str | None]] = {"ra": ["1:1:1"], "dec": ["-1:1:1"]}
    assert batch.to_pydict() == expected | {lacking: [None]}


def test_parts_are_read_only_for_the_position_that_is_asked_for() -> None:
    asked: list[str] = []
    table = join_positions(held({**{name: ["1"] for name in PARTS}, "de-": ["+"], "mag": ["17.5"]}, asked))
    (batch,) = table.read({"dec": pa.string(), "mag": pa.float64()})
    assert batch.to_pydict() == {"dec": ["+1:1:1"], "mag": [17.5]}
    assert sorted(asked) == ["de-", "ded", "dem", "des", "mag"]
    assert (table.columns, table.float_columns) == (("mag", "ra", "dec"), {"mag"})
    assert table.units == {"mag": "mag", "ra": "h:m:s", "dec": "d:m:s"}


@pytest.mark.parametrize("more", [{}, {"raj2000": ["1"]}, {"decdeg": ["1"]}])
def test_a_table_without_split_positions_is_returned_as_it_is(more: dict[str, list[str | None]]) -> None:
    split: dict[str, list[str | None]] = {name: ["1"] for name in PARTS} | ({"de-": ["+"]} if more else {})
    table = held(split | more)
    assert join_positions(table) is table
