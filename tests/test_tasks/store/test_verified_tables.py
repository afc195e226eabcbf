"""Files of a version against its manifest: every difference is told once, with the file and what is wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.runtime.workspace import Workspace
from tasks.store import merging
from tasks.store.dataset import Dataset
from tasks.store.verified_tables import REQUIRED, check_files, manifest_problems, table_problems
from tasks.store.version_files import OWN_DIGEST, file_digests, manifest_digest
from tests.small_ledgers import publish_ids

TABLES = ["labels/scheme.parquet", "samples.parquet", "split.parquet"]


@pytest.fixture
def version(workspace: Workspace) -> Dataset:
    """Three samples, of which the manifest tells."""
    return publish_ids(workspace, None, ["a", "b", "c"])


def problems(version: Dataset, expected: dict[str, str] | None) -> list[str]:
    """The problems of the files, without the folder before their names."""
    return [problem.removeprefix(f"{version.path}/") for problem in check_files(version.path, expected)[1]]


def test_files_as_they_were_written_have_no_problem(version: Dataset) -> None:
    assert list(version.manifest["files"]) == TABLES
    assert check_files(version.path, version.manifest["files"]) == (3, [])
    assert check_files(version.path, None) == (3, [])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TABLES), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_one_problem_of_one_file(version: Dataset, name: str, place: int, change: int) -> None:
    path, expected = version.path / name, version.manifest["files"]
    whole = path.read_bytes()
    content = bytearray(whole)
    content[place % len(content)] ^= change
    path.write_bytes(content)
    tables, found = check_files(version.path, expected)
    path.write_bytes(whole)
    (problem,) = found
    assert problem.startswith(f"{path} ")
    assert ("has another sha256 than the manifest's" in problem) == (tables == 3)
    assert ("cannot be read (" in problem) == (tables == 2)
    assert ";" not in problem, "what to do is said once, behind all problems"


def test_what_came_and_what_went_is_told_in_the_order_of_the_names(version: Dataset) -> None:
    expected = {**version.manifest["files"], "validation/z.html": "0" * 64, "labels/gone.parquet": "0" * 64}
    (version.path / "labels" / "new.csv").write_text("id\n")
    (version.path / "again.parquet").write_bytes((version.path / "split.parquet").read_bytes())
    assert problems(version, expected) == [
        "labels/gone.parquet is missing",
        "validation/z.html is missing",
        "again.parquet is not a file of this version",
        "labels/new.csv is not a file of this version",
    ]
    assert check_files(version.path, expected)[0] == 4
    assert problems(version, None) == [], "a version that was written without digests may have any"


def test_a_link_is_no_file_of_a_version(version: Dataset) -> None:
    expected = version.manifest["files"]
    (version.path / "labels" / "link.parquet").symlink_to(version.path / "samples.parquet")
    assert problems(version, expected) == []
    (version.path / "samples.parquet").rename(version.path.parent / "elsewhere.parquet")
    (version.path / "samples.parquet").symlink_to(version.path.parent / "elsewhere.parquet")
    assert problems(version, expected) == ["samples.parquet is missing"]


def test_a_file_that_only_has_the_name_of_a_table_is_told_once(version: Dataset) -> None:
    (version.path / "samples.parquet").write_text("id,row\n")
    tables, found = check_files(version.path, version.manifest["files"])
    assert (tables, len(found)) == (2, 1)
    assert found[0].startswith(f"{version.path / 'samples.parquet'} cannot be read (")
    assert file_digests(version.path).keys() == version.manifest["files"].keys()


def changed(written: Dataset, **entries: Any) -> Dataset:
    """The version with other entries of its manifest, signed."""
    manifest = {**written.manifest, **entries}
    return replace(written, manifest=manifest | {OWN_DIGEST: manifest_digest(manifest)})


@pytest.mark.parametrize("name", REQUIRED)
def test_an_entry_that_is_missing_is_named(version: Dataset, name: str) -> None:
    manifest = {entry: value for entry, value in version.manifest.items() if entry != name}
    told = manifest_problems(replace(version, manifest=manifest | {OWN_DIGEST: manifest_digest(manifest)}))
    path = version.path / "manifest.json"
    number = [f"{path}: 'version' is None, the folder is 000001"] if name == "version" else []
    assert told == [f"{path} has no entry {name!r}", *number]


def test_a_manifest_that_contradicts_itself_or_its_folder_is_told(version: Dataset) -> None:
    path = version.path / "manifest.json"
    assert json.loads(path.read_text()) == version.manifest
    assert manifest_problems(version) == []
    assert manifest_problems(changed(version, version=2)) == [f"{path}: 'version' is 2, the folder is 000001"]
    unsigned = replace(version, manifest=version.manifest | {"asked": 4})
    assert manifest_problems(unsigned) == [f"{path}: its entries have another sha256 than its 'manifest_sha256'"]


def test_tables_as_they_were_written_fit_the_manifest(version: Dataset) -> None:
    assert table_problems(version, version.samples()) == []


@pytest.mark.parametrize(("name", "count"), [("asked", 3), ("stored", 3), ("rejected", {})])
def test_a_count_that_is_not_the_ledger_s_is_told_with_both_numbers(version: Dataset, name: str, count: object) -> None:
    other = {"blank": 7} if name == "rejected" else 7
    assert table_problems(changed(version, **{name: other}), version.samples()) == [
        f"{version.path / 'samples.parquet'}: {name} is {count}, by the manifest {other}"
    ]


def with_other_rows(ledger: pa.Table) -> pa.Table:
    return merging.with_columns(ledger, {"row": [0, 0, 2]})


def with_other_pixels(ledger: pa.Table) -> pa.Table:
    return merging.with_columns(ledger, {"pixel_sha256": ["pa", "pb", "other"]})


def without_place(ledger: pa.Table) -> pa.Table:
    return merging.with_columns(ledger, {"row": [0, None, 2]})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (with_other_rows, "samples.parquet: two samples have the same row"),
        (with_other_pixels, ": the digest of ids, pixel digests and labels is not the manifest's"),
        (without_place, "samples.parquet: ledger row b is 'stored' with row None and reason None"),
    ],
)
def test_a_ledger_that_contradicts_itself_or_the_digest_is_told(
    version: Dataset, change: Callable[[pa.Table], pa.Table], told: str
) -> None:
    found = table_problems(version, change(version.samples()))
    assert [text.removeprefix(str(version.path)).lstrip("/") for text in found] == [told]


def test_labels_that_are_gone_are_told_by_their_file(version: Dataset) -> None:
    path = version.path / "labels" / "scheme.parquet"
    labels = pq.read_table(path)
    path.unlink()
    (problem,) = table_problems(Dataset.at(version.path), version.samples())
    assert problem.startswith(f"{version.path}: the digest cannot be computed: ")
    assert str(path) in problem
    pq.write_table(labels.set_column(1, "label", pa.array(["E", "E", "S"])), path)
    (problem,) = table_problems(Dataset.at(version.path), version.samples())
    assert problem == f"{version.path}: the digest of ids, pixel digests and labels is not the manifest's"


def test_a_split_that_was_exchanged_is_told(version: Dataset) -> None:
    path: Path = version.path / "split.parquet"
    split = pq.read_table(path)
    pq.write_table(split.take([2, 0, 1]), path)
    assert table_problems(Dataset.at(version.path), version.samples()) == [], "the order of the rows does not matter"
    pq.write_table(split.set_column(2, "part", pa.array(["train", "test", "train"])), path)
    assert table_problems(Dataset.at(version.path), version.samples()) == [
        f"{path}: its hash is not the manifest's 'split_hash'"
    ]
