"""Object ids as text: safe ids, ids for tables without any, and the detection of ids damaged by float64."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxy.catalogue.errors import CatalogueError

SAFE_ID = r"^[A-Za-z0-9][A-Za-z0-9_+-]*(\.[A-Za-z0-9_+-]+)*$"
"""Ids become file names: no separators, no leading dot, no two dots in a row."""

LONGEST_ID = 128

ROW_NUMBER = r"^\d{1,8}$"
"""Ids that may be numbers of rows; those of surveys are longer."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".gif", ".webp")
"""Suffixes of image files that can be read, in lower case."""
OTHER_SUFFIXES = (
    *(".fits", ".fit", ".fts", ".fz", ".npy", ".npz", ".gz", ".zip", ".csv", ".json", ".txt", ".xml"),
    *(
        ".avif",
        ".bmp",
        ".dng",
        ".exr",
        ".heic",
        ".heif",
        ".j2k",
        ".jp2",
        ".jxl",
        ".pdf",
        ".pgm",
        ".ppm",
        ".psd",
        ".svg",
    ),
)
"""Other suffixes of files that come with images. What follows a dot in a name is a suffix only if it is known here."""

_SUFFIX = rf"(?i)({'|'.join(re.escape(suffix) for suffix in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES))})$"

_FLOAT_TEXT = r"^[+-]?\d+(\.\d*)?[eE]\+?\d+$|^[+-]?\d{8,}\.0*$"
_EXACT_IN_FLOAT64 = 1 << 53
_FEWEST_LONG_IDS = 3  # all of three true ids are multiples of 128 in one of two million tables


class DamageWatch:
    """Watches an id column batch by batch for the marks that a conversion through float64 leaves."""

    def __init__(self, path: Path, column: str) -> None:
        self._where = f"table {path}: id column {column!r} went through float64"
        self._long_ids, self._multiples = 0, 0

    def see(self, ids: pa.Array) -> None:
        """Examine the ids of a batch.

        Raises
        ------
        CatalogueError
            An id is written as a floating-point number.
        """
        numbers = _as_numbers(ids)
        if numbers is None:
            written = pc.fill_null(pc.match_substring_regex(ids, _FLOAT_TEXT), False)
            if pc.any(written).as_py():
                raise CatalogueError(f"{self._where} (it holds {ids.filter(written)[0].as_py()!r}): {_ADVICE}")
            numbers = _as_numbers(ids.filter(pc.fill_null(pc.match_substring_regex(ids, r"^\d{16,19}$"), False)))
        if numbers is not None:
            long_numbers = numbers[numbers > _EXACT_IN_FLOAT64]
            self._long_ids += len(long_numbers)
            self._multiples += int((long_numbers % np.uint64(128) == 0).sum())

    def finish(self) -> None:
        """Check the column as a whole.

        Raises
        ------
        CatalogueError
            All its long ids are multiples of 128, as float64 leaves them.
        """
        if self._long_ids >= _FEWEST_LONG_IDS and self._multiples == self._long_ids:
            raise CatalogueError(f"{self._where} (all {self._long_ids} ids are multiples of 128): {_ADVICE}")


_ADVICE = "their last digits are lost; export the table again with the ids as text or 64-bit integers"


def _as_numbers(ids: pa.Array) -> np.ndarray | None:
    """Return the ids as uint64 without nulls, or None where one is not all digits."""
    try:
        return ids.drop_null().cast(pa.uint64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None


def ids_from_files(files: pa.Array) -> pa.Array:
    """Return the stem of each file's name, (rows,); a path out of its folder stays whole, and so unsafe.

    The stem lacks the folders and one known suffix; any other dot belongs to the name.
    """
    outside = pc.match_substring_regex(files, r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:")
    stem = pc.replace_substring_regex(pc.replace_substring_regex(files, r"^.*[/\\]", ""), _SUFFIX, "")
    return pc.if_else(outside, files, stem)


def split_suffix(name: str) -> tuple[str, str]:
    """Return a file name's stem and its known suffix in lower case, empty where it has none."""
    stem = re.sub(_SUFFIX, "", name)
    return stem, name[len(stem) :].lower()


def ids_from_positions(ra_deg: np.ndarray, dec_deg: np.ndarray) -> pa.Array:
    """Return ``J`` and the position in degrees, to 0.04 arcsec, of n positions (n,); null where one is NaN."""
    has_position = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    text = [f"J{ra:09.5f}{dec:+09.5f}" for ra, dec in zip(np.nan_to_num(ra_deg), np.nan_to_num(dec_deg), strict=True)]
    return pa.array(text, pa.string(), mask=~has_position)


def find_unsafe(ids: pa.Array) -> np.ndarray:
    """Return which ids must not become a file name: bool of shape (rows,), false for null."""
    if _as_numbers(ids) is not None:
        return np.zeros(len(ids), bool)
    safe = pc.and_(pc.match_substring_regex(ids, SAFE_ID), pc.less_equal(pc.utf8_length(ids), LONGEST_ID))
    return pc.invert(pc.fill_null(safe, True)).to_numpy(zero_copy_only=False)
