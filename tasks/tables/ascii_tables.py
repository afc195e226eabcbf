"""Text tables of a layout of their own, read whole by astropy: IPAC, machine-readable (MRT, CDS), SExtractor."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.tables.column_names import name_columns
from tasks.tables.compression import plain_bytes
from tasks.tables.parser_faults import name_parser_faults
from tasks.tables.table_columns import TableFile, typed_batch
from tasks.tables.text_dialects import find_encoding

_ROWS_A_BATCH = 16_384
_IPAC = re.compile(r"(?:\\.*\n|\s*\n)*\|[^\n]*\|\s*\n(?:\|[^\n]*\|\s*\n)+(?=[^|\n])")
_COMMENTS = re.compile(r"\A(?:(?:#[^\n]*|\s*)\n)+")
_RULE = re.compile(r"(?=[ \-=]*(?:--|==))[ ]*(?:-+(?:[ ]+-+)+|=+(?:[ ]+=+)+)[ ]*\n")  # single dashes are missing cells
_SEXTRACTOR = re.compile(r"#\s+1\s+[A-Z]\w+(\s|$)")


def find_ascii_format(head: bytes) -> str | None:
    """Return astropy's name of a text table's layout by its first bytes; None for rows of separated cells."""
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff").replace("\r\n", "\n")
    if _IPAC.match(text):
        return "ipac"
    if text.startswith("=") and _RULE.match(text):
        return "rst"
    header, _, rest = _COMMENTS.sub("", text).partition("\n")
    if _RULE.match(rest) and not re.search("[,;|\t]", header):
        return "fixed_width_two_line"
    if re.search(r"^Byte-by-byte Description", text, re.MULTILINE):
        return "mrt" if text.startswith("Title:") else "cds"
    return "sextractor" if _SEXTRACTOR.match(text) else None


@contextmanager
def open_ascii(path: Path, plain: Path) -> Iterator[TableFile]:
    """Open such a table for as long as the block lasts; see `table_files.open_table`."""
    from astropy.io import ascii

    with plain_bytes(plain) as stream:
        content = stream.read()
    kind = find_ascii_format(content)
    text = content.decode(find_encoding(content, whole=True)).replace("\r\n", "\n")
    rule = {"position_char": "=" if re.search("^ *==", text, re.MULTILINE) else "-"}
    options = rule if kind == "fixed_width_two_line" else {}
    with name_parser_faults(f"table {path} (layout {kind})"):
        table = ascii.read(text.splitlines(), format=kind, guess=False, **options)
    yield _table_file(path, table, (f"layout {kind}",))


def _table_file(path: Path, table: Any, notes: tuple[str, ...]) -> TableFile:
    shaped = {
        name: "it holds arrays or objects"
        for name in table.colnames
        if table[name].ndim > 1 or table[name].dtype.kind in "Oc"
    }
    declared = {name: str(table[name].unit) for name in table.colnames if table[name].unit is not None}
    names = name_columns(path, [name for name in table.colnames if name not in shaped], declared)
    floats = frozenset(key for key, name in names.written.items() if table[name].dtype.kind == "f")

    def read(wanted: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(table), _ROWS_A_BATCH):
            rows = slice(start, start + _ROWS_A_BATCH)
            yield typed_batch(path, {name: _array(table[names.written[name]][rows]) for name in wanted}, wanted)

    return TableFile(path, tuple(names.written), floats, read, names.written, names.units, shaped, notes)


def _array(column: np.ndarray) -> pa.Array:
    values = np.ma.asarray(column)
    return pa.array(np.asarray(values.data), mask=np.ma.getmaskarray(values))
