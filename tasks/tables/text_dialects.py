"""How a text table is written: encoding, separator, where its header stands, and the units that it declares.

Found from the first bytes alone, so that a table of any length can be streamed.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType

from tasks.tables.formats import looks_like_utf16
from tasks.tables.roles import ROLES
from tasks.tables.table_columns import TableError
from tasks.tables.units import is_unit

BLANKS = " "
"""The separator of tables whose cells are parted by one or more blanks or tabs."""

_SEPARATORS: MappingProxyType[str, str] = MappingProxyType(
    {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", BLANKS: "blanks"}
)
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?$")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?$")
_THOUSANDS = re.compile(r"[-+]?\d{1,3},\d{3}$")
_DECIMAL_POINT = re.compile(r"[-+]?\d+\.\d+([eE][-+]?\d+)?$")
_DASHES = re.compile(r"\s*[-=]+\s*$")
_RDB_TYPE = re.compile(r"\d*[SNMsnm]$")
_LINES_LOOKED_AT = 50


@dataclass(frozen=True)
class Dialect:
    """How a text table is written."""

    encoding: str
    """Codec of Python."""
    header: tuple[str, ...]
    """Cells of the header line, stripped."""
    data_line: int
    """Number of lines before the first row."""
    separator: str
    transcoded: bool = False
    """It is no UTF-8, or its lines end with a carriage return alone."""
    rewritten: bool = False
    """The rows must be taken apart here: pyarrow does not read such quotes, runs of blanks or decimal commas."""
    padded: bool = False
    """Cells have blanks at their ends."""
    decimal_comma: bool = False
    titles: tuple[str, ...] = ()
    """Lines of one cell that stand before the header."""
    units: dict[str, str] = field(default_factory=dict)
    """Stripped header cell -> unit, where the table has a line of units."""

    def notes(self) -> tuple[str, ...]:
        """Say what differs from a CSV of UTF-8."""
        notes = []
        if self.encoding not in ("utf-8-sig", "utf-8"):
            notes.append(f"text is {'Latin-1 (cp1252)' if self.encoding == 'cp1252' else self.encoding.upper()}")
        if self.separator != ",":
            notes.append(f"columns are parted by {_SEPARATORS.get(self.separator, repr(self.separator))}")
        if self.decimal_comma:
            notes.append("decimal commas are read as points")
        notes += [f"the line {line.strip()!r} before the header is left out" for line in self.titles]
        return tuple(notes)


def find_encoding(head: bytes, *, whole: bool) -> str:
    """Return the codec of a text by its first bytes: UTF-16, UTF-8, else Latin-1 as Windows extends it.

    Parameters
    ----------
    head : bytes
    whole : bool
        `head` is the whole text, so that its last character is not cut.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if looks_like_utf16(head):
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if whole or error.start < len(head) - 4:
            return "cp1252"
    return "utf-8-sig"


def find_dialect(path: Path, head: bytes, *, whole: bool, separator: str = "") -> Dialect:
    """Find how a text table is written.

    Parameters
    ----------
    path : Path
        The table, for messages.
    head : bytes
        Its first plain bytes.
    whole : bool
        `head` is the whole table.
    separator : str
        The separator where the table itself names it.

    Raises
    ------
    TableError
        There is no header line.
    """
    encoding = find_encoding(head, whole=whole)
    text = head.decode(encoding, errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not whole and len(lines) > 1:
        lines.pop()  # cut in the middle
    at, separator, titles = _before_header(lines, separator)
    rows = _rows(lines[at:])
    if not rows:
        raise TableError(f"table {path} has no header line")
    separator = separator or find_separator(rows)
    comment = _header_in_comment(lines[:at], rows, separator)
    header = comment or split_line(rows[0], separator)
    data_line, units = _after_header(lines, at if comment else at + 1, separator, header)
    header = _with_unnamed(header, _rows(lines[data_line:]), separator)
    dialect = Dialect(
        encoding=encoding,
        transcoded=encoding != "utf-8-sig" or "\r" in text.replace("\r\n", "\n"),
        header=tuple(header),
        data_line=data_line,
        separator=separator,
        titles=titles,
        units=dict(zip(header, units, strict=False)),
    )
    return _with_cells(dialect, _rows(lines[data_line:]))


def _before_header(lines: Sequence[str], separator: str) -> tuple[int, str, tuple[str, ...]]:
    """Return the number of lines before the header, the separator if it is named there, and the titles among them."""
    at = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    excel = re.match(r'"?sep=(.)"?$', lines[at].strip()) if at < len(lines) else None  # Excel's own hint
    if excel is not None:
        at, separator = at + 1, excel[1]
    titles = () if separator else _titles(lines[at:])
    return at + len(titles), separator, titles


def _titles(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of one cell before a header, such as the date of a daily export; at most three."""
    rows = _rows(lines)
    for count in range(min(4, len(rows) - 1)):
        separator = _agreed_separator(rows[count:])
        if separator:
            return tuple(rows[:count]) if all(len(split_line(row, separator)) == 1 for row in rows[:count]) else ()
    return ()


def _rows(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip() and not line.startswith("#")][:_LINES_LOOKED_AT]


def _with_cells(dialect: Dialect, rows: Sequence[str]) -> Dialect:
    """Return the dialect with what the rows' cells show: decimal commas, quotes after blanks, blanks at the ends."""
    separator = dialect.separator
    comma = _has_decimal_commas([split_line(row, separator) for row in rows], separator)
    quoted = re.compile(rf'(^|{re.escape(separator)})[ ]+"')
    return replace(
        dialect,
        decimal_comma=comma,
        rewritten=separator == BLANKS or comma or any(map(quoted.search, rows)),
        padded=any(cell != cell.strip() for row in rows for cell in row.split(separator)),
    )


def split_line(line: str, separator: str) -> list[str]:
    """Return the cells of one line, without their blanks."""
    if separator == BLANKS:
        line = line.strip().replace("\t", " ")
    try:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        cells = line.split(separator)
    return [cell.strip() for cell in cells]


def find_separator(lines: Sequence[str]) -> str:
    """Return the separator by which all lines have the same number of cells, at least two; else one of the header's."""
    agreed = _agreed_separator(lines) or _separator_of_numbered(lines)
    return agreed or next((separator for separator in (",", "\t", ";", "|") if separator in lines[0]), ",")


def _separator_of_numbered(lines: Sequence[str]) -> str:
    """Return the separator of rows with a number before the header's cells, as R writes them; empty for others."""
    separator = _agreed_separator(lines[1:]) if len(lines) > 1 else ""
    header = split_line(lines[0], separator) if separator else []
    return separator if header and _with_unnamed(header, lines[1:], separator) != header else ""


def _with_unnamed(header: list[str], rows: Sequence[str], separator: str) -> list[str]:
    """Return a header with an empty cell for the one that all rows have more: a blank at the end, or R's row names.

    R quotes them; without quotes the first cell may be an id, and the header's last name be missing.
    """
    table = [split_line(row, separator) for row in rows]
    if not table or any(len(cells) != len(header) + 1 for cells in table):
        return header
    if not any(cells[-1] for cells in table):
        return [*header, ""]
    numbered = [cells[0] for cells in table] == [str(row) for row in range(1, len(table) + 1)]
    return ["", *header] if numbered and all(row.startswith('"') for row in rows) else header


def _agreed_separator(lines: Sequence[str]) -> str:
    """Return the separator that gives all lines the same number of cells, the most; empty if none does.

    Blanks are tried last: they stand in the cells of other tables.
    """
    best, most = "", 1
    for separator in _SEPARATORS:
        if separator != BLANKS and separator not in lines[0]:
            continue
        counts = {len(split_line(line, separator)) for line in lines if not _is_dashes(line)}
        if len(counts) == 1 and max(counts) > most and (separator != BLANKS or not best):
            best, most = separator, max(counts)
    return best


def _header_in_comment(comments: Sequence[str], rows: Sequence[str], separator: str) -> list[str]:
    """Return the cells of a header that stands behind ``#``, else an empty list.

    It is the last comment line if it has as many cells as the rows, and the first row is no header itself.
    """
    lines = [line for line in comments if line.strip()]
    if not lines:
        return []
    cells = split_line(lines[-1].lstrip("#").strip(" "), separator)
    first = split_line(rows[0], separator)
    if len(cells) != len(first) or len(cells) < 2 or _has_number(cells) or not all(cells):
        return []
    return cells if _has_number(first) or (_names_a_role(cells) and not _names_a_role(first)) else []


def _has_number(cells: Sequence[str]) -> bool:
    return any(map(_NUMBER.match, cells))


def _names_a_role(cells: Sequence[str]) -> bool:
    synonyms = {name for role in ROLES.values() for name in role.names} | {"file", "filename", "file_name"}
    return any(cell.lower() in synonyms for cell in cells)


def _after_header(lines: Sequence[str], at: int, separator: str, header: Sequence[str]) -> tuple[int, list[str]]:
    """Return the number of the first line of data, and the units that stand between header and data.

    VizieR writes a line of units and a line of dashes there, RDB a line of types (``12N``), fixed-width tables a line
    of dashes, some tables a line of units alone.
    """
    following = [(number, line) for number, line in enumerate(lines) if number >= at and line.strip()][:2]
    if not following:
        return at, []
    number, line = following[0]
    if _is_dashes(line):
        return number + 1, []
    cells = _bare_cells(line, separator)
    if len(following) == 2 and _is_dashes(following[1][1]):
        return following[1][0] + 1, cells
    if len(cells) != len(header):
        return at, []
    if _are_rdb_types(cells, separator):
        return number + 1, []
    return (number + 1, cells) if _are_units(cells) else (at, [])


def _bare_cells(line: str, separator: str) -> list[str]:
    return line.split() if separator == BLANKS else [cell.strip().strip('"') for cell in line.split(separator)]


def _are_rdb_types(cells: Sequence[str], separator: str) -> bool:
    return separator == "\t" and all(map(_RDB_TYPE.match, cells))


def _are_units(cells: Sequence[str]) -> bool:
    named = [cell for cell in cells if cell]
    if _has_number(named):
        return False
    return any(len(cell) > 1 and is_unit(cell, ("deg",)) for cell in named) and all(map(is_unit, named))


def _is_dashes(line: str) -> bool:
    cells = [cell for cell in re.split(r"[\t;|,:\s+]+", line.strip()) if cell]
    return bool(cells) and all(map(_DASHES.match, cells)) and any(len(cell) > 1 for cell in cells)


def _has_decimal_commas(rows: Sequence[Sequence[str]], separator: str) -> bool:
    """Say whether cells have decimal commas, within quotes where commas part the cells, and none a decimal point."""
    cells = [cell for row in rows for cell in row]
    found = [cell for cell in cells if _DECIMAL_COMMA.match(cell)]
    if separator == "," and all(map(_THOUSANDS.match, found)):
        return False
    return bool(found) and not any(map(_DECIMAL_POINT.match, cells))


def leading_comments(head: bytes) -> list[str]:
    """Return the lines before the first that does not begin with ``#``."""
    lines = head.decode(find_encoding(head, whole=False), errors="replace").splitlines()
    return list(takewhile(lambda line: line.startswith("#"), lines))
