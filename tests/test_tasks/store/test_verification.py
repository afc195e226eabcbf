"""Verification finds any changed byte of a version and of its pixels and raw files, and nothing in an untouched one."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.raw import RawStore
from tasks.store.schema import SPLIT
from tasks.store.verification import Verification, verify_version
from tasks.store.verified_pixels import pixel_digests
from tests.small_ledgers import small_ledger

COUNT = pixels.SHARD_ROWS + 100
NOT_KEPT = "0" * 64
"""Digest of what was received of the rejected row."""


@contextlib.contextmanager
def no_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    counted: list[int] = []
    yield counted.append
    assert sum(counted) == total


def verify(workspace: Workspace, reference: str = "tiny") -> Verification:
    return verify_version(Dataset.open(workspace, reference), workspace.raw, no_bar)


@pytest.fixture
def dataset(workspace: Workspace) -> Dataset:
    """Two shards of float images, some with NaN, their raw bytes, labels, split and a rejected row."""
    rng = np.random.default_rng(1)
    images = rng.normal(10, 3, (COUNT, 5, 4, 3)).astype("float32")
    images[7, 0, 0] = np.nan
    images.view("uint32")[8, 0, 0, 0] = 0xFFC00001  # another NaN
    ids = [f"s{number:04d}" for number in range(COUNT)]
    raw = RawStore(workspace.raw)
    sums = [raw.put(name.encode()) for name in ids]
    raw.close()
    folder = workspace.datasets / "tiny"
    array = pixels.create(folder / "pixels.zarr", (5, 4, 3), "float32")
    pixels.grow(array, COUNT)
    for first in range(0, COUNT, pixels.SHARD_ROWS):
        pixels.write_shard(array, first, images[first : first + pixels.SHARD_ROWS])
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    digests[8] = hashlib.sha256(np.where(np.isnan(images[8]), np.float32(np.nan), images[8]).tobytes()).hexdigest()
    ledger = small_ledger(
        [*ids, "t"],
        row=[*range(COUNT), None],
        status=["stored"] * COUNT + ["rejected"],
        reason=[None] * COUNT + ["blank"],
        pixel_sha256=[*digests, None],
        raw_sha256=[*sums, NOT_KEPT],
    )
    labels = {"kind": pa.table({"id": ids, "label": ["E", "S"] * (COUNT // 2), "vote_fraction": rng.random(COUNT)})}
    split = pa.table([ids, ids, pa.array(["train"] * COUNT)], schema=SPLIT)
    manifest = {"problem": "realbogus", "schemes": {"kind": {"classes": ["E", "S"]}}}
    write = lambda target: (target / "index.html").write_text("page")  # noqa: E731
    return versions.publish(folder, versions.NewVersion(ledger, labels, split, manifest, None, None, write), None)


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)


def test_an_untouched_dataset_has_no_problems(workspace: Workspace, dataset: Dataset) -> None:
    assert verify(workspace).summary() == {
        "dataset": "tiny",
        "version": 1,
        "format_version": 2,
        "samples": COUNT,
        "pixels_ok": COUNT,
        "pixels_changed": 0,
        "raw_checked": COUNT,
        "raw_missing": 0,
        "raw_changed": 0,
        "tables": 3,
        "digest_ok": True,
        "problems": [],
    }


@pytest.mark.parametrize("place", [0.01, 0.5, 0.95])
@pytest.mark.parametrize("name", ["samples.parquet", "split.parquet", "labels/kind.parquet", "validation/index.html"])
def test_a_changed_byte_of_a_file_is_found_and_the_file_named(
    workspace: Workspace, dataset: Dataset, name: str, place: float
) -> None:
    flip(dataset.path / name, place)
    found = verify(workspace)
    assert found.problems
    assert name in found.problems[0]
    assert found.error().startswith("dataset 'tiny' version 1 is damaged: ")
    assert "Restore the named files" in found.error()


@pytest.mark.parametrize(
    ("was", "now"), [('"stored": 612', '"stored": 613'), ('"E"', '"F"'), ('"problem"', '"qroblem"')]
)
def test_a_changed_byte_of_the_manifest_is_found(workspace: Workspace, dataset: Dataset, was: str, now: str) -> None:
    path = dataset.path / "manifest.json"
    path.write_text(path.read_text().replace(was, now, 1))
    found = verify(workspace)
    assert found.problems == [f"{path}: its entries have another sha256 than its 'manifest_sha256'"]
    assert found.error().startswith("dataset 'tiny' version 1 is damaged: ")


def test_a_changed_byte_of_a_shard_costs_its_chunk(workspace: Workspace, dataset: Dataset) -> None:
    flip(dataset.pixels.shard_file(1), 0.1)
    found = verify(workspace)
    assert (found.pixels_changed, found.pixels_ok, found.digest_ok) == (64, COUNT - 64, True)
    (problem,) = found.problems
    assert "dataset 'tiny' version 1: the pixels of rows 512 to 575 cannot be read from " in problem
    dataset.pixels.shard_file(0).unlink()
    found = verify(workspace)
    assert found.pixels_changed == pixels.SHARD_ROWS + 64
    assert "rows 0 to 511 " in found.problems[0]


def test_other_pixels_under_a_right_checksum_are_found_by_their_sha256(workspace: Workspace, dataset: Dataset) -> None:
    array = pixels.open_array(workspace.datasets / "tiny" / "pixels.zarr", writable=True)
    images = np.asarray(array[: pixels.SHARD_ROWS])
    images[[3, 90, 91, 400], 2, 2, 1] += 1
    pixels.write_shard(array, 0, images)
    found = verify(workspace)
    assert found.pixels_changed == 4
    (problem,) = found.problems
    assert "the pixels of s0003 (row 3), s0090 (row 90), s0091 (row 91) and 1 more in " in problem
    assert problem.endswith("c/0/0/0/0 have another sha256 than the ledger's")


def test_raw_files_are_compared_where_any_are_kept(workspace: Workspace, dataset: Dataset) -> None:
    first, second = (RawStore(workspace.raw).path(sha256) for sha256 in dataset.samples()["raw_sha256"].to_pylist()[:2])
    first.write_bytes(b"other")
    second.unlink()
    found = verify(workspace)
    assert (found.raw_checked, found.raw_missing, found.raw_changed) == (COUNT - 1, 1, 1)
    assert [str(path) in problem for path, problem in zip((second, first), found.problems, strict=True)] == [True] * 2
    workspace.raw.rename(workspace.root / "elsewhere")
    found = verify(workspace)
    assert (found.raw_checked, found.raw_missing, found.problems) == (0, COUNT, [])


def test_a_file_that_came_or_went_is_a_problem(workspace: Workspace, dataset: Dataset) -> None:
    pq.write_table(pa.table({"id": ["s0000"], "label": ["S"]}), dataset.path / "labels" / "kind.later.parquet")
    (dataset.path / "validation" / "index.html").unlink()
    assert [problem.removeprefix(f"{dataset.path}/") for problem in verify(workspace).problems] == [
        "validation/index.html is missing",
        "labels/kind.later.parquet is not a file of this version",
    ]


def test_metadata_of_the_array_that_cannot_be_read_is_damage_of_all_pixels(
    workspace: Workspace, dataset: Dataset
) -> None:
    metadata = workspace.datasets / "tiny" / "pixels.zarr" / "pixels" / "zarr.json"
    text = metadata.read_text()
    for changed in (text.replace("float32", "float3B"), text[:100], text.replace("[", "7", 1)):
        metadata.write_text(changed)
        found = verify(workspace)
        assert found.pixels_changed == COUNT
        assert "the metadata of the pixel array" in found.problems[0]
    metadata.unlink()
    assert verify(workspace).pixels_changed == COUNT
    metadata.write_text(text.replace(str(2 * pixels.SHARD_ROWS), str(pixels.SHARD_ROWS), 1))
    found = verify(workspace)
    assert (found.pixels_ok, found.pixels_changed) == (pixels.SHARD_ROWS, 100)
    assert "has row 611, the array has 512 rows" in found.problems[0]


def test_a_version_of_format_1_has_no_digests_of_files_and_is_compared_by_the_others(
    workspace: Workspace, dataset: Dataset
) -> None:
    path = dataset.path / "manifest.json"
    manifest = {name: value for name, value in dataset.manifest.items() if name not in ("files", "manifest_sha256")}
    path.write_text(json.dumps(manifest | {"format_version": 1}))
    found = verify(workspace)
    assert (found.problems, found.format_version, found.tables) == ([], 1, 3)
    path.write_text(json.dumps(manifest | {"format_version": 1, "stored": 3}))
    assert verify(workspace).problems == [f"{dataset.path / 'samples.parquet'}: stored is {COUNT}, by the manifest 3"]
    labels = pq.read_table(dataset.path / "labels" / "kind.parquet")
    pq.write_table(labels.set_column(1, "label", pa.array(["S"] * COUNT)), dataset.path / "labels" / "kind.parquet")
    (dataset.path / "split.parquet").unlink()
    path.write_text(json.dumps(manifest | {"format_version": 1}))
    found = verify(workspace)
    assert [problem.rpartition(": ")[2] for problem in found.problems] == [
        "the digest of ids, pixel digests and labels is not the manifest's",
        "its hash is not the manifest's 'split_hash'",
    ]
    assert not found.digest_ok
    path.write_text(json.dumps({name: value for name, value in manifest.items() if name != "digest"}))
    assert verify(workspace).problems == [f"{path} has no entry 'digest'"]


def test_two_samples_of_one_row_contradict_each_other(workspace: Workspace, dataset: Dataset) -> None:
    ledger = dataset.samples()
    rows = ledger["row"].to_pylist()
    rows[1] = 0
    pq.write_table(merging.with_columns(ledger, {"row": list(rows)}), dataset.path / "samples.parquet")
    problems = " ".join(verify(workspace).problems)
    assert "two samples have the same row" in problems
    assert "the pixels of s0001 (row 0) in" in problems


def test_digests_are_of_little_endian_values_with_one_nan() -> None:
    images = np.arange(12, dtype="uint8").reshape(1, 2, 2, 3)
    assert pixel_digests(images) == [hashlib.sha256(bytes(range(12))).hexdigest()]
    values = np.array([[[[1.5, np.nan]]]], ">f4")
    assert pixel_digests(values) == [hashlib.sha256(bytes.fromhex("0000c03f0000c07f")).hexdigest()]
