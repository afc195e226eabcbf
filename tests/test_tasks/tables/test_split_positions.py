"""Positions split over columns: joined with their signs, and left alone where a part is missing."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.tables.table_files import open_table

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
