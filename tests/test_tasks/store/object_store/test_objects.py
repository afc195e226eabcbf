"""Datasets on real object stores: conditions, versions, two publishers, kills before every write, plain readers."""

import json
import multiprocessing
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
import xarray as xr
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import S3Store
from zarr.storage import ObjectStore

from tasks.http.rate_budget import RateBudget
from tasks.runtime.workspace import Workspace
from tasks.store import pixels
from tasks.store.dataset import PIXELS, Dataset
from tasks.store.errors import (
    DamagedBatchError,
    DamagedPixelsError,
    DamagedTableError,
    DatasetBusyError,
    DatasetNotFoundError,
    ObjectStoreError,
    ShardTakenError,
)
from tasks.store.object_store import conditions
from tasks.store.object_store.conditions import POINTER_ENVIRONMENT_NAME, UNCONDITIONAL, require_conditions
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.places import dataset_names, dataset_objects
from tasks.store.raw import RawObjects
from tasks.store.staging import Staging
from tasks.store.verification import Verification, open_afresh, verify_version
from tests.object_servers import BUCKET, environment, free_port, localbucket_server, moto_server, settings
from tests.small_ledgers import publish_ids, small_ledger
from tests.small_objects import NAME, build, build_and_die, holds, image, publish


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint, environment(settings(endpoint)):
        yield endpoint


@pytest.fixture
def here(moto: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of its own on moto's store."""
    monkeypatch.setenv("STARLOOM_STATE", str(tmp_path / "state"))
    return Workspace.named(f"s3://{BUCKET}/{request.node.name}")


def objects_of(workspace: Workspace) -> ObjectFolder:
    objects = dataset_objects(workspace, NAME)
    assert objects is not None
    return objects


def elsewhere(workspace: Workspace, folder: Path) -> Workspace:
    """The workspace as another machine has it."""
    return Workspace(folder / "another machine", workspace.address)


def test_an_object_is_created_once_and_replaced_only_as_it_was_read(here: Workspace) -> None:
    objects = ObjectFolder(str(here.address))
    assert objects.get_with_tag("a/b") is None
    assert objects.create("a/b", b"1")
    assert objects.create("a/b", b"1")  # as a request that is sent again because its answer was lost
    assert not objects.create("a/b", b"2")
    assert not objects.create_first("a/b", b"1")
    content, tag = objects.get_with_tag("a/b") or (b"", "")
    assert content == b"1"
    assert objects.replace("a/b", b"3", tag)
    assert not objects.replace("a/b", b"4", tag)
    assert not objects.replace("absent", b"4", tag)
    assert (objects.get("a/b"), objects.names(), objects.folders()) == (b"3", ["a/b"], ["a"])
    with pytest.raises(ObjectStoreError, match=r"was written with 1 bytes .* the store returns 1 bytes"):
        objects.require("a/b", b"5")
    objects.clear()
    assert objects.names() == []


def test_a_store_that_cannot_be_reached_is_named(here: Workspace) -> None:
    with pytest.raises(ObjectStoreError, match=r"s3://no-such-bucket/w/a cannot be read or written .* AWS_ENDPOINT"):
        ObjectFolder("s3://no-such-bucket/w").put("a", b"")


def test_a_store_that_does_not_answer_at_the_start_is_named_at_once() -> None:
    nothing = settings(f"http://127.0.0.1:{free_port()}")
    with (
        environment(nothing),
        pytest.raises(ObjectStoreError, match=f"the store at {nothing['AWS_ENDPOINT_URL']} runs"),
    ):
        require_conditions(f"s3://{BUCKET}/absent")


def test_a_store_that_is_started_again_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    objects = ObjectFolder(f"s3://{BUCKET}/w")
    with environment(settings(f"http://127.0.0.1:{port}")), ThreadPoolExecutor(1) as pool:
        with localbucket_server(tmp_path / "disk", port):
            objects.put("before", b"1")
        during = pool.submit(objects.put, "during", b"2")
        time.sleep(5)
        assert not during.done()
        with localbucket_server(tmp_path / "disk", port):
            during.result()
            assert (objects.get("before"), objects.get("during")) == (b"1", b"2")


def test_versions_follow_each_other_and_have_the_digests_of_local_ones(here: Workspace, tmp_path: Path) -> None:
    local = Workspace(tmp_path / "local")
    first, second = build(here, ["b", "a"]), build(here, ["a", "b", "c"], "later")
    one = publish_ids(local, None, ["b", "a"])
    assert (first.digest, second.digest) == (one.digest, publish_ids(local, one, ["c"]).digest)
    assert second.samples()["row"].to_pylist() == [0, 1, pixels.SHARD_ROWS]
    assert dataset_names(here) == [NAME]
    opened = Dataset.open(elsewhere(here, tmp_path), NAME)
    assert (opened.version, opened.digest, opened.parent().digest) == (2, second.digest, first.digest)  # type: ignore[union-attr]
    assert Dataset.open(here, f"{NAME}@1").samples().equals(first.samples())
    assert holds(opened) == dict.fromkeys("abc", True)
    names = objects_of(here).names()
    assert [name for name in names if name.startswith("staging/")] == []
    readers = [name.split("/")[1] for name in names if name.startswith("readers/")]
    assert readers == ["000001", "000001", "000002", "000002"]  # this machine and another
    assert {name for name in names if not name.startswith(("versions/", "readers/"))} == {
        "CURRENT",
        "pixels.zarr/zarr.json",
        "pixels.zarr/pixels/zarr.json",
        "pixels.zarr/pixels/c/0/0/0/0",
        "pixels.zarr/pixels/c/1/0/0/0",
    }
    with pytest.raises(DatasetNotFoundError, match=f"{NAME}@3.*there are: {NAME}"):
        Dataset.open(here, f"{NAME}@3")


def test_zarr_and_parquet_read_a_version_without_the_package(here: Workspace, moto: str) -> None:
    build(here, ["a", "b"])
    address = objects_of(here).address.removeprefix("s3://")
    bucket, _, prefix = address.partition("/")
    store = ObjectStore(S3Store(bucket, prefix=f"{prefix}/{PIXELS}"), read_only=True)
    array = xr.open_zarr(store, consolidated=False)["pixels"]
    assert array.dims == ("sample", "y", "x", "channel")
    endpoint = moto.removeprefix("http://")
    files = pa.fs.S3FileSystem(
        access_key="tests", secret_key="tests", endpoint_override=endpoint, scheme="http", region="us-east-1"
    )
    table = pq.read_table(f"{address}/versions/000001/samples.parquet", filesystem=files)
    for row in table.select(["id", "row"]).to_pylist():
        assert np.array_equal(array[row["row"]].values, image(row["id"]))


def test_of_two_publishers_one_is_refused_and_nothing_is_lost_or_doubled(here: Workspace, tmp_path: Path) -> None:
    away = elsewhere(here, tmp_path)
    build(here, ["a", "b"])
    seen_here, seen_away = Dataset.open(here, NAME), Dataset.open(away, NAME)
    won = publish(here, seen_here, ["x"], "of x")
    with pytest.raises(DatasetBusyError, match="another process published version 2 of dataset 'tiny' meanwhile"):
        publish(away, seen_away, ["y"], "of y")
    assert Dataset.open(away, NAME).digest == won.digest
    assert holds(Dataset.open(away, NAME)) == dict.fromkeys("abx", True)
    both = build(away, ["y"], "of y")
    assert (both.version, holds(both)) == (3, dict.fromkeys("abxy", True))
    assert len(set(both.samples()["row"].to_pylist())) == 4
    assert [name for name in objects_of(here).names() if name.startswith("staging/")] == []


def test_rows_are_claimed_by_one_builder_each(here: Workspace) -> None:
    build(here, ["a"])
    store = objects_of(here) / PIXELS
    with ThreadPoolExecutor(6) as pool:
        claimed = list(pool.map(lambda _: pixels.claim_rows(store, 3), range(6)))
    assert sorted(claimed) == [number * pixels.SHARD_ROWS for number in range(1, 7)]
    assert pixels.open_array(store).shape[0] == 7 * pixels.SHARD_ROWS


def test_a_shard_is_never_replaced(here: Workspace) -> None:
    build(here, ["a"])
    array = pixels.open_array(objects_of(here) / PIXELS, writable=True)
    pixels.write_shard(array, 0, image("a")[None])  # as a build that goes on does
    with pytest.raises(ShardTakenError, match=r"pixels/c/0/0/0/0 was written by another build"):
        pixels.write_shard(array, 0, image("b")[None])
    assert holds(Dataset.open(here, NAME)) == {"a": True}


def test_parts_of_a_shard_are_read_as_the_whole(here: Workspace) -> None:
    ids = [f"g{number:04d}" for number in range(pixels.SHARD_ROWS + 3)]
    array = build(here, ids).pixels
    expected = np.stack([image(name) for name in ids])
    for rows in (slice(0, len(ids)), slice(60, 70), slice(511, 513), slice(64, 128)):
        assert np.array_equal(array[rows], expected[rows])


def test_a_local_copy_is_made_anew_for_another_dataset_of_that_name(here: Workspace) -> None:
    first = build(here, ["a"])
    objects_of(here).clear()
    second = build(here, ["b"], "another")
    assert first.digest != second.digest
    assert Dataset.open(here, NAME).samples()["id"].to_pylist() == ["b"]


def test_who_may_only_read_the_store_reads_without_being_noted(
    here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(here, ["a"])

    def refused(*_: object, **__: object) -> None:
        raise kind("403 Forbidden")

    monkeypatch.setattr(S3Store, "put", refused)
    kind: type[Exception] = PermissionDeniedError
    assert Dataset.open(elsewhere(here, tmp_path), NAME).version == 1
    assert len(objects_of(here).names("readers/000001")) == 1  # its builder
    kind = GenericError
    with pytest.raises(ObjectStoreError, match="403 Forbidden"):
        Dataset.open(elsewhere(here, tmp_path / "third"), NAME)


def test_damage_on_the_store_is_found_and_named(here: Workspace, tmp_path: Path) -> None:
    build(here, ["a", "b"])
    objects = objects_of(here)
    assert problems(here) == []
    shard = "pixels.zarr/pixels/c/0/0/0/0"
    whole = objects.get(shard) or b""
    objects.put(shard, whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    assert any(f"{objects}/{shard}" in problem and "checksum" in problem for problem in problems(here))
    with pytest.raises(DamagedPixelsError, match=f"{objects}/{shard}"):
        Dataset.open(here, NAME).pixels[0:2]
    objects.delete(shard)
    with pytest.raises(DamagedPixelsError, match="there is no such"):
        Dataset.open(here, NAME).pixels[0:2]
    objects.put(shard, whole)
    split = "versions/000001/split.parquet"
    objects.put(split, (objects.get(split) or b"") + b" ")
    assert any(problem.startswith(f"{objects}/{split}") for problem in problems(here))
    with pytest.raises(DamagedTableError, match=r"split\.parquet has another sha256 than the manifest's"):
        Dataset.open(elsewhere(here, tmp_path), NAME)
    objects.put("versions/000001/more", b"")
    assert any("more is not a file of this version" in problem for problem in problems(here))


def problems(workspace: Workspace) -> list[str]:
    """Verify the dataset; its ledger names pixel digests that are none, which are left out."""
    with open_afresh(workspace, NAME) as dataset:
        found: Verification = verify_version(
            dataset, ObjectFolder(f"{workspace.address}/raw"), lambda *_: nullcontext(lambda _: None)
        )
    return [problem for problem in found.problems if "than the ledger's" not in problem]


def staged(workspace: Workspace, folder: Path) -> Staging:
    """A batch of two samples on the store."""
    staging = Staging(folder / "staging", objects_of(workspace) / "staging" / "request")
    staging.write(0, small_ledger(["a", "b"]), np.stack([image("a"), image("b")]))
    return staging


def test_a_staged_batch_is_fetched_once(here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging, fetched, fetch = staged(here, tmp_path), Counter[str](), ObjectFolder.get_with_tag

    def counted(objects: ObjectFolder, key: str) -> tuple[bytes, str] | None:
        fetched[key.rpartition("/")[2]] += 1
        return fetch(objects, key)

    monkeypatch.setattr(ObjectFolder, "get_with_tag", counted)
    assert staging.whole_ledger(0)["id"].to_pylist() == ["a", "b"]
    assert np.array_equal(staging.pixels(0)[1], image("b"))
    assert fetched == {"pixels.npy": 1, "ledger.parquet": 1, "crc32.json": 2}


@pytest.mark.parametrize(("name", "read"), [("pixels.npy", Staging.pixels), ("ledger.parquet", Staging.whole_ledger)])
def test_a_damaged_batch_is_removed_and_one_that_cannot_be_reached_is_not(
    here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, read: Callable[[Staging, int], Any]
) -> None:
    staging = staged(here, tmp_path)
    assert staging.objects is not None
    key = f"batch-000000/{name}"
    content = staging.objects.get(key) or b""
    with monkeypatch.context() as patch:
        patch.setattr(ObjectFolder, "get_with_tag", unreachable)
        with pytest.raises(ObjectStoreError, match="no answer"):
            read(staging, 0)
    assert staging.is_finished(0)
    staging.objects.put(key, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedBatchError, match=rf"{name} was not as it was written, and the batch is removed"):
        read(staging, 0)
    assert not staging.is_finished(0)


def unreachable(objects: ObjectFolder, key: str) -> NoReturn:
    raise ObjectStoreError(f"no answer for {objects}/{key}")


def test_a_manifest_cannot_name_a_file_outside_the_version(here: Workspace, tmp_path: Path) -> None:
    build(here, ["a"])
    objects = objects_of(here)
    manifest = json.loads(objects.get("versions/000001/manifest.json") or b"")
    manifest["files"] = {"../../../outside": manifest["files"]["samples.parquet"]}
    objects.put("versions/000001/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(DamagedTableError, match=r"'\.\./\.\./\.\./outside' is no name of a file"):
        Dataset.open(elsewhere(here, tmp_path), NAME)


def test_raw_bytes_are_kept_by_their_digest_and_answers_by_their_request(here: Workspace) -> None:
    raw = RawObjects(ObjectFolder(f"{here.address}/raw"))
    assert raw.answer("GET a") is None
    sha256 = raw.put_answer("GET a", b"picture")
    raw.put_refusal("GET b", "no_image")
    again = RawObjects(raw.objects)
    answer, refusal = again.answer("GET a"), again.answer("GET b")
    assert answer is not None
    assert (answer.content, answer.sha256) == (b"picture", sha256)
    assert refusal is not None
    assert (refusal.content, refusal.reason) == (None, "no_image")
    raw.objects.put(f"{sha256[:2]}/{sha256}", b"damaged")
    assert again.answer("GET a") is None
    assert raw.put(b"picture") == sha256
    assert raw.get(sha256) == b"picture"


def test_machines_share_one_rate(here: Workspace) -> None:
    """Eight processes' worth of leases at 100 requests per second: 400 send times, none of them given twice."""
    budget = ObjectFolder(f"{here.address}/raw/budget")
    sent: list[float] = []

    def send() -> None:
        machine = RateBudget(budget, "sky.example", 100.0, clock=lambda: 1000.0, sleep=lambda s: sent.append(s))
        for _ in range(50):
            machine.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: send(), range(8)))
    assert sorted(sent) == pytest.approx([number / 100 for number in range(1, 400)])


def test_a_store_without_a_condition_is_refused_unless_it_is_accepted(
    moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert require_conditions(f"s3://{BUCKET}/probe") is True
    assert ObjectFolder(f"s3://{BUCKET}/probe").names() == []
    conditions._kept.cache_clear()
    with localbucket_server(tmp_path / "disk", free_port()) as endpoint, environment(settings(endpoint)):
        with pytest.raises(ObjectStoreError, match=f"ignores If-Match .* {POINTER_ENVIRONMENT_NAME}={UNCONDITIONAL}"):
            require_conditions(f"s3://{BUCKET}/probe")
        monkeypatch.setenv(POINTER_ENVIRONMENT_NAME, UNCONDITIONAL)
        monkeypatch.setenv("STARLOOM_STATE", str(tmp_path / "state"))
        assert require_conditions(f"s3://{BUCKET}/probe") is False
        assert "ignores If-Match" in capsys.readouterr().err
        version = build(Workspace.named(f"s3://{BUCKET}/w"), ["a"])
        assert version.manifest["object_store"] == conditions.UNCONDITIONAL_NOTE


def test_a_build_killed_before_any_of_its_writes_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second version of a dataset, on a store that keeps its files on disk and is started anew after the kills."""
    port, states = free_port(), str(tmp_path / "state")
    given = settings(f"http://127.0.0.1:{port}") | {POINTER_ENVIRONMENT_NAME: UNCONDITIONAL, "STARLOOM_STATE": states}
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.small_objects"])
    first, both = ["a", "b"], ["a", "b", "c"]
    with environment(given):
        with localbucket_server(tmp_path / "disk", port):
            undisturbed = Workspace.named(f"s3://{BUCKET}/undisturbed")
            build(undisturbed, first)
            bucket = tmp_path / "disk" / BUCKET
            shutil.copytree(bucket / "undisturbed", bucket / "begun")
            digest, names = build(undisturbed, both).digest, shape_of(undisturbed)
            killed: list[Workspace] = []
            while True:
                workspace = Workspace.named(f"s3://{BUCKET}/killed-{len(killed)}")
                shutil.copytree(bucket / "begun", bucket / f"killed-{len(killed)}")
                child = processes.Process(
                    target=build_and_die, args=(given | {"STARLOOM_WORKSPACE": workspace.name}, both, len(killed))
                )
                child.start()
                child.join()
                killed.append(workspace)
                if child.exitcode == 0:
                    break
                assert child.exitcode == -signal.SIGKILL
        assert len(killed) > len(names)  # every object is a write, and there were removals
        with localbucket_server(tmp_path / "disk", port):
            for workspace in killed:
                assert holds(Dataset.open(workspace, NAME)).keys() >= {*first}
                version = build(workspace, both)
                assert (version.version, version.digest) == (2, digest)
                assert holds(version) == dict.fromkeys(both, True)
                assert shape_of(workspace) == names


def shape_of(workspace: Workspace) -> list[str]:
    """The names of a dataset's objects but its readers; which rows a shard has depends on where a build died."""
    names = (name for name in objects_of(workspace).names() if not name.startswith("readers/"))
    return sorted("shard" if "/c/" in name else name for name in names)
