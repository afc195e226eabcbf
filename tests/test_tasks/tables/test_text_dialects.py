"""How a text table is written, found from its first bytes: encoding, separator, header, units, what stands before."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.tables.table_columns import TableError
from tasks.tables.text_dialects import (
    BLANKS,
    Dialect,
    find_dialect,
    find_encoding,
    find_separator,
    leading_comments,
    split_line,
)

PATH = Path("a/t.csv")
ROWS = [["a1", "1.5", "-2.5"], ["a2", "2.5", "3.5"]]


def dialect(text: str, *, whole: bool = True, separator: str = "") -> Dialect:
    return find_dialect(PATH, text.encode(), whole=whole, separator=separator)


def lines(separator: str, *before: str, rows: list[list[str]] = ROWS) -> str:
    return "".join(f"{line}\n" for line in (*before, *(separator.join(row) for row in rows)))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), st.integers(0))
def test_utf8_that_is_cut_anywhere_is_utf8_and_cut_in_a_character_it_is_none_as_a_whole(text: str, cut: int) -> None:
    content = text.encode()
    head = content[: cut % (len(content) + 1)]
    assert find_encoding(head, whole=False) == "utf-8-sig"
    in_a_character = len(head) < len(content) and content[len(head)] & 0xC0 == 0x80
    assert find_encoding(head, whole=True) == ("cp1252" if in_a_character else "utf-8-sig")


@pytest.mark.parametrize("text", ["spiräl, galaxy", "ä", "galaxies, spiräl"])
def test_latin1_is_told_from_utf8_wherever_its_letter_stands(text: str) -> None:
    assert find_encoding(text.encode("latin-1"), whole=True) == "cp1252"
    assert find_encoding(text.encode("latin-1") + b" more", whole=False) == "cp1252"
    assert text.encode("latin-1").decode(find_encoding(text.encode("latin-1"), whole=True)) == text


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig", "utf-8", "cp1252"])
def test_the_codec_that_is_found_gives_the_text_back(codec: str) -> None:
    text = "objID,RA\nGalaxié,1.5\n" if codec != "cp1252" else "objID,RA\nGalaxié €,1.5\n"
    assert text.encode(codec).decode(find_encoding(text.encode(codec), whole=True)) == text


CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), max_size=6)


@given(st.lists(CELL, min_size=2, max_size=5), st.sampled_from([",", "\t", ";", "|"]))
def test_a_line_that_the_csv_writer_wrote_is_split_into_its_cells(cells: list[str], separator: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="").writerow(cells)
    assert split_line(out.getvalue(), separator) == cells


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("  a \t  1.5   2 ", ["a", "1.5", "2"]),
        ('a  "S b"  2', ["a", "S b", "2"]),
        ("\ta\tb", ["a", "b"]),
        ("", []),
    ],
)
def test_runs_of_blanks_and_tabs_part_cells_once(line: str, cells: list[str]) -> None:
    assert split_line(line, BLANKS) == cells


@pytest.mark.parametrize(
    ("written", "separator"),
    [
        (["id,ra,dec", "a,1,2"], ","),
        (["id;name, type;ra", "a;S, b;2"], ";"),
        (["id|ra,x|dec,y|z", "1|2,1|3,5|4"], "|"),
        (["id\tmy name", "a\tS b"], "\t"),
        (["id ra", "a 1", "b  2"], BLANKS),
        (['"ra" "dec"', '"1" 1.5 2.5', '"2" 2.5 3.5'], BLANKS),
        (["id,ra", "a,1", "b,2,3"], ","),
        (["a title; with one", "x y z"], ";"),
        (["one"], ","),
    ],
)
def test_the_separator_is_that_by_which_all_lines_have_most_cells(written: list[str], separator: str) -> None:
    assert find_separator(written) == separator


@given(
    st.lists(st.sampled_from(["", "   ", "# a note", "#"]), max_size=4),
    st.sampled_from([",", ";", "\t", "|", " "]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_the_first_row_stands_behind_all_lines_before_the_header(
    before: list[str], separator: str, end: str, marked: bool
) -> None:
    """Whoever leaves out as many lines reads the first row next."""
    text = lines(separator, *before, separator.join(("id", "ra", "dec")))
    found = dialect(("\ufeff" if marked and not before else "") + text.replace("\n", end))
    assert (found.header, found.separator) == (("id", "ra", "dec"), separator)
    assert text.split("\n")[found.data_line].split(separator) == ROWS[0]
    assert found.transcoded == (end == "\r")


@pytest.mark.parametrize(
    ("between", "units", "skipped"),
    [
        ([",deg,deg"], {"ra": "deg", "dec": "deg"}, 1),
        (["-,h:m:s,d:m:s"], {"id": "-", "ra": "h:m:s", "dec": "d:m:s"}, 1),
        (["--,----,---"], {}, 1),
        (["meta,deg,mag", "---,---,---"], {"id": "meta", "ra": "deg", "dec": "mag"}, 2),
        ([",deg"], {}, 0),
        (["a0,deg,furlong"], {}, 0),
        ([",1,deg"], {}, 0),
    ],
)
def test_lines_of_units_and_dashes_are_no_rows(between: list[str], units: dict[str, str], skipped: int) -> None:
    found = dialect(lines(",", "id,ra,dec", *between))
    assert found.data_line == 1 + skipped
    assert {name: unit for name, unit in found.units.items() if unit} == units


def test_a_line_of_types_is_left_out_where_tabs_part_the_cells() -> None:
    assert dialect(lines("\t", "id\tra\tdec", "8S\t10N\t10N")).data_line == 2
    assert dialect(lines(",", "id,ra,dec", "8S,10N,10N")).data_line == 1


@pytest.mark.parametrize(
    ("text", "header", "data_line"),
    [
        ("# made in May\n# id, ra, dec\n" + lines(","), ("id", "ra", "dec"), 2),
        ("# id, ra, dec\n\n" + lines(","), ("id", "ra", "dec"), 2),
        ("# id, ra, dec\n# made in May\n" + lines(","), ("a1", "1.5", "-2.5"), 3),
        ("# 1, 2, 3\n" + lines(",", "id,ra,dec"), ("id", "ra", "dec"), 2),
        ("# id, ra, dec\n" + lines(",", "u,v,w"), ("id", "ra", "dec"), 1),
        ("# some, words, here\n" + lines(",", "id,x,y"), ("id", "x", "y"), 2),
    ],
)
def test_the_last_comment_is_the_header_if_it_has_the_cells_of_the_rows(
    text: str, header: tuple[str, ...], data_line: int
) -> None:
    found = dialect(text)
    assert (found.header, found.data_line) == (header, data_line)


def test_titles_and_a_separator_that_the_table_names_stand_before_the_header() -> None:
    titled = dialect(lines(";", "Catalogue of stars", "2026-11-02", "id;ra;dec"))
    assert (titled.titles, titled.header, titled.data_line) == (
        ("Catalogue of stars", "2026-11-02"),
        ("id", "ra", "dec"),
        3,
    )
    assert titled.notes() == (
        "columns are parted by semicolons",
        "the line 'Catalogue of stars' before the header is left out",
        "the line '2026-11-02' before the header is left out",
    )
    named = dialect(lines("|", '"sep=|"', "id|ra, dec|x"))
    assert (named.separator, named.header, named.data_line) == ("|", ("id", "ra, dec", "x"), 2)


@pytest.mark.parametrize(
    ("rows", "comma", "rewritten", "padded"),
    [
        ([["1,5", "2"]], True, True, False),
        ([["1,5", "2.5"]], False, False, False),
        ([["1;5", "2"]], False, False, False),
        ([["15", ' "S b"']], False, True, True),
        ([["15 ", "2"]], False, False, True),
        ([["15", '"S b"']], False, False, False),
    ],
)
def test_cells_tell_of_decimal_commas_quotes_after_blanks_and_blanks(
    rows: list[list[str]], comma: bool, rewritten: bool, padded: bool
) -> None:
    found = dialect(lines("|", "ra|dec", rows=rows))
    assert (found.decimal_comma, found.rewritten, found.padded) == (comma, rewritten, padded)


def test_quoted_thousands_are_no_decimal_commas_unless_one_number_cannot_be_thousands() -> None:
    assert not dialect('id,n\na,"1,234"\nb,"12,500"\n').decimal_comma
    assert dialect('id,n\na,"1,234"\nb,"12,5"\n').decimal_comma


def test_a_line_that_is_cut_counts_for_nothing() -> None:
    """With the cut row of two cells no separator would fit all rows."""
    text = lines(";", "id;ra, x;dec") + "a3;1,5"
    assert dialect(text, whole=False).separator == ";"
    assert dialect("id,ra", whole=False).header == ("id", "ra")
    with pytest.raises(TableError, match=r"^table a/t\.csv has no header line$"):
        dialect("# only\n\n# comments\nid,", whole=False)


@pytest.mark.parametrize("text", ["", "\n\n", "# a\n#b\n", "sep=;\n"])
def test_a_text_without_a_header_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(TableError, match=r"^table a/t\.csv has no header line$"):
        dialect(text)


def test_leading_comments_end_at_the_first_other_line() -> None:
    assert leading_comments(b"# a\n#b\r\nid\n# c\n") == ["# a", "#b"]
    assert leading_comments(b"id\n# c\n") == []
    assert leading_comments("\ufeff# a\nid\n".encode()) == ["# a"]
