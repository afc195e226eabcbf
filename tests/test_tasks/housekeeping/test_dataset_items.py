"""Versions, shards and raw bytes as items: each needs what it is made of, raw bytes are needed by who names them."""

import os
import shutil
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.housekeeping.dataset_items import RAW, Survey, night_of, raw_keys, survey_datasets
from tasks.housekeeping.references import plan_removal
from tasks.housekeeping.request import HousekeepingRequest
from tasks.housekeeping.rules import DAY_S, NEWEST, PUBLISHED, UNREADABLE, Rules
from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import Dataset
from tasks.store.raw import RawStore
from tasks.store.staging import Staging
from tests.small_ledgers import publish_ids, small_ledger

LATER = time.time() + 100 * DAY_S
"""A time at which all that these tests make is old."""
VERSIONS = [f"dataset version tiny@{number}" for number in (1, 2, 3)]
SHARDS = [f"pixel shard tiny#{number}" for number in (0, 1, 2)]


def survey(workspace: Workspace, keep_versions: int = 1) -> Survey:
    return survey_datasets(workspace, Rules(HousekeepingRequest(keep_versions=keep_versions), LATER))


def write_shard(workspace: Workspace, number: int) -> None:
    array = pixels.open_array(workspace.datasets / "tiny" / "pixels.zarr", writable=True)
    pixels.grow(array, pixels.SHARD_ROWS * (number + 1))
    pixels.write_shard(array, pixels.SHARD_ROWS * number, np.full((1, 4, 4, 3), number + 1, np.uint8))


@pytest.fixture
def grown(workspace: Workspace) -> Workspace:
    """Dataset ``tiny`` of three versions, each with a sample more in a shard of its own, and raw bytes of its own."""
    dataset: Dataset | None = None
    for number in range(3):
        sha256 = RawStore(workspace.raw).put(f"answer {number}".encode())
        dataset = publish_ids(workspace, dataset, [f"s{number}"], raw_sha256=[sha256])
        write_shard(workspace, number)
    RawStore(workspace.raw).put(b"an answer that no ledger names")
    for path in workspace.raw.glob("??/*"):
        os.utime(path, (0, 0))  # of one day, whenever the test runs
    shutil.rmtree(workspace.datasets / "tiny" / "staging")
    return workspace


def needs(found: Survey, key: str) -> set[str]:
    """What an item needs; raw bytes by the versions that name them, as bits."""
    return {key.rpartition(", ")[2] if key.startswith(RAW) else key for key in found.items[key].needs}


def test_a_version_needs_the_shards_and_raw_bytes_of_its_rows_and_who_tells_the_seed_of_its_split(
    grown: Workspace,
) -> None:
    found = survey(grown)
    assert needs(found, VERSIONS[0]) == {SHARDS[0], "owners 7"}
    assert needs(found, VERSIONS[1]) == {*SHARDS[:2], "owners 7", "owners 6", VERSIONS[0]}
    assert needs(found, VERSIONS[2]) == {*SHARDS, "owners 7", "owners 6", "owners 4", VERSIONS[1]}
    raw = {key.rpartition(", ")[2]: item.count for key, item in found.items.items() if item.kind == RAW}
    assert raw == dict.fromkeys(("owners 0", "owners 4", "owners 6", "owners 7"), 1)
    assert (found.problems, found.busy, found.read_elsewhere) == ([], [], [])


@pytest.mark.parametrize(
    ("keep", "kept"), [(1, [None, None, PUBLISHED]), (2, [None, NEWEST, PUBLISHED]), (9, [NEWEST, NEWEST, PUBLISHED])]
)
def test_of_the_versions_the_published_one_and_the_newest_are_kept(
    grown: Workspace, keep: int, kept: list[str | None]
) -> None:
    found = survey(grown, keep)
    assert [found.items[key].kept for key in VERSIONS] == kept


def test_only_raw_bytes_that_no_ledger_names_may_go_while_the_newest_version_needs_all_others(
    grown: Workspace,
) -> None:
    plan = plan_removal(list(survey(grown).items.values()), 0, None)
    assert [item.key.rpartition(", ")[2] for item in plan.removed] == ["owners 0"]
    (grown.datasets / "tiny" / "CURRENT").write_text("1\n")
    keys = [item.key for item in plan_removal(list(survey(grown).items.values()), 0, None).removed]
    assert not {*VERSIONS, *SHARDS} & {*keys}, "the newest is kept beside the published one"


def test_the_size_of_an_item_is_that_of_its_files(grown: Workspace) -> None:
    found = survey(grown)
    for key in (*SHARDS, *(key for key, item in found.items.items() if item.kind == RAW)):
        item = found.items[key]
        assert item.size_bytes == sum(Path(str(path)).stat().st_size for path in item.paths) > 0
    for number, key in enumerate(VERSIONS, start=1):
        folder = grown.datasets / "tiny" / "versions" / f"{number:06d}"
        files = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
        assert found.items[key].paths == (folder,)
        assert found.items[key].size_bytes == sum(path.lstat().st_size for path in files)


def test_while_a_version_cannot_be_read_nothing_that_it_may_need_goes(grown: Workspace) -> None:
    (grown.datasets / "tiny" / "versions" / "000002" / "manifest.json").unlink()
    found = survey(grown)
    (problem,) = found.problems
    assert f"{grown.datasets / 'tiny' / 'versions' / '000002'} has no manifest.json" in problem
    assert {item.kept for item in found.items.values()} == {UNREADABLE}
    assert VERSIONS[1] not in found.items


def test_a_folder_that_cannot_be_a_dataset_is_told(grown: Workspace) -> None:
    (grown.datasets / "My Sky").mkdir()
    (grown.datasets / ".trash").mkdir()
    (problem,) = survey(grown).problems
    assert problem.startswith(f"{grown.datasets / 'My Sky'} has no name of a dataset")


def test_an_unfinished_build_needs_its_raw_bytes_and_the_shards_that_no_version_uses(grown: Workspace) -> None:
    sha256 = RawStore(grown.raw).put(b"answer of the build")
    staging = Staging(grown.datasets / "tiny" / "staging" / "request")
    staging.write(0, small_ledger(["t"], raw_sha256=[sha256]), np.ones((1, 4, 4, 3), np.uint8))
    write_shard(grown, 3)
    found = survey(grown)
    assert needs(found, "unfinished build tiny request") == {"pixel shard tiny#3", "owners 8"}
    assert not any("pixel shard tiny#3" in found.items[key].needs for key in VERSIONS)


def test_a_dataset_of_one_night_is_no_item_of_its_own_and_the_night_names_its_raw_bytes(grown: Workspace) -> None:
    (grown.datasets / "tiny").rename(grown.datasets / "night-2026-11-28")
    found = survey(grown)
    assert {item.kind for item in found.items.values()} == {RAW}
    assert [version.version for version in found.nights["2026-11-28"]] == [1, 2, 3]
    (named,) = raw_keys(found, "night 2026-11-28")
    assert (found.items[named].count, len(found.items)) == (3, 2)
    assert raw_keys(found, "night 2026-11-27") == frozenset()


DIGESTS = [f"{number:064x}" for number in range(8)]


@given(st.lists(st.sets(st.sampled_from(DIGESTS)), max_size=70))
def test_each_digest_knows_who_named_it_however_many_they_are(named: list[set[str]]) -> None:
    found = Survey()
    for _ in range(2):  # an owner may name its raw bytes in several tables
        for owner, digests in enumerate(named):
            found.own_raw(f"owner {owner}", pa.array([*sorted(digests), None], pa.string()))
    for digest in DIGESTS:
        bits = found.raw_owners.get(bytes.fromhex(digest), 0)
        owners = [name for place, name in enumerate(found.owners) if bits >> place & 1]
        assert owners == [f"owner {owner}" for owner, digests in enumerate(named) if digest in digests]


@given(st.dates(date(1000, 1, 1)), st.sampled_from(["", ".late", "_2", "-again.v2"]))
def test_a_dataset_of_one_night_is_known_by_its_name(night: date, rest: str) -> None:
    assert night_of(f"night-{night:%Y-%m-%d}{rest}") == f"{night:%Y-%m-%d}"
    for name in (f"x-night-{night:%Y-%m-%d}", f"night-{night:%Y-%m-%d}2", f"{night:%Y-%m-%d}", "nightly"):
        assert night_of(name) is None
