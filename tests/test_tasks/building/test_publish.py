"""Publishing a build: the account balances, too few rows are refused, and a grown dataset keeps its split."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.building.harvest import Harvest, balanced_account, class_counts, part_counts, require_enough
from tasks.building.plan import Plan, published_parent
from tasks.building.publish import finished_summary, is_unchanged, summary_of
from tasks.building.splits import part_by_hash
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.publish import publish_build
from tasks.store import merging, pixels
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.schema import LEDGER
from tasks.store.versions import stored_rows
from tests.small_builds import SmallRequest, small_plan

WITH_WIDTH = pa.schema([*LEDGER, ("width_arcsec", pa.float64())])


def staged_harvest(workspace: Workspace, numbers: range, linked: bool, **request: Any) -> Harvest:
    """One batch of samples a hundred arcsec apart, of two classes in turn."""
    parent = published_parent(workspace, "tiny", "galaxy")
    asked = SmallRequest(**request)
    facts = {"parent": None if parent is None else parent.version}
    plan: Plan[Any] = small_plan(workspace.datasets / "tiny", asked, "shapes", **facts)
    ids = [f"{number:04d}" for number in numbers]
    images = np.random.default_rng(numbers.start).integers(0, 255, (len(ids), 4, 4, 3), dtype=np.uint8)
    rows = [
        dict.fromkeys(WITH_WIDTH.names)
        | {"id": name, "group": None if linked else f"g{name}", "ra_deg": 10.0, "dec_deg": number / 36}
        | {"source": "made", "parameters": "{}", "status": "stored", "attempts": 1, "width_arcsec": 10.0}
        | {"pixel_sha256": hashlib.sha256(image.tobytes()).hexdigest(), "raw_sha256": "0" * 64}
        for name, number, image in zip(ids, numbers, images, strict=True)
    ]
    table = pa.Table.from_pylist(rows, WITH_WIDTH)
    table = merging.with_columns(table, {"finished_at": [0] * len(ids)})
    plan.staging.write(0, table, images)
    return Harvest(
        plan,
        pa.array(ids),
        merging.gather(plan.staging, [0], WITH_WIDTH),
        pa.table({"id": ids, "label": [["E", "S"][number % 2] for number in numbers]}),
        (4, 4, 3),
        "uint8",
        linked,
        True,
        None,
        {"problem": "galaxy", "parameters": asked.model_dump()},
        ("id", "status", "reason"),
        lambda mine, labels, split: {
            "objects": mine.num_rows,
            "stored": stored_rows(mine).num_rows,
            "rejected": {},
            "split": part_counts(split, mine["id"]),
        },
    )


@pytest.mark.parametrize("linked", [True, False], ids=["groups by position", "groups by name"])
def test_a_dataset_grown_with_another_seed_places_late_groups_by_its_first(workspace: Workspace, linked: bool) -> None:
    first = publish_build.fn(workspace, partial(staged_harvest, workspace, range(300), linked, seed=3), InProcess(), 7)
    assert (first["stored"], first["requests"], first["version"]) == (300, 7, 1)
    assert first["split"] == {"train": 240, "validation": 30, "test": 30}
    assert Dataset.open(workspace, "tiny").manifest["split_seed"] == 3
    drawn = Dataset.open(workspace, "tiny").split()
    # As if published before the manifest recorded the seed.
    path = Dataset.open(workspace, "tiny").path / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in manifest.items() if name != "split_seed"}))
    grown = partial(staged_harvest, workspace, range(300, 360), linked, seed=9)
    second = publish_build.fn(workspace, grown, InProcess(), 0)
    dataset = Dataset.open(workspace, "tiny")
    split = dataset.split()
    assert split is not None
    assert split.slice(0, 300).equals(drawn)
    late = split.slice(300).to_pydict()
    assert late["part"] == [part_by_hash(group, 3) for group in late["group"]]
    assert late["part"] != [part_by_hash(group, 9) for group in late["group"]]
    assert dataset.manifest["split_seed"] == 3
    assert dataset.manifest["schemes"]["shapes"]["counts"] == {"E": 180, "S": 180}
    assert list(dataset.manifest["builds"]) == ["digest-3", "digest-9"]
    assert sum(second["split"].values()) == 60
    # An append begins a new shard.
    assert dataset.samples()["row"].to_pylist() == [*range(300), *range(pixels.SHARD_ROWS, pixels.SHARD_ROWS + 60)]
    assert not (workspace.datasets / "tiny" / "staging" / "plan").exists()
    assert summary_of(dataset, "digest-3")["version"] == 2
    assert finished_summary(workspace, grown().plan)["requests"] == 0


def test_the_newest_build_is_the_last_in_the_manifest_also_when_an_earlier_one_runs_again(workspace: Workspace) -> None:
    for numbers, seed in ((range(300), 3), (range(300, 310), 9), (range(310, 330), 3)):
        publish_build.fn(workspace, partial(staged_harvest, workspace, numbers, False, seed=seed), InProcess(), 0)
    dataset = Dataset.open(workspace, "tiny")
    assert dataset.version == 3
    builds = dataset.manifest["builds"]
    assert [(name, build["stored"]) for name, build in builds.items()] == [("digest-9", 10), ("digest-3", 20)]


def small_harvest(tmp_path: Path, least: float = 0.0, account: dict[str, Any] | None = None) -> Harvest:
    plan: Plan[Any] = small_plan(tmp_path, SmallRequest(), None)
    ids, empty = pa.array(["a", "b", "c", "d"]), LEDGER.empty_table()
    counts = account or {}
    return Harvest(
        plan, ids, empty, None, (4, 4, 3), "uint8", False, False, None, {}, ("id",), lambda *_: counts, 1.0, least
    )


def rejected_ledger(*reasons: str | None) -> pa.Table:
    rows = [
        dict.fromkeys(LEDGER.names)
        | {"id": name, "status": "rejected" if reason else "stored", "reason": reason, "parameters": f"of {name}"}
        for name, reason in zip("abcdefgh", reasons, strict=False)
    ]
    return pa.Table.from_pylist(rows, LEDGER)


def test_too_few_rows_are_refused_with_the_reasons_and_the_first_row(tmp_path: Path) -> None:
    # "e" is of another request and does not count.
    table = rejected_ledger(None, "blank", "timeout", "blank", None)
    require_enough(table, small_harvest(tmp_path))
    require_enough(table, small_harvest(tmp_path, least=0.25))
    message = (
        r"1 of 4 samples are left, at least 2 are needed; rejected: blank 2, timeout 1; the first: b \(blank\) of b"
    )
    with pytest.raises(StoreError, match=message):
        require_enough(table, small_harvest(tmp_path, least=0.5))
    with pytest.raises(StoreError, match="0 of 4 samples are left, at least 1 are needed"):
        require_enough(rejected_ledger("x", "x", "x", "x", None), small_harvest(tmp_path))


def test_of_the_first_rejected_row_the_error_is_told_and_not_all_parameters(tmp_path: Path) -> None:
    parameters = json.dumps({"file": "x.avro", "error": "it has no cutoutTemplate", "magpsf": 17.5})
    table = rejected_ledger("no_stamp", "x", "x", "x")
    table = table.set_column(table.column_names.index("parameters"), "parameters", pa.array([parameters] * 4))
    with pytest.raises(StoreError, match=r"the first: a \(no_stamp\) x\.avro: it has no cutoutTemplate$"):
        require_enough(table, small_harvest(tmp_path))


@pytest.mark.parametrize("key", ["objects", "asked"])
def test_an_account_must_balance(tmp_path: Path, key: str) -> None:
    balanced = {key: 4, "stored": 1, "rejected": {"blank": 2, "timeout": 1}}
    table = rejected_ledger(None, "blank", "timeout", "blank")
    assert balanced_account(small_harvest(tmp_path, account=balanced), table, None, None) is balanced
    for wrong in ({"stored": 2}, {"rejected": {"blank": 2}}, {key: 5}):
        with pytest.raises(StoreError, match="no balance"):
            balanced_account(small_harvest(tmp_path, account=balanced | wrong), table, None, None)


def test_the_account_sees_its_columns_of_the_requests_rows_only(tmp_path: Path) -> None:
    seen: list[pa.Table] = []

    def account(mine: pa.Table, labels: pa.Table | None, split: pa.Table | None) -> dict[str, Any]:
        seen.append(mine)
        return {"asked": mine.num_rows, "stored": mine.num_rows, "rejected": {}}

    harvest = small_harvest(tmp_path)
    object.__setattr__(harvest, "account", account)
    assert balanced_account(harvest, rejected_ledger(None, None, None, None, None), None, None)["asked"] == 4
    assert seen[0].to_pydict() == {"id": ["a", "b", "c", "d"]}


def test_samples_are_counted_by_part_and_class() -> None:
    split = pa.table({"id": ["a", "b", "c"], "part": ["train", "test", "train"]})
    assert part_counts(split, pa.array(["a", "b", "x"])) == {"train": 1, "validation": 0, "test": 1}
    assert part_counts(None, pa.array(["a"])) is None
    labels = pa.table({"id": ["a", "b", "c", "d"], "label": ["E", "E", "S", None]})
    assert class_counts(rejected_ledger(None, "blank", None, None), labels, ["S", "E", "R"]) == {"S": 1, "E": 1, "R": 0}


def test_a_ledger_is_unchanged_when_ids_status_and_reasons_are() -> None:
    table = rejected_ledger(None, "blank")
    assert is_unchanged(table.take([1, 0]), table)
    assert is_unchanged(merging.with_columns(table, {"attempts": [2, 3]}), table)
    assert not is_unchanged(rejected_ledger(None, "timeout"), table)
    assert not is_unchanged(rejected_ledger(None, "blank", None), table)


def test_a_dataset_of_another_problem_is_refused(workspace: Workspace) -> None:
    assert published_parent(workspace, "tiny", "realbogus") is None
    publish_build.fn(workspace, partial(staged_harvest, workspace, range(30), False), InProcess(), 0)
    parent = published_parent(workspace, "tiny", "galaxy")
    assert parent is not None
    assert parent.version == 1
    with pytest.raises(StoreError, match="'tiny' is of problem 'galaxy', not realbogus"):
        published_parent(workspace, "tiny", "realbogus")
