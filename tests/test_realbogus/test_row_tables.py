"""Tables of triplets: text exact to the digit, positions, epochs and nights by their roles, files that are refused."""

import numpy as np
import pyarrow as pa
import pytest

from realbogus.records import SourceError
from realbogus.row_tables import RowTable, rows_without_columns

LEAP_D = 37 / 86400


def table_of(tmp_path, text, **roles):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return RowTable(path, roles=roles or None)


def test_text_keeps_every_digit_and_missing_words_are_none(tmp_path):
    table = table_of(tmp_path, "candid,x\n000123456789012345678,nan\n2,NULL\n3,N/A\n,\n")
    assert len(table) == 4
    assert table.text("candid") == ["000123456789012345678", "2", "3", None]
    assert table.text("candid", 1, 2) == ["2", "3"]
    assert table.text("x") == [None] * 4
    assert (table.has("x"), table.has("y")) == (True, False)


def test_columns_are_integers_or_decimals_or_text_as_a_whole(tmp_path):
    table = table_of(tmp_path, "i,f,t\n1,1,1\n2,2.5,b\n,,\n")
    assert table.parameters(0, 3) == [
        {"i": 1, "f": 1.0, "t": "1"},
        {"i": 2, "f": 2.5, "t": "b"},
        {"i": None, "f": None, "t": None},
    ]
    assert table.parameters(1, 1) == [{"i": 2, "f": 2.5, "t": "b"}]
    assert [type(value) for value in table.parameters(0, 1)[0].values()] == [int, float, str]


def test_a_column_has_the_role_of_its_name_or_the_one_that_is_given(tmp_path):
    assert table_of(tmp_path, "RA,Dec,x\n1,2,3\n").roles == {"ra": "RA", "dec": "Dec"}
    table = table_of(tmp_path, "a,b\n1,\n2,3\n", ra="b")
    assert table.roles == {"ra": "b"}
    assert table.texts_of("ra", 0, 2) == [None, "3"]
    assert table.texts_of("night", 0, 2) == [None, None]


def test_positions_are_degrees_or_sexagesimal_and_impossible_ones_are_missing(tmp_path):
    table = table_of(tmp_path, "ra,dec\n10.5,1\ninf,2\n,3\n-999,-999\n5,91\n359,-90\n")
    np.testing.assert_array_equal(table.positions[0], [10.5, np.nan, np.nan, np.nan, np.nan, 359])
    np.testing.assert_array_equal(table.positions[1], [1, 2, 3, np.nan, np.nan, -90])
    ra_deg, dec_deg = table_of(tmp_path, "ra,dec\n10:00:00,-20:30:00\n,\n").positions
    np.testing.assert_allclose(ra_deg, [150, np.nan])
    np.testing.assert_allclose(dec_deg, [-20.5, np.nan])
    with pytest.raises(SourceError, match=r"table\.csv: column 'ra', row 1: 'east' is not a coordinate"):
        _ = table_of(tmp_path, "ra,dec\n1,2\neast,1\n").positions
    assert np.isnan(table_of(tmp_path, "x\n1\n").positions).all()


@pytest.mark.parametrize(
    ("text", "epochs"),
    [
        ("time\n59000.5\n2459001.0\n-999\n", [59000.5, 59000.5, np.nan]),
        ('time\n2020-05-31T12:00:00\n2020-05-31 12:00:00Z\n""\n', [59000.5, 59000.5, np.nan]),
        ("time,time_of_day\n2020-05-31,12:00\n2020-05-31,\n59000.5,1\n", [59000.5, np.nan, 59000.5]),
        ("time\n59000.5\nsoon\n17\n", [59000.5, np.nan, np.nan]),
        ("x\n1\n2\n3\n", [np.nan] * 3),
    ],
)
def test_epochs_are_read_in_any_writing(tmp_path, text, epochs):
    np.testing.assert_allclose(table_of(tmp_path, text).epochs_mjd, epochs)


@pytest.mark.parametrize("text", ["midpointMjdTai\n59000.5\n0\n", "midpointMjdTai\n2020-05-31T12:00:00\nnan\n"])
def test_epochs_in_tai_become_utc(tmp_path, text):
    table = table_of(tmp_path, text, time="midpointMjdTai")
    np.testing.assert_allclose(table.epochs_mjd, [59000.5 - LEAP_D, np.nan], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "nights"),
    [
        ("night,time\nN7,59000.5\n,59000.5\n", ["N7", None]),
        ("time,x\n59000.74,1\n59000.75,1\n", ["2459000", "2459001"]),
        ("time\n2459001.24\n2459001.25\n", ["2459000", "2459001"]),
        ("x\n1\n2\n", [None, None]),
    ],
)
def test_nights_are_named_or_computed_from_the_epoch(tmp_path, text, nights):
    assert table_of(tmp_path, text).nights(0, 2, -90.0) == nights


def test_a_reading_counts_the_rows_that_lack_each_role(tmp_path):
    reading = table_of(tmp_path, "id,ra,dec,time\na,1,2,59000.5\nb,1,99,soon\n,,2,17.0\n").reading(0, 3)
    assert reading.understood == {"id": "id", "ra": "ra", "dec": "dec", "time": "time"}
    assert reading.missing == {
        **{"id": 1, "group": 3, "ra": 2, "dec": 1, "time": 2, "label": 3, "detector": 3, "band": 3, "sign": 3}
    }
    assert len(reading.notes) == 2
    assert "column 'time', row 1: 'soon' is no epoch" in reading.notes[0]
    assert reading.notes[1].endswith("and 1 more such rows")


def test_an_array_alone_has_rows_of_which_nothing_is_known(tmp_path):
    table = rows_without_columns(tmp_path / "a.npy", 3)
    assert (len(table), table.parameters(1, 2), table.nights(0, 2, 0.0)) == (3, [{}, {}], [None, None])
    assert table.reading(0, 3).missing["sign"] == 3
    assert np.isnan(table.positions).all()


def test_a_given_table_is_taken_as_it_is(tmp_path):
    table = RowTable(tmp_path / "a.parquet", pa.table({"Cand": ["7"]}), {"id": "Cand"}, ["v (a vector)"], ["odd"])
    reading = table.reading(0, 1)
    assert (table.texts_of("id", 0, 1), reading.ignored) == (["7"], ("v (a vector)",))
    assert reading.notes == (f"{tmp_path}/a.parquet: odd",)


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
