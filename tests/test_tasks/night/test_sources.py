"""Sources of a night: which path is what, ids and positions, resuming at a block, identities."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from realbogus.records import SourceError
from realbogus.sources.zenodo import write_published_layout
from tasks.night.sources import (
    BLOCK_ROWS,
    ArrayNight,
    DatasetNight,
    NightSource,
    RecordNight,
    ZarrNight,
    open_night,
)
from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import Dataset
from tests.small_candidates import SIDE, draw_stamps, publish_candidates

COUNT = 10


def stamps(count: int = COUNT) -> np.ndarray:
    return draw_stamps([row % 2 == 0 for row in range(count)])


def publish(workspace: Workspace, name: str = "made", count: int = COUNT) -> Dataset:
    ledger = {"ra_deg": [float(row) for row in range(count)], "dec_deg": [-float(row) for row in range(count)]}
    return publish_candidates(workspace, name, ["real"] * count, ["cell"] * count, ["train"] * count, columns=ledger)


def write_zarr(folder: Path, values: np.ndarray) -> Path:
    array = pixels.create(folder, values.shape[1:], str(values.dtype))
    pixels.grow(array, len(values))
    pixels.write_shard(array, 0, values)
    array.resize(values.shape)
    return folder


def everything(source: NightSource, first: int = 0) -> tuple[list[list[str]], np.ndarray]:
    """Ids by block, and all stamps."""
    blocks = list(source.blocks(first))
    return [block.ids for block in blocks], np.concatenate([block.stamps for block in blocks])


def test_a_dataset_is_found_by_name_version_and_folder(workspace: Workspace) -> None:
    dataset = publish(workspace)
    paths = ["made", "made@1", str(workspace.datasets / "made"), str(dataset.path)]
    opened = [open_night(workspace, path, SIDE) for path in paths]
    assert all(isinstance(source, DatasetNight) for source in opened)
    assert {(source.name, source.count, source.pixels, source.identity) for source in opened} == {
        ("made", COUNT, "simulated", f"{dataset.digest}:{BLOCK_ROWS}")
    }


def test_a_dataset_s_blocks_hold_its_stored_rows_with_positions(workspace: Workspace) -> None:
    dataset = publish(workspace)
    source = DatasetNight(dataset, SIDE, 4)
    ids, found = everything(source)
    assert ids == [[f"c{row:04d}" for row in range(first, min(first + 4, COUNT))] for first in (0, 4, 8)]
    np.testing.assert_array_equal(found, np.asarray(dataset.pixels[:COUNT]))
    blocks = list(source.blocks(1))
    assert [block.ids[0] for block in blocks] == ["c0004", "c0008"]
    assert blocks[0].ra_deg.tolist() == [4.0, 5.0, 6.0, 7.0]
    assert blocks[0].dec_deg.tolist() == [-4.0, -5.0, -6.0, -7.0]
    assert source.identity != DatasetNight(dataset, SIDE, 5).identity


def test_rows_of_a_dataset_with_gaps_are_read_in_place(workspace: Workspace) -> None:
    """A rejected candidate has no row; a later version begins a shard, so that rows are not consecutive."""
    dataset = publish(workspace)
    ledger = dataset.samples()
    every = np.asarray(dataset.pixels[:COUNT])
    gaps = DatasetNight(dataset, SIDE, 3)
    gaps.__dict__["ledger"] = ledger.take([0, 1, 3, 6, 7]).sort_by("row")
    ids, found = everything(gaps)
    assert ids == [["c0000", "c0001", "c0003"], ["c0006", "c0007"]]
    np.testing.assert_array_equal(found, every[[0, 1, 3, 6, 7]])
    assert gaps.count == 5


def test_a_dataset_of_another_problem_is_refused(workspace: Workspace) -> None:
    dataset = publish(workspace)
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    (dataset.path / "manifest.json").write_text(json.dumps(manifest | {"problem": "galaxy"}))
    with pytest.raises(SourceError, match="dataset 'made' is of problem 'galaxy': its samples are no triplets"):
        open_night(workspace, "made", SIDE)


def test_a_dataset_with_smaller_stamps_than_the_model_s_is_refused(workspace: Workspace) -> None:
    publish(workspace)
    open_night(workspace, "made", SIDE)
    with pytest.raises(SourceError, match=r"dataset 'made': a candidate is \(21, 21\), expected \(22, 22\)"):
        open_night(workspace, "made", SIDE + 1)


def test_an_array_file_has_row_numbers_as_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "night.npy", stamps())
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, 4)
    assert isinstance(source, ArrayNight)
    assert (source.name, source.count, source.pixels) == ("night", COUNT, None)
    ids, found = everything(source)
    assert [len(block) for block in ids] == [4, 4, 2]
    assert [name for block in ids for name in block] == [f"{row:09d}" for row in range(COUNT)]
    np.testing.assert_array_equal(found, stamps())
    later, rest = everything(source, 2)
    assert later == [["000000008", "000000009"]]
    np.testing.assert_array_equal(rest, stamps()[8:])
    block = next(source.blocks())
    assert np.isnan(block.ra_deg).all()
    assert np.isnan(block.dec_deg).all()


def test_an_archive_s_own_ids_are_used_and_counted(tmp_path: Path) -> None:
    np.savez(tmp_path / "night.npz", triplets=stamps(), candid=np.arange(100, 100 + COUNT))
    source = open_night(Workspace(tmp_path), str(tmp_path / "night.npz"), SIDE, 4)
    assert everything(source)[0] == [[str(number) for number in range(100, 100 + COUNT)]]
    np.savez(tmp_path / "short.npz", triplets=stamps(), candid=np.arange(3))
    with pytest.raises(SourceError, match=r"short\.npz has 3 of candid for 10 candidates"):
        open_night(Workspace(tmp_path), str(tmp_path / "short.npz"), SIDE)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_array_s_table_is_found_from_the_file_and_from_the_folder(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "night"
    folder.mkdir()
    array = folder / f"stamps{suffix}"
    np.save(array, stamps()) if suffix == ".npy" else np.savez(array, triplets=stamps())
    alone = [everything(open_night(Workspace(tmp_path), str(path), SIDE))[0] for path in (array, folder)]
    assert alone == [[[f"{row:09d}" for row in range(COUNT)]]] * 2
    lines = [f"{10**17 + row},{60000 + row},1.5,2.5" for row in range(COUNT)]
    (folder / "stamps.csv").write_text("\n".join(["diaSourceId,midpointMjdTai,RA,Dec", *lines, ""]))
    for path in (array, folder):
        source = open_night(Workspace(tmp_path), str(path), SIDE)
        (block,) = source.blocks()
        assert block.ids == [str(10**17 + row) for row in range(COUNT)]
        assert block.ra_deg.tolist() == [1.5] * COUNT
        assert block.reading.understood["id"] == "diaSourceId"


def test_an_array_alone_says_what_is_unknown(tmp_path: Path) -> None:
    np.save(tmp_path / "night.npy", stamps())
    (tmp_path / "known.csv").write_text("name\na\n")
    first, last = open_night(Workspace(tmp_path), str(tmp_path / "night.npy"), SIDE, 6).blocks()
    assert "known.csv cannot be told to be its own" in first.reading.notes[0]
    assert (first.reading.missing["sign"], last.reading.missing["id"]) == (6, 4)
    assert first.reading.notes[0].endswith("sign of its differences, ids, positions and nights are unknown")


def test_places_of_a_record_are_its_files_and_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "night.npy", stamps())
    (tmp_path / "night.csv").write_text("id\n" + "a\nb\n" * (COUNT // 2))
    source = open_night(Workspace(tmp_path), str(tmp_path), SIDE)
    assert isinstance(source, RecordNight)
    assert source.places("b", [0, 0]) == [f"{tmp_path}/night.npy row {row}" for row in (1, 3)]


def test_records_are_identified_by_their_table_too(tmp_path: Path) -> None:
    np.save(tmp_path / "night.npy", stamps())
    table = tmp_path / "night.csv"
    identities = []
    for names in ("ab", "ab", "abc"):
        if not table.exists() or len(names) > 2:
            table.write_text("id\n" + "".join(f"{names}{row}\n" for row in range(COUNT)))
        identities.append(open_night(Workspace(tmp_path), str(tmp_path), SIDE).identity)
    assert identities[0] == identities[1] != identities[2]


def test_an_array_is_identified_by_path_size_time_and_block_size(tmp_path: Path) -> None:
    path = tmp_path / "night.npy"
    np.save(path, stamps())
    identity = ArrayNight(path, SIDE).identity
    assert ArrayNight(path, SIDE).identity == identity
    assert ArrayNight(path, SIDE, 4).identity != identity
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert ArrayNight(path, SIDE).identity != identity
    np.save(tmp_path / "longer.npy", stamps(12))
    assert ArrayNight(tmp_path / "longer.npy", SIDE).identity != identity


@pytest.mark.parametrize("nested", [False, True])
def test_a_zarr_array_is_read_whether_it_is_the_store_or_called_pixels(tmp_path: Path, nested: bool) -> None:
    folder = write_zarr(tmp_path / "night.zarr", stamps())
    source = open_night(Workspace(tmp_path), str(folder if nested else folder / "pixels"), SIDE, 4)
    assert isinstance(source, ZarrNight)
    assert (source.name, source.count, source.pixels) == ("night" if nested else "pixels", COUNT, None)
    ids, found = everything(source)
    assert ids == [[f"{row:09d}" for row in range(first, min(first + 4, COUNT))] for first in (0, 4, 8)]
    np.testing.assert_array_equal(found, stamps())
    assert everything(source, 1)[0] == ids[1:]


def test_a_zarr_store_in_a_dataset_s_folder_is_found_and_says_where_its_pixels_come_from(tmp_path: Path) -> None:
    write_zarr(tmp_path / "version.zarr" / "pixels.zarr", stamps())
    pixels.open_array(tmp_path / "version.zarr" / "pixels.zarr", writable=True).attrs["pixels"] = "simulated"
    source = ZarrNight(tmp_path / "version.zarr", SIDE)
    assert (source.count, source.pixels) == (COUNT, "simulated")


def test_a_zarr_array_is_identified_by_path_newest_file_and_block_size(tmp_path: Path) -> None:
    folder = write_zarr(tmp_path / "night.zarr", stamps())
    identity = ZarrNight(folder, SIDE).identity
    assert ZarrNight(folder, SIDE).identity == identity
    assert ZarrNight(folder, SIDE, 4).identity != identity
    newest = max(file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file())
    one = next(file for file in folder.rglob("*") if file.is_file())
    os.utime(one, ns=(newest + 1, newest + 1))
    assert ZarrNight(folder, SIDE).identity != identity


def test_what_is_no_array_of_triplets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(SourceError, match=r"empty\.zarr holds no Zarr array, nor one called pixels"):
        open_night(Workspace(tmp_path), str(tmp_path / "empty.zarr"), SIDE)
    flags = write_zarr(tmp_path / "flags.zarr", stamps() > 0)
    with pytest.raises(SourceError, match=r"flags\.zarr is of type bool, expected whole or floating-point numbers"):
        open_night(Workspace(tmp_path), str(flags), SIDE)
    np.save(tmp_path / "small.npy", stamps()[:, :15, :15])
    with pytest.raises(SourceError, match=r"small\.npy: a candidate is \(15, 15\)"):
        open_night(Workspace(tmp_path), str(tmp_path / "small.npy"), SIDE)
    small = write_zarr(tmp_path / "small.zarr", stamps()[:, :15, :15])
    with pytest.raises(SourceError, match=r"small\.zarr: a candidate is \(15, 15\)"):
        open_night(Workspace(tmp_path), str(small), SIDE)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nobody", "path=nobody is no file or folder, and no dataset: no dataset 'nobody'"),
        ("Bad Name", "is no file or folder, and no dataset"),
        ("gone.npy", r"path=gone\.npy does not exist"),
        ("gone/night", "path=gone/night does not exist"),
    ],
)
def test_a_path_of_nothing_is_named(workspace: Workspace, path: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_night(workspace, path, SIDE)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_hdf5_is_refused_with_a_remedy(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"night{suffix}").touch()
    with pytest.raises(SourceError, match="HDF5 is not read; save the triplets as"):
        open_night(Workspace(tmp_path), str(tmp_path / f"night{suffix}"), SIDE)


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        (
            "new1.fits.fz",
            ".",
            "holds frames, which are no candidates yet: .* build-realbogus-dataset with source=frames",
        ),
        ("ref1.fits.bz2", ".", "holds frames, which are no candidates yet"),
        ("notes.md", ".", "holds no candidates: give a dataset, an array"),
        ("night.csv", "night.csv", "is a table: give the array of its rows"),
        ("night.fits", "night.fits", "is a FITS file: give the array of its rows"),
    ],
)
def test_what_is_no_night_is_named_as_what_it_is(tmp_path: Path, name: str, path: str, message: str) -> None:
    (tmp_path / name).write_text("id\na\n")
    with pytest.raises(SourceError, match=f"path={tmp_path}.* {message}"):
        open_night(Workspace(tmp_path), str(tmp_path / path), SIDE)


def test_the_published_layout_is_read_batch_by_batch(tmp_path: Path) -> None:
    write_published_layout(tmp_path / "set.v1", detectors=2, rows=30, rng=np.random.default_rng(2))
    source = open_night(Workspace(tmp_path), str(tmp_path / "set.v1"), 29)
    assert isinstance(source, RecordNight)
    assert (source.name, source.count, source.pixels) == ("set", None, None)
    batches = source.source.batches()
    assert source.identity.startswith(":".join(batch.name for batch in batches))
    blocks = list(source.blocks())
    assert len(blocks) == len(batches) == 2
    assert sum(len(block.ids) for block in blocks) == 60
    np.testing.assert_array_equal(blocks[1].stamps, source.source.read(batches[1]).pixels)
    assert [block.ids for block in source.blocks(1)] == [blocks[1].ids]
    with pytest.raises(SourceError, match="expected"):
        open_night(Workspace(tmp_path), str(tmp_path / "set.v1"), 127)


def test_a_folder_of_triplets_keeps_its_ids_and_a_lost_plane_is_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "triplets"
    folder.mkdir()
    values = stamps(4)
    values[1, ..., 1] = np.nan
    values[2, ..., 2] = 1.0
    np.save(folder / "stamps.npy", values)
    (folder / "table.csv").write_text("id,label\n" + "".join(f"x{row},1\n" for row in range(4)))
    source = open_night(Workspace(tmp_path), str(folder), SIDE)
    assert isinstance(source, RecordNight)
    (block,) = source.blocks()
    assert block.ids == ["x0", "x1", "x2", "x3"]
    assert block.reasons == [None, "nan_plane", "constant_plane", None]
    with pytest.raises(SourceError, match="smaller ones cannot be scored"):
        open_night(Workspace(tmp_path), str(folder), SIDE + 2)
