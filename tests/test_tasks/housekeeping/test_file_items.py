"""Nights, scores, unfinished work, caches and pages as items: what belongs together goes together, and needs what."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.housekeeping.dataset_items import Survey
from tasks.housekeeping.file_items import (
    PARTS,
    busy_locks,
    cache_items,
    night_items,
    page_items,
    part_items,
    score_items,
    unfinished_items,
    with_mentions,
)
from tasks.housekeeping.references import Item, kept_items
from tasks.housekeeping.request import HousekeepingRequest
from tasks.housekeeping.rules import BUSY, DAY_S, NEWEST, YOUNG, Rules
from tasks.night.scoring import NightLock
from tasks.reports.page import Link, Text, page
from tasks.runtime.folder_lock import lock_folder
from tasks.runtime.workspace import Workspace

NOW = 1000 * DAY_S
RULES = Rules(HousekeepingRequest(keep_days=30, keep_nights=0), NOW)


def write(workspace: Workspace, name: str, size: int = 10, age_days: float = 100, text: str | None = None) -> Path:
    path = workspace.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0" * size if text is None else text.encode())
    os.utime(path, (NOW - age_days * DAY_S,) * 2)
    return path


def by_key(items: Iterator[Item]) -> dict[str, Item]:
    found = list(items)
    named = {item.key: item for item in found}
    assert len(named) == len(found)
    return named


def names(item: Item, workspace: Workspace) -> set[str]:
    return {str(Path(str(path)).relative_to(workspace.root)) for path in item.paths}


def test_all_that_there_is_of_a_date_is_one_night(workspace: Workspace) -> None:
    sizes = {
        "nights/2026-11-28.zarr/c/0": 1,
        "visits/2026-11-28/v0/000001/record.json": 20,
        "scores/visits-2026-11-28.parquet": 300,
        "scores/candidates-2026-11-28.parquet": 4000,
        "nights/drill.npy": 50_000,
        "scores/drill.parquet": 600_000,
    }
    for name, size in (sizes | {"scores/other.parquet": 7, "visits/draining.lock": 0}).items():
        write(workspace, name, size)
    items = by_key(night_items(workspace, Survey(), RULES))
    assert {key: item.size_bytes for key, item in items.items()} == {"night 2026-11-28": 4321, "night drill": 650_000}
    assert names(items["night 2026-11-28"], workspace) == {
        *("nights/2026-11-28.zarr", "visits/2026-11-28"),
        *("scores/visits-2026-11-28.parquet", "scores/candidates-2026-11-28.parquet"),
    }
    assert {"2026-11-28", "visits-2026-11-28", "2026-11-28.zarr"} <= items["night 2026-11-28"].words
    assert [item.key for item in score_items(workspace, items.values(), RULES)] == ["scores other"]


@pytest.mark.parametrize("keep", [0, 1, 2, 9])
def test_of_the_nights_those_that_were_written_last_are_kept_whatever_their_dates(
    workspace: Workspace, keep: int
) -> None:
    for age, night in enumerate(("2026-01-02", "2026-01-03", "2026-01-01")):
        write(workspace, f"nights/{night}.zarr/c/0", age_days=100 + age)
    rules = Rules(HousekeepingRequest(keep_nights=keep), NOW)
    kept = [key for key, item in by_key(night_items(workspace, Survey(), rules)).items() if item.kept == NEWEST]
    assert set(kept) == {f"night {night}" for night in ("2026-01-02", "2026-01-03", "2026-01-01")[:keep]}


def test_a_night_is_as_young_as_its_newest_file(workspace: Workspace) -> None:
    write(workspace, "nights/2026-01-01.zarr/c/0")
    write(workspace, "scores/2026-01-01.parquet", age_days=29)
    (item,) = night_items(workspace, Survey(), RULES)
    assert (item.kept, RULES.age_days(item.changed_at)) == (YOUNG, 29)


def test_scores_of_one_name_are_one_item_in_whatever_formats(workspace: Workspace) -> None:
    for name, size in (("sky.parquet", 1), ("sky.json", 20), ("sky-2.parquet", 300), (".sky.parquet.1.part", 4000)):
        write(workspace, f"scores/{name}", size)
    items = by_key(score_items(workspace, [], RULES))
    assert {key: item.size_bytes for key, item in items.items()} == {"scores sky": 21, "scores sky-2": 300}
    assert items["scores sky"].words == {"sky", "sky.parquet", "sky.json"}


def test_unfinished_work_needs_the_runs_that_it_goes_on_with(workspace: Workspace) -> None:
    write(workspace, "training/abc/run.json", text=json.dumps({"run_id": "r1"}))
    write(workspace, "training/abc/fold-0/run.json", text=json.dumps({"run_id": "r2"}))
    for name, text in (("torn", "{"), ("other", "{}")):
        write(workspace, f"studies/{name}/run.json", text=text)
    write(workspace, "training/abc.lock")
    needs = {key: item.needs for key, item in by_key(unfinished_items(workspace, RULES)).items()}
    assert needs == {
        "unfinished work training/abc": {"run r1", "run r2"},
        "unfinished work studies/torn": frozenset(),
        "unfinished work studies/other": frozenset(),
    }


def test_work_is_kept_while_a_process_is_at_it_and_its_neighbours_are_not(workspace: Workspace) -> None:
    for name in ("training/abc/state", "training/def/state"):
        write(workspace, name)
    with lock_folder(workspace.root / "training" / "abc"):
        kept = {item.key: item.kept for item in unfinished_items(workspace, RULES)}
        assert kept == {"unfinished work training/abc": BUSY, "unfinished work training/def": None}
        assert busy_locks(workspace) == ["training/abc"]
    assert {item.kept for item in unfinished_items(workspace, RULES)} == {None}
    assert busy_locks(workspace) == []


def test_while_a_night_is_scored_the_part_files_of_every_scoring_are_kept(workspace: Workspace) -> None:
    """The lock has the name of the night, the folder that of what its logits depend on."""
    for name in ("scoring/0123456789abcdef/part-000000.parquet", "training/abc/state"):
        write(workspace, name)
    with NightLock(workspace.root / "scoring", "2026-11-28"):
        kept = {item.key: item.kept for item in unfinished_items(workspace, RULES)}
    assert kept == {"unfinished work scoring/0123456789abcdef": BUSY, "unfinished work training/abc": None}
    assert {item.kept for item in unfinished_items(workspace, RULES)} == {None}


def test_half_written_files_are_items_and_whole_ones_beside_them_are_not(workspace: Workspace) -> None:
    half = [f"{pattern.rpartition('/')[0].replace('*', 'x')}/.a.parquet.7.part" for pattern in PARTS]
    for name in half:
        write(workspace, name)
        write(workspace, f"{name.rpartition('/')[0]}/a.parquet")
    write(workspace, "datasets/sky/.CURRENT.7.part")  # of a builder, who removes it
    items = by_key(part_items(workspace, RULES))
    assert set(items) == {f"unfinished work {name}" for name in half}
    write(workspace, half[0], age_days=1)
    assert {key for key, item in by_key(part_items(workspace, RULES)).items() if item.kept == YOUNG} == {
        f"unfinished work {half[0]}"
    }


def test_each_cached_file_is_an_item_that_its_name_names(workspace: Workspace) -> None:
    for name in ("onnx/a.onnx", "cascade/a-b.json", "onnx/.a.onnx.1.part"):
        write(workspace, name)
    assert {item.key: item.words for item in cache_items(workspace, RULES)} == {
        "cache onnx/a.onnx": {"a.onnx"},
        "cache cascade/a-b.json": {"a-b.json"},
    }


def write_pages(workspace: Workspace) -> None:
    """A page of all pages, one that it names with its JSON and its folder, and that of a housekeeping."""
    write(workspace, "reports/index.html", text=page("All", [Link("a study", "study.html")]))
    write(workspace, "reports/study.html", text=page("A study", [Text("Run r1 of sky, version 3. See index.html.")]))
    write(workspace, "reports/study.json", text='{"night": "2026-11-28"}')
    write(workspace, "reports/study/notes.md", text="models:/realbogus/2")
    write(workspace, "reports/study/picture.png", text="run r9")
    for name in ("housekeeping", "housekeeping-plan"):
        write(workspace, f"reports/{name}.html", text=page("Housekeeping", [Text("Run r7")]))


def test_what_belongs_to_a_page_goes_with_it_and_its_words_are_the_page_s(workspace: Workspace) -> None:
    write_pages(workspace)
    pages = {item.key: (item, words) for item, words in page_items(workspace, RULES)}
    assert set(pages) == {"page index", "page study"}, "the page of a housekeeping names everything"
    study, words = pages["page study"]
    assert names(study, workspace) == {"reports/study.html", "reports/study.json", "reports/study"}
    assert {"r1", "sky@3", "2026-11-28", "realbogus@2", "index.html"} <= words
    assert "r9" not in words, "a picture names nothing"


def test_a_page_keeps_what_it_names_and_pages_that_name_each_other_stay_or_go_as_one(workspace: Workspace) -> None:
    write_pages(workspace)
    runs = [Item(f"run r{number}", "run", 1, 0.0, words=frozenset({f"r{number}"})) for number in (1, 7, 9)]
    pages = list(with_mentions(page_items(workspace, RULES), runs))
    assert {item.key: item.needs for item in pages} == {
        "page index": {"page study"},
        "page study": {"page index", "run r1"},
    }
    assert kept_items([*pages, *runs]) == {}
    os.utime(workspace.reports / "index.html", (NOW, NOW))
    kept = kept_items([*with_mentions(page_items(workspace, RULES), runs), *runs])
    assert set(kept) == {"page index", "page study", "run r1"}


def test_a_page_that_names_itself_does_not_need_itself() -> None:
    own = Item("page study", "page", 1, 0.0, words=frozenset({"study.html"}))
    (found,) = with_mentions([(own, frozenset({"study.html", "absent"}))], [])
    assert found.needs == frozenset()


def test_an_empty_workspace_has_no_such_item(workspace: Workspace) -> None:
    found = [*night_items(workspace, Survey(), RULES), *score_items(workspace, [], RULES)]
    found += [*unfinished_items(workspace, RULES), *part_items(workspace, RULES), *cache_items(workspace, RULES)]
    assert (found, list(page_items(workspace, RULES)), busy_locks(workspace)) == ([], [], [])
