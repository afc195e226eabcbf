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
    ("names", "table", "is_certain"),
    [
        (["s.npz", "s.csv"], "s.csv", (True, True)),
        (["s.npz", "s.parquet", "other.csv", "notes.txt"], "s.parquet", (True, True)),
        (["s.npz", "s.csv.gz"], "s.csv.gz", (True, True)),
        (["s.npz", "s.txt"], "s.txt", (True, True)),
        (["s.npz", "alerts.csv"], "alerts.csv", (True, False)),
        (["s.npz", "README.txt"], None, (True, False)),
        (["s.npz"], None, (True, False)),
    ],
)
def test_the_folder_and_the_file_give_the_same_table(
    tmp_path: Path, names: list[str], table: str | None, is_certain: tuple[bool, bool]
) -> None:
    folder = touch(tmp_path, *names)
    for path, certain in zip((folder, folder / "s.npz"), is_certain, strict=True):
        files = find_triplet_files(path)
        assert files.array == folder / "s.npz"
        assert files.table == (None if table is None else folder / table)
        assert files.is_certain == certain


def test_tables_of_other_arrays_are_not_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a.npy", "b.npy", "b.csv")
    assert find_triplet_files(tmp_path / "a.npy").table is None
    assert find_triplet_files(tmp_path / "b.npy").table == tmp_path / "b.csv"
    with pytest.raises(SourceError, match=r"holds 2 files \.npy or \.npz, expected one"):
        find_triplet_files(tmp_path)


def test_several_tables_are_refused_where_they_may_be_meant(tmp_path: Path) -> None:
    touch(tmp_path, "s.npy", "x.csv", "y.parquet")
    assert find_triplet_files(tmp_path / "s.npy").table is None
    with pytest.raises(
        SourceError, match=r"2 tables .* s\.npy: x\.csv, y\.parquet; keep one, named s\.csv"
    ):
        find_triplet_files(tmp_path)
    touch(tmp_path, "s.csv", "s.fits")
    with pytest.raises(SourceError, match=r"s\.csv, s\.fits; keep one"):
        find_triplet_files(tmp_path / "s.npy")
    with pytest.raises(SourceError, match="neither a folder with an array and its table nor an array file"):
        find_triplet_files(tmp_path / "s.csv")
