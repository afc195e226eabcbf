"""Where a dataset is: sizes by folder add up by hand, no name is taken for one that begins alike."""

import os
from pathlib import Path

import pytest

from tasks.housekeeping.dataset_place import DatasetPlace
from tasks.runtime.workspace import Workspace
from tasks.store.locks import one_builder

SIZES = {
    "CURRENT": 2,
    ".builder": 5,
    "staging/ab/one": 10,
    "staging/ab/below/two": 20,
    "staging/abc/three": 400,
    "staging/.half/four": 3000,
    "versions/000002/manifest.json": 50_000,
    "versions/000010/manifest.json": 600_000,
}


@pytest.fixture
def place(workspace: Workspace) -> DatasetPlace:
    for age, (name, size) in enumerate(SIZES.items()):
        path = workspace.datasets / "sky" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * size)
        os.utime(path, (1000 + age, 1000 + age))
    return DatasetPlace.of(workspace, "sky")


def test_it_knows_each_file_by_its_place_in_the_dataset(place: DatasetPlace) -> None:
    assert {name: state.size_bytes for name, state in place.files.items()} == SIZES
    assert place.removing_bytes == 0
    assert place.root == place.folder


def test_the_size_of_a_folder_is_that_of_all_below_it_and_of_no_folder_whose_name_begins_alike(
    place: DatasetPlace,
) -> None:
    assert place.measure("staging/ab") == (30, 1003.0)
    assert place.measure("staging/ab", "staging/abc") == (430, 1004.0)
    assert place.measure("versions") == (650_000, 1007.0)
    assert place.measure("staging/a") == place.measure() == (0, 0.0)


def test_what_lies_directly_below_a_folder_is_told_in_order_without_what_is_half_made(place: DatasetPlace) -> None:
    assert place.below("staging") == ["ab", "abc"]
    assert place.below("versions") == ["000002", "000010"]
    assert place.below("staging/ab") == ["below", "one"]
    assert place.below("stag") == place.below("absent") == []


def test_parts_are_those_folders_that_are_there(place: DatasetPlace) -> None:
    assert place.parts("versions/000002", "readers/000002") == (place.folder / "versions" / "000002",)
    assert place.parts("absent") == place.parts() == ()


def test_it_is_built_while_a_process_holds_the_builder_s_lock(workspace: Workspace, place: DatasetPlace) -> None:
    assert not place.is_built(0.0), "the number that a dead builder left is no builder"
    with one_builder(place.folder):
        assert place.is_built(0.0)
        assert not DatasetPlace(workspace, "another").is_built(0.0)
    assert not place.is_built(0.0)


def test_of_a_dataset_in_a_folder_no_other_machine_reads_a_version(place: DatasetPlace) -> None:
    (place.folder / "readers" / "000002").mkdir(parents=True)
    (place.folder / "readers" / "000002" / "another").touch()
    assert not DatasetPlace.of(place.workspace, "sky").read_by_others(2)


def test_a_dataset_that_is_not_there_has_no_file_and_is_not_made(tmp_path: Path) -> None:
    place = DatasetPlace.of(Workspace(tmp_path / "workspace"), "sky")
    assert (place.files, place.below("versions"), place.measure("versions")) == ({}, [], (0, 0.0))
    assert not place.is_built(0.0)
    assert not place.folder.exists()
