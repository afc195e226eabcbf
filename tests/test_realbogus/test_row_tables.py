"""Tables beside arrays: text without loss, numbers, positions, nights, and files that are refused."""

import pytest

from realbogus.records import SourceError
from realbogus.row_tables import DEC_NAMES, RA_NAMES, RowTable


def table_of(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return RowTable(path)


def test_text_keeps_every_digit_and_missing_words_are_none(tmp_path):
    table = table_of(tmp_path, "candid,x\n000123456789012345678,nan\n2,NULL\n3,N/A\n,\n")
    assert len(table) == 4
    assert table.text("candid") == ["000123456789012345678", "2", "3", None]
    assert table.text("candid", 1, 2) == ["2", "3"]
    assert table.text("x") == [None] * 4
    assert (table.has("x"), table.has("y")) == (True, False)
    assert table.first_of(("y", "x", "candid")) == "x"
    assert table.first_of(("y",)) is None


def test_columns_are_integers_or_decimals_or_text_as_a_whole(tmp_path):
    table = table_of(tmp_path, "i,f,t\n1,1,1\n2,2.5,b\n,,\n")
    assert table.parameters(0, 3) == [
        {"i": 1, "f": 1.0, "t": "1"},
        {"i": 2, "f": 2.5, "t": "b"},
        {"i": None, "f": None, "t": None},
    ]
    assert table.parameters(1, 1) == [{"i": 2, "f": 2.5, "t": "b"}]
    assert [type(value) for value in table.parameters(0, 1)[0].values()] == [int, float, str]


def test_positions_are_found_by_their_names_and_infinite_ones_are_missing(tmp_path):
    table = table_of(tmp_path, "ra,dec_deg,dec\n10.5,1,5\ninf,2,6\n,3,7\n")
    assert table.numbers(RA_NAMES, 0, 3) == [10.5, None, None]
    assert table.numbers(DEC_NAMES, 1, 2) == [2, 3], "the first name goes before the second"
    assert table.numbers(("z",), 0, 2) == [None, None]
    with pytest.raises(SourceError, match="column 'ra' has values that are not numbers"):
        table_of(tmp_path, "ra\neast\n").numbers(RA_NAMES, 0, 1)


@pytest.mark.parametrize(
    ("text", "nights"),
    [
        ("night,mjd\nN7,59000.5\n,59000.5\n", ["N7", None]),
        ("mjd,jd\n59000.74,1\n59000.75,1\n", ["2459000", "2459001"]),
        ("jd\n2459001.24\n2459001.25\n", ["2459000", "2459001"]),
        ("mjd\n59000.75\n,\n", None),
        ("x\n1\n2\n", [None, None]),
    ],
)
def test_nights_are_named_or_computed_from_the_epoch(tmp_path, text, nights):
    if nights is None:
        with pytest.raises(SourceError, match="cannot be read"):
            table_of(tmp_path, text)
        return
    assert table_of(tmp_path, text).nights(0, 2, -90.0) == nights


@pytest.mark.parametrize(
    ("text", "detectors"), [("ccdid,rcid\n1,7\n", ["7"]), ("ccdid\n03\n", ["03"]), ("x\n1\n", [None])]
)
def test_detectors_are_found_by_their_names(tmp_path, text, detectors):
    assert table_of(tmp_path, text).detectors(0, 1) == detectors


def test_quotes_line_breaks_byte_marks_and_unnamed_columns_are_read(tmp_path):
    table = table_of(tmp_path, b'\xef\xbb\xbf,name, y \n0,"a,\nb",5\n')
    assert table.names == ("column_0", "name", "y")
    assert table.parameters(0, 1) == [{"column_0": 0, "name": "a,\nb", "y": 5}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty: its first line must name the columns"),
        (b"\xff\xfe\xff", "is not CSV text"),
        (b"a,b,a\n1,2,3\n", "several columns named a"),
        (b"a,b\n1\n", "cannot be read"),
    ],
)
def test_broken_tables_are_refused_by_name(tmp_path, text, message):
    with pytest.raises(SourceError, match=rf"table\.csv.*{message}"):
        table_of(tmp_path, text)


def test_absent_tables_and_columns_are_named(tmp_path):
    with pytest.raises(SourceError, match=r"none\.csv does not exist"):
        RowTable(tmp_path / "none.csv")
    with pytest.raises(SourceError, match=r"has no column 'z'; its columns are a, b"):
        table_of(tmp_path, "a,b\n1,2\n").text("z")
