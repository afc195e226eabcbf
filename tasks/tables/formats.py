"""What a file is, by its first bytes: a table of a known format, or something else that is refused by its name."""

import re
from pathlib import Path

from tasks.tables.table_columns import TableError

HEAD_BYTES = 1 << 16
"""As many plain bytes are looked at."""

_CSV = "write the table as CSV, FITS, VOTable or Parquet"
_UNPACK = "unpack it and give the table inside"
_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", f"read it with h5py, astropy or pandas and {_CSV}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (xls)", "save the sheet as CSV"),
    (b"ARROW1\x00", "an Arrow or Feather file", "pyarrow.parquet.write_table(pyarrow.feather.read_table(FILE), NEW)"),
    (b"FEA1\x00", "a Feather file (version 1)", "pandas.read_feather(FILE).to_parquet(NEW)"),
    (b"SQLite format 3\x00", "an SQLite database", f"select the table and {_CSV}"),
    (b"\x93NUMPY", "a NumPy array", f"give the columns names and {_CSV}"),
    (b"Obj\x01", "an Avro file", _CSV),
    (b"CDF\x02", "a NetCDF file", f"read it with xarray and {_CSV}"),
    (b"CDF\x01", "a NetCDF file", f"read it with xarray and {_CSV}"),
    (b"%PDF", "a PDF document", "look for the machine-readable table of the paper, at VizieR or the journal"),
    (b"\xff\xd8\xff", "a JPEG image", "give the table of the images"),
    (b"\x89PNG", "a PNG image", "give the table of the images"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x1f\x9d", "packed by compress (.Z)", "unpack it with gzip -d"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "git lfs pull"),
)


def recognise_format(path: Path, head: bytes) -> str:
    """Return ``parquet``, ``fits``, ``votable`` or ``text``.

    Parameters
    ----------
    path : Path
        The file, for messages.
    head : bytes
        Its first `HEAD_BYTES` plain bytes.

    Raises
    ------
    TableError
        The file is something else; the message says what, and what to do.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"SIMPLE  ="):
        return "fits"
    _refuse_binary(path, head)
    return _kind_of_text(path, head)


def _refuse_binary(path: Path, head: bytes) -> None:
    """Refuse a known format other than a table's."""
    if head.startswith(b"PK\x03\x04"):
        _refuse(path, *_kind_of_zip(head))
    if head[257:262] == b"ustar":
        _refuse(path, "a tar archive", _UNPACK)
    for magic, what, remedy in _REFUSED:
        if head.startswith(magic):
            _refuse(path, what, remedy)
    if re.match(rb"\x80[\x02-\x05]", head):
        _refuse(path, "a Python pickle", f"pickles are never opened; {_CSV}")
    if head.startswith(b"PARE") and b"\x00" in head:
        _refuse(path, "an encrypted Parquet file", "write it without encryption")
    if head.startswith(b"ORC") and b"\x00" in head:
        _refuse(path, "an ORC file", "pyarrow.parquet.write_table(pyarrow.orc.read_table(FILE), NEW)")


def _kind_of_zip(head: bytes) -> tuple[str, str]:
    if b"xl/" in head or b"[Content_Types].xml" in head:
        return "an Excel workbook (xlsx)", "save the sheet as CSV"
    if b"opendocument.spreadsheet" in head:
        return "an OpenDocument spreadsheet (ods)", "save the sheet as CSV"
    if b".npy" in head[:200]:
        return "NumPy arrays (npz)", f"give the columns names and {_CSV}"
    return "a zip archive", "unpack it first, or take the .csv.gz of the same table"


def _kind_of_text(path: Path, head: bytes) -> str:
    """Return ``votable`` or ``text``, or refuse what is binary or another kind of text."""
    start = head.replace(b"\x00", b"") if looks_like_utf16(head) else head
    start = re.sub(rb"^(\xef\xbb\xbf|\xff\xfe|\xfe\xff)", b"", start).lstrip()
    if start.startswith(b"<"):
        _require_votable(path, start)
        return "votable"
    if re.match(rb'\{\s*["}]|\[\s*[\{\["\d\]]', start):
        _refuse(path, "a JSON file", f"pandas.read_json(FILE).to_csv(NEW, index=False), or {_CSV}")
    if re.match(rb"(%[^\n]*\s+)*\\(begin|documentclass)", start):
        _refuse(path, "LaTeX", _CSV)
    if b"\x00" in head and not looks_like_utf16(head):
        _refuse(path, "binary data of an unknown format", _CSV)
    return "text"


def _require_votable(path: Path, start: bytes) -> None:
    lower = start.lower()
    if b"<votable" in lower or b":votable" in lower:
        return
    if re.search(rb"<!doctype html|<html|<head|<body|<script", lower):
        title = re.search(rb"<title[^>]*>\s*([^<]{1,80})", start, re.IGNORECASE)
        named = f" titled {title[1].decode('utf-8', 'replace').strip()!r}" if title else ""
        _refuse(path, f"a web page (HTML){named}", "a login or error page was saved; download the table again")
    _refuse(path, "an XML file without a VOTABLE element", _CSV)


def looks_like_utf16(head: bytes) -> bool:
    """Say whether bytes are UTF-16 text: a byte-order mark, or every other one of the first is null."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    first = head[:64]
    return len(first) >= 8 and any(set(first[half::2]) == {0} and 0 not in first[1 - half :: 2] for half in (0, 1))


def _refuse(path: Path, what: str, remedy: str) -> None:
    raise TableError(f"table {path} is {what}: {remedy}")
