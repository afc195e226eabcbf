"""Registered models and runs as items: what each needs, by which words it is named, and which versions are newest."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.housekeeping.model_items import CACHE, model_items, model_key, run_items, run_key
from tasks.housekeeping.references import Item, plan_removal
from tasks.housekeeping.request import HousekeepingRequest
from tasks.housekeeping.rules import ALIAS, DAY_S, NEWEST, YOUNG, Rules
from tasks.tracking.retention import RecordedRun, RegisteredVersion

NOW = 1000 * DAY_S
RULES = Rules(HousekeepingRequest(keep_days=30, keep_versions=2), NOW)
SHA256 = hashlib.sha256(b"a model").hexdigest()


def version(number: int, name: str = "realbogus", **changes: Any) -> RegisteredVersion:
    fields = {"aliases": (), "run_id": f"run{number}", "model_id": None, "folder": None, "created_at": 0.0}
    return RegisteredVersion(name, number, **{**fields, **changes})


def run(name: str, folder: Path, **changes: Any) -> RecordedRun:
    fields = {"status": "FINISHED", "deleted": False, "parent": None, "dataset": None, "models": {}, "changed_at": 0.0}
    return RecordedRun(name, folder=folder, **{**fields, **changes})


def write_model(folder: Path, card: str, size: int = 0) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "model.json").write_text(card)
    (folder / "data" / "model.keras").write_bytes(b"0" * size)
    return folder


@given(st.lists(st.sets(st.integers(1, 40), max_size=8), min_size=1, max_size=3), st.integers(1, 5))
def test_of_each_name_the_highest_numbers_are_the_newest_in_whatever_order_they_come(
    numbers: list[set[int]], keep: int
) -> None:
    rules = Rules(HousekeepingRequest(keep_versions=keep), NOW)
    versions = [version(number, f"m{name}") for name, own in enumerate(numbers) for number in own]
    kept = {item.key for item in model_items(versions, [], rules) if item.kept == NEWEST}
    expected = [version(number, f"m{name}") for name, own in enumerate(numbers) for number in sorted(own)[-keep:]]
    assert kept == {model_key(one) for one in expected}


def test_an_alias_counts_before_age_and_the_time_of_registration_is_the_age() -> None:
    limit = NOW - 30 * DAY_S
    versions = [
        version(1, aliases=("champion",)),
        version(2, created_at=limit),
        version(3, created_at=limit + 1),
        version(4, aliases=("challenger",)),
        version(5),
    ]
    assert [item.kept for item in model_items(versions, [], RULES)] == [ALIAS, None, YOUNG, ALIAS, NEWEST]


def test_a_version_needs_its_run_the_dataset_on_its_card_and_what_is_cached_for_it(tmp_path: Path) -> None:
    card = json.dumps({"dataset": "sky", "dataset_version": 3, "sha256": SHA256})
    folder = write_model(tmp_path / "model", card, 100)
    names = [f"onnx/{SHA256}.onnx", f"cascade/{'f' * 16}-{SHA256[:16]}-0.5.json", f"onnx/{SHA256[1:]}.onnx"]
    caches = [Item(f"{CACHE} {name}", CACHE, 1, 0.0) for name in names]
    (item,) = model_items([version(7, folder=folder, model_id="m-1")], caches, RULES)
    assert item.needs == {"run run7", "dataset version sky@3", caches[0].key, caches[1].key}
    assert item.words == {"realbogus@7", "m-1", SHA256}
    assert item.size_bytes == 100 + len(card)
    assert item.paths == (folder,)


@pytest.mark.parametrize("card", ["", "{", "[]", "{}"])
def test_a_version_without_a_card_needs_its_run_alone_and_has_no_empty_word(tmp_path: Path, card: str) -> None:
    caches = [Item(f"{CACHE} onnx/{SHA256}.onnx", CACHE, 1, 0.0)]
    (item,) = model_items([version(1, folder=write_model(tmp_path / "model", card))], caches, RULES)
    assert (item.needs, item.words) == ({"run run1"}, {"realbogus@1"})
    (bare,) = model_items([version(1)], caches, RULES)
    assert (bare.needs, bare.paths, bare.size_bytes) == ({"run run1"}, (), 0)


def test_a_run_goes_before_those_below_it_and_an_unfinished_one_keeps_its_dataset(tmp_path: Path) -> None:
    runs = [
        run("fold", tmp_path, parent="study", status="RUNNING", dataset="sky@3"),
        run("study", tmp_path, status="FINISHED", dataset="sky@2"),
        run("row", tmp_path, parent="study", status="KILLED", dataset="sky@1"),
        run("other", tmp_path, parent="absent"),
    ]
    items = {item.key: item for item in run_items(runs, set(), RULES)}
    assert items[run_key("study")].needs == {run_key("fold"), run_key("row")}
    assert items[run_key("fold")].needs == {"dataset version sky@3"}
    assert items[run_key("row")].needs == {"dataset version sky@1"}
    assert items[run_key("other")].needs == frozenset()
    removed = [item.key for item in plan_removal(list(items.values()), 0, None).removed]
    assert removed.index(run_key("study")) < min(removed.index(run_key(name)) for name in ("fold", "row"))


def test_a_run_gives_back_its_models_but_those_that_are_registered(tmp_path: Path) -> None:
    sizes = {"artifacts": 5, "m-1": 70, "m-2": 900}
    for name, size in sizes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"0" * size)
    made = run("fit", tmp_path / "artifacts", models={name: tmp_path / name for name in ("m-1", "m-2")})
    assert [item.size_bytes for item in run_items([made], set(), RULES)] == [975]
    assert [item.size_bytes for item in run_items([made], {"m-2"}, RULES)] == [75]


def test_a_run_that_is_marked_as_deleted_is_never_young(tmp_path: Path) -> None:
    runs = [run(name, tmp_path, deleted=name == "marked", changed_at=NOW) for name in ("marked", "new")]
    assert [item.kept for item in run_items(runs, set(), RULES)] == [None, YOUNG]
