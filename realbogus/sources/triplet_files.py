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
    """An array file and the tables that may be its own.

    Attributes
    ----------
    array : Path
    tables : tuple of Path
        The one that bears the array's name, else those beside the only array.
    is_required : bool
        One of the tables must be the array's: one bears its name, or the folder was given. Otherwise the array is taken
        without a table where none fits.
    """

    array: Path
    tables: tuple[Path, ...]
    is_required: bool


def find_triplet_files(path: Path) -> TripletFiles:
    """Find the array and its tables in a folder, or beside an array file.

    Raises
    ------
    SourceError
        There is no array or more than one, or several tables bear the array's name.
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
    named = [file for file in tables if _table_stem(file) == array.stem]
    if len(named) > 1:
        raise SourceError(f"{array} has {len(named)} tables, {', '.join(file.name for file in named)}: keep one")
    if named or len(arrays) > 1:
        return TripletFiles(array, tuple(named), is_required=bool(named))
    others = tuple(file for file in tables if _plain_suffix(file) not in _BY_STEM_ALONE)
    return TripletFiles(array, others, is_required=bool(others) and path.is_dir())


def _plain_name(file: Path) -> str:
    return file.stem if file.suffix.lower() in _PACKED else file.name


def _plain_suffix(file: Path) -> str:
    return Path(_plain_name(file)).suffix.lower()


def _table_stem(file: Path) -> str | None:
    """Return a table's name without its suffixes; None for what is no table."""
    return Path(_plain_name(file)).stem if _plain_suffix(file) in TABLE_SUFFIXES else None
