"""Which table belongs to an array: from the folder and from the file alike."""

from pathlib import Path

import pytest

from realbogus.records import SourceError
from realbogus.sources.triplet_files import find_triplet_files


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "tables", "is_required"),
    [
        (["s.npz", "s.csv"], ["s.csv"], (True, True)),
        (["s.npz", "s.parquet", "other.csv", "notes.txt"], ["s.parquet"], (True, True)),
        (["s.npz", "s.csv.gz"], ["s.csv.gz"], (True, True)),
        (["s.npz", "s.txt"], ["s.txt"], (True, True)),
        (["s.npz", "alerts.csv"], ["alerts.csv"], (True, False)),
        (["s.npz", "alerts.csv", "known.fits"], ["alerts.csv", "known.fits"], (True, False)),
        (["s.npz", "README.txt"], [], (False, False)),
        (["s.npz"], [], (False, False)),
    ],
)
def test_the_folder_and_the_file_give_the_same_tables(
    tmp_path: Path, names: list[str], tables: list[str], is_required: tuple[bool, bool]
) -> None:
    folder = touch(tmp_path, *names)
    for path, required in zip((folder, folder / "s.npz"), is_required, strict=True):
        files = find_triplet_files(path)
        assert files.array == folder / "s.npz"
        assert files.tables == tuple(folder / table for table in tables)
        assert files.is_required == required


def test_tables_of_other_arrays_are_not_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a.npy", "b.npy", "b.csv")
    assert find_triplet_files(tmp_path / "a.npy").tables == ()
    assert find_triplet_files(tmp_path / "b.npy").tables == (tmp_path / "b.csv",)
    with pytest.raises(SourceError, match=r"holds 2 files \.npy or \.npz, expected one"):
        find_triplet_files(tmp_path)


def test_two_tables_of_the_array_s_name_and_other_files_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "s.npy", "s.csv", "s.fits")
    with pytest.raises(SourceError, match=r"s\.npy has 2 tables, s\.csv, s\.fits: keep one"):
        find_triplet_files(tmp_path / "s.npy")
    with pytest.raises(SourceError, match="neither a folder with an array and its table nor an array file"):
        find_triplet_files(tmp_path / "s.csv")
