"""Which array file and which table belong together, in a folder or beside an array file."""

from dataclasses import dataclass
from pathlib import Path

from realbogus.records import SourceError

ARRAY_SUFFIXES = (".npy", ".npz")
TABLE_SUFFIXES = (
    *(".csv", ".tsv", ".ecsv", ".parquet", ".pq", ".fits", ".fit", ".vot", ".votable", ".xml"),
    *(".txt", ".dat", ".tbl", ".ascii"),
)
_BY_STEM_ALONE = (".txt", ".dat", ".tbl", ".ascii")  # other such files are notes
_PACKED = (".gz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True)
class TripletFiles:
    """An array file and its table.

    Attributes
    ----------
    array : Path
    table : Path or None
        None where there is none.
    is_certain : bool
        The table must go with the array: it bears its name, or the folder was given. Otherwise it does where it has as
        many rows.
    """

    array: Path
    table: Path | None
    is_certain: bool


def find_triplet_files(path: Path) -> TripletFiles:
    """Find the array and its table in a folder, or beside an array file.

    The table has the array's name with a suffix of `TABLE_SUFFIXES`, packed or not, or is the only table beside the
    only array.

    Raises
    ------
    SourceError
        There is no array or more than one, or a folder holds several tables that may be meant.
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
    others = [file for file in tables if _plain_suffix(file) not in _BY_STEM_ALONE] if len(arrays) == 1 else []
    if len(same_name) > 1 or (path.is_dir() and not same_name and len(others) > 1):
        meant = same_name or others
        raise SourceError(
            f"{folder} holds {len(meant)} tables that may belong to {array.name}: "
            f"{', '.join(file.name for file in meant)}; keep one, named {array.stem}{_plain_suffix(meant[0])}"
        )
    if same_name:
        return TripletFiles(array, same_name[0], is_certain=True)
    return TripletFiles(array, others[0] if len(others) == 1 else None, is_certain=path.is_dir())


def _plain_name(file: Path) -> str:
    return file.stem if file.suffix.lower() in _PACKED else file.name


def _plain_suffix(file: Path) -> str:
    return Path(_plain_name(file)).suffix.lower()


def _table_stem(file: Path) -> str | None:
    """Return a table's name without its suffixes; None for what is no table."""
    return Path(_plain_name(file)).stem if _plain_suffix(file) in TABLE_SUFFIXES else None
