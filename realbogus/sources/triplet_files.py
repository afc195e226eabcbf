"""Which array file and which table belong together, in a folder or beside an array file."""

from collections.abc import Sequence
from pathlib import Path

from realbogus.records import SourceError

ARRAY_SUFFIXES = (".npy", ".npz")
TABLE_SUFFIXES = (
    *(".csv", ".tsv", ".ecsv", ".parquet", ".pq", ".fits", ".fit", ".vot", ".votable", ".xml"),
    *(".txt", ".dat", ".tbl", ".ascii"),
)
_BY_STEM_ALONE = (".txt", ".dat", ".tbl", ".ascii")  # other such files are notes
_PACKED = (".gz", ".bz2", ".xz", ".zst")


def find_triplet_files(path: Path) -> tuple[Path, Path | None]:
    """Return the array and its table, None where there is no table; the same for a folder and for its array file.

    The table has the array's name with a suffix of `TABLE_SUFFIXES`, packed or not, or is the only table beside the
    only array.

    Raises
    ------
    SourceError
        There is no array or more than one, or several tables may be meant.
    """
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and (path.suffix.lower() not in ARRAY_SUFFIXES or not path.is_file()):
        raise SourceError(f"{path} is neither a folder with an array and its table nor an array file .npy or .npz")
    files = sorted(file for file in folder.iterdir() if file.is_file())
    arrays = [file for file in files if file.suffix.lower() in ARRAY_SUFFIXES]
    if path.is_dir() and len(arrays) != 1:
        raise SourceError(f"{path} holds {len(arrays)} files {' or '.join(ARRAY_SUFFIXES)}, expected one")
    array = arrays[0] if path.is_dir() else path
    tables = [file for file in files if _table_stem(file) is not None]
    same_name = [file for file in tables if _table_stem(file) == array.stem]
    if same_name or len(arrays) > 1:
        return array, _only(array, same_name)
    return array, _only(array, [file for file in tables if _plain_suffix(file) not in _BY_STEM_ALONE])


def _only(array: Path, tables: Sequence[Path]) -> Path | None:
    if len(tables) > 1:
        raise SourceError(
            f"{array.parent} holds {len(tables)} tables ({', '.join(file.name for file in tables)}) that may belong to "
            f"{array.name}: name the right one {array.stem}{_plain_suffix(tables[0])} and move the others"
        )
    return tables[0] if tables else None


def _plain_name(file: Path) -> str:
    return file.stem if file.suffix.lower() in _PACKED else file.name


def _plain_suffix(file: Path) -> str:
    return Path(_plain_name(file)).suffix.lower()


def _table_stem(file: Path) -> str | None:
    """Return a table's name without its suffixes; None for what is no table."""
    return Path(_plain_name(file)).stem if _plain_suffix(file) in TABLE_SUFFIXES else None
