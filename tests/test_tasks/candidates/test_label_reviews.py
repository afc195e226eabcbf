"""Tables of verdicts: written empty, read back, and refused with every fault named."""

import csv
import re
from pathlib import Path

import pytest

from tasks.candidates.label_reviews import COLUMNS, VerdictError, read_verdicts, write_verdict_table


def test_a_table_is_written_with_empty_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_verdict_table(path, [("c1", "bogus", 1.23456), ("c,2", "bogus", -3)])
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0]) == COLUMNS == ("id", "label", "logit", "verdict")
    assert rows[1:] == [["c1", "bogus", "1.2346", ""], ["c,2", "bogus", "-3.0000", ""]]


def filled(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "filled.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_verdicts_of_a_person_outlive_the_table_that_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,label,logit,verdict\nc1,real,1.0,wrong\nc2,real,2.0,\nc3,real,3.0,right\nc4,bogus,4.0,wrong\n")
    write_verdict_table(path, [("c2", "real", 2.0), ("c1", "real", 1.0), ("c4", "real", 4.0)])
    assert path.read_text(encoding="utf-8").splitlines()[1:] == [
        "c2,real,2.0000,",
        "c1,real,1.0000,wrong",
        "c4,real,4.0000,",
        "c3,real,3.0,right",
        "c4,bogus,4.0,wrong",
    ]
    assert read_verdicts(path, ["c1", "c4"]) == ["wrong", "unsure"]


def test_a_table_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id;verdict\nc1;wrong\n")
    write_verdict_table(path, [("c1", "real", 1.0)])
    assert path.read_text() == "id;verdict\nc1;wrong\n"


def test_verdicts_come_in_the_requested_order_and_an_empty_one_is_unsure(tmp_path: Path) -> None:
    path = filled(tmp_path, "id,verdict\na, Wrong \nb,\nc,right\nd,UNSURE\ne,  \nother,right\n")
    assert read_verdicts(path, ["c", "b", "a", "d", "e"]) == ["right", "unsure", "wrong", "unsure", "unsure"]
    assert read_verdicts(path, []) == []


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert read_verdicts(filled(tmp_path, "\ufeffid,verdict\na,right\n"), ["a"]) == ["right"]


def test_a_table_that_was_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_verdict_table(path, [("c1", "bogus", 0.0)])
    assert read_verdicts(path, ["c1"]) == ["unsure"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,comment\na,b\n", "lacks the columns id and verdict; it has id, comment"),
        ("verdict\nright\n", "lacks the columns id and verdict; it has verdict"),
        ("", "lacks the columns id and verdict; it has none"),
        ("id,verdict\na,right\nb,maybe\n", "has the verdict 'maybe'; there are right, wrong, unsure"),
        ("id,verdict\nb,right\n", "has no row for 2 of 3 requested ids, such as a"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, text: str, says: str) -> None:
    path = filled(tmp_path, text)
    with pytest.raises(VerdictError, match=re.escape(f"{path} {says}")):
        read_verdicts(path, ["a", "b", "c"])


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerdictError, match=r"gone\.csv cannot be read: No such file"):
        read_verdicts(tmp_path / "gone.csv", ["a"])
