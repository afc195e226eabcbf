"""Nights, scores, unfinished work, caches and pages as items."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.housekeeping.dataset_items import Survey, raw_keys
from tasks.housekeeping.disk import measure
from tasks.housekeeping.mentions import dates_in, versioned, words_of_page, words_of_text
from tasks.housekeeping.model_items import CACHE, run_key
from tasks.housekeeping.references import Item
from tasks.housekeeping.rules import BUSY, NEWEST, READ_ELSEWHERE, Rules
from tasks.runtime.workspace import Workspace
from tasks.server.process_guard import is_locked
from tasks.store.object_store.objects import ObjectFolder

NIGHT, SCORES, UNFINISHED, PAGE = "night", "scores", "unfinished work", "page"
OWN_PAGE = "housekeeping"
"""Stem of the page of a housekeeping, which names everything and keeps nothing."""
SCORING = "scoring"
"""Folder of unfinished scorings, whose locks have the names of nights and not of their states."""
UNFINISHED_FOLDERS = ("training", "studies", SCORING)
PARTS = (
    *(f"{name}/.*.part" for name in ("catalogs", "exports", "nights", "reports", "scores", *UNFINISHED_FOLDERS)),
    "nightly/*/*/.*.part",
)
"""Of what `tasks.store.files` writes beside its target: a process that was killed leaves it."""
CACHE_FOLDERS = ("onnx", "cascade")


@dataclass
class _Night:
    paths: list[Path] = field(default_factory=list)
    objects: list[ObjectFolder] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    datasets: tuple[str, ...] = ()


def night_items(workspace: Workspace, survey: Survey, rules: Rules) -> Iterator[Item]:
    """Yield the nights, each with its array, datasets, visits and scores, by date where its name has one."""
    nights = _gather_nights(workspace, survey)
    measured = {name: measure([*night.objects, *night.paths]) for name, night in nights.items()}
    by_age = sorted(nights, key=lambda name: (measured[name][1], name))
    newest = set(by_age[len(by_age) - min(rules.request.keep_nights, len(by_age)) :])
    for name, night in nights.items():
        size, changed_at = measured[name]
        of_night = {*night.datasets}
        reason = BUSY if of_night & {*survey.busy} else NEWEST if name in newest else rules.young(changed_at)
        kept = READ_ELSEWHERE if of_night & {*survey.read_elsewhere} else reason
        words = frozenset(night.words | {name})
        needs = raw_keys(survey, f"{NIGHT} {name}")
        places: tuple[Path | ObjectFolder, ...] = (*night.objects, *night.paths)
        yield Item(f"{NIGHT} {name}", NIGHT, size, changed_at, places, needs, words, kept, night.datasets)


def _gather_nights(workspace: Workspace, survey: Survey) -> dict[str, _Night]:
    """Return what there is of each night, by its name."""
    nights: dict[str, _Night] = defaultdict(_Night)
    for path in _entries(workspace.root / "nights"):
        _add(nights, path)
    for path in _entries(workspace.root / "visits"):
        if dates_in(path.name):
            _add(nights, path)
    for date, versions in survey.nights.items():
        for version in versions:
            night = nights[date]
            folder = version.path.parents[1]
            night.paths = [*dict.fromkeys([*night.paths, folder])]
            if version.objects is not None:
                night.objects = [*dict.fromkeys([*night.objects, version.objects])]
            night.words |= {date, version.name, versioned(version.name, version.version), version.digest}
            night.datasets = (*dict.fromkeys([*night.datasets, version.name]),)
    for path in _entries(workspace.scores):
        if dates_in(path.name) or _stem(path) in nights:
            _add(nights, path)
    return nights


def score_items(workspace: Workspace, nights: Iterable[Item], rules: Rules) -> Iterator[Item]:
    """Yield the scores that are of no night, the formats of one name together."""
    of_nights = {path for night in nights for path in night.paths}
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in _entries(workspace.scores):
        if path not in of_nights:
            groups[_stem(path)].append(path)
    for stem, paths in groups.items():
        size, changed_at = measure(paths)
        words = frozenset({stem, *(path.name for path in paths)})
        yield Item(
            f"{SCORES} {stem}", SCORES, size, changed_at, tuple(paths), words=words, kept=rules.young(changed_at)
        )


def unfinished_items(workspace: Workspace, rules: Rules) -> Iterator[Item]:
    """Yield the state of unfinished trainings, studies and scorings; each needs the run that it goes on with."""
    is_scoring = any(name.startswith(f"{SCORING}/") for name in busy_locks(workspace))
    for path in (path for name in UNFINISHED_FOLDERS for path in _entries(workspace.root / name)):
        if path.suffix == ".lock":
            continue
        size, changed_at = measure([path])
        is_busy = is_locked(path.with_suffix(".lock")) or (is_scoring and path.parent.name == SCORING)
        kept = BUSY if is_busy else rules.young(changed_at)
        records = [path / "run.json", *path.glob("*/run.json")] if path.is_dir() else []
        needs = frozenset(run_key(run) for record in records if (run := _run_of(record)))
        key = f"{UNFINISHED} {path.relative_to(workspace.root)}"
        yield Item(key, UNFINISHED, size, changed_at, (path,), needs, frozenset({path.name}), kept)


def part_items(workspace: Workspace, rules: Rules) -> Iterator[Item]:
    """Yield the half-written files and folders of processes that were killed."""
    for path in (path for pattern in PARTS for path in sorted(workspace.root.glob(pattern))):
        size, changed_at = measure([path])
        key = f"{UNFINISHED} {path.relative_to(workspace.root)}"
        yield Item(key, UNFINISHED, size, changed_at, (path,), kept=rules.young(changed_at))


def busy_locks(workspace: Workspace) -> list[str]:
    """Return the unfinished work that a process holds the lock of."""
    locks = (path for name in UNFINISHED_FOLDERS for path in _entries(workspace.root / name) if path.suffix == ".lock")
    return [str(path.relative_to(workspace.root).with_suffix("")) for path in locks if is_locked(path)]


def cache_items(workspace: Workspace, rules: Rules) -> Iterator[Item]:
    """Yield what is made again when it is needed: converted models and discard thresholds, by files of one model."""
    for path in (path for name in CACHE_FOLDERS for path in _entries(workspace.root / name)):
        size, changed_at = measure([path])
        key = f"{CACHE} {path.relative_to(workspace.root)}"
        yield Item(key, CACHE, size, changed_at, (path,), words=frozenset({path.name}), kept=rules.young(changed_at))


def page_items(workspace: Workspace, rules: Rules) -> Iterator[tuple[Item, frozenset[str]]]:
    """Yield the pages with the words in each; what belongs to a page (its JSON, its folder) goes with it."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in _entries(workspace.reports):
        if _stem(path) not in (OWN_PAGE, f"{OWN_PAGE}-plan"):
            groups[_stem(path)].append(path)
    for stem, paths in groups.items():
        size, changed_at = measure(paths)
        words = frozenset().union(*(_words_of_files(path) for path in paths))
        own = frozenset({path.name for path in paths})
        yield (
            Item(f"{PAGE} {stem}", PAGE, size, changed_at, tuple(paths), words=own, kept=rules.young(changed_at)),
            words - own,
        )


def with_mentions(pages: Iterable[tuple[Item, frozenset[str]]], items: Iterable[Item]) -> Iterator[Item]:
    """Yield the pages, each needing what it names: `items` and other pages."""
    pages = list(pages)
    named: dict[str, set[str]] = defaultdict(set)
    for item in [*items, *(page for page, _ in pages)]:
        for word in item.words:
            named[word].add(item.key)
    for page, words in pages:
        needs = frozenset().union(*(named[word] for word in words if word in named)) - {page.key}
        yield replace(page, needs=page.needs | needs)


def _words_of_files(path: Path) -> frozenset[str]:
    """Return the words in the pages and JSON of a file or a folder."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    words = [frozenset[str]()]
    for file in files:
        if file.suffix == ".html":
            words.append(words_of_page(file.read_text(encoding="utf-8", errors="replace")))
        elif file.suffix in (".json", ".md", ".txt", ".csv"):
            words.append(words_of_text(file.read_text(encoding="utf-8", errors="replace")))
    return frozenset().union(*words)


def _add(nights: dict[str, _Night], path: Path) -> None:
    dates, stem = dates_in(path.name), _stem(path)
    night = nights[dates[0] if dates else stem]
    night.paths.append(path)
    night.words |= {stem, path.name, *dates}


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder, without what begins with a dot; nothing where there is no folder."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _stem(path: Path) -> str:
    return path.name if path.is_dir() and path.suffix != ".zarr" else path.stem


def _run_of(record: Path) -> str | None:
    """Return the run that a state goes on with."""
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["run_id"])
    except (OSError, ValueError, KeyError):
        return None
