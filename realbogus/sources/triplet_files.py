"""Which array file and which table belong together, in a folder or beside an array file."""

from collections.abc import Sequence
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
    files = _files_beside(path)
    arrays = [file for file in files if _is_array(file)]
    if path.is_dir() and len(arrays) != 1:
        raise SourceError(f"{path} holds {len(arrays)} files {' or '.join(ARRAY_SUFFIXES)}, expected one")
    array = arrays[0] if path.is_dir() else path
    named = _tables_named(array, files)
    if named or len(arrays) > 1:
        return TripletFiles(array, named, is_required=bool(named))
    others = tuple(file for file in files if _is_table(file) and _plain_suffix(file) not in _BY_STEM_ALONE)
    return TripletFiles(array, others, is_required=bool(others) and path.is_dir())


def _files_beside(path: Path) -> list[Path]:
    """Return the files of a folder, or those in the folder of an array file, sorted."""
    if not path.is_dir() and not (_is_array(path) and path.is_file()):
        raise SourceError(f"{path} is neither a folder with an array and its table nor an array file .npy or .npz")
    folder = path if path.is_dir() else path.parent
    return sorted(file for file in folder.iterdir() if file.is_file())


def _tables_named(array: Path, files: Sequence[Path]) -> tuple[Path, ...]:
    """Return the table that bears the array's name, if there is one."""
    named = tuple(file for file in files if _is_table(file) and _stem(file) == array.stem)
    if len(named) > 1:
        raise SourceError(f"{array} has {len(named)} tables, {', '.join(file.name for file in named)}: keep one")
    return named


def _is_array(file: Path) -> bool:
    return file.suffix.lower() in ARRAY_SUFFIXES


def _is_table(file: Path) -> bool:
    return _plain_suffix(file) in TABLE_SUFFIXES


def _plain_name(file: Path) -> str:
    return file.stem if file.suffix.lower() in _PACKED else file.name


def _plain_suffix(file: Path) -> str:
    return Path(_plain_name(file)).suffix.lower()


def _stem(file: Path) -> str:
    """Return a file's name without its suffixes."""
    return Path(_plain_name(file)).stem
