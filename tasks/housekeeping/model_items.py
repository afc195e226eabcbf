"""Registered models and MLflow's runs as items."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tasks.housekeeping.dataset_items import VERSION
from tasks.housekeeping.disk import measure
from tasks.housekeeping.mentions import versioned
from tasks.housekeeping.references import Item
from tasks.housekeeping.rules import ALIAS, NEWEST, Rules
from tasks.tracking.retention import UNFINISHED, RecordedRun, RegisteredVersion

MODEL, RUN, CACHE = "model version", "run", "cache"
_CACHE_DIGITS = 16
"""Digits of a model's sha256 that the name of a file cached for it has at least."""


def model_key(version: RegisteredVersion) -> str:
    """Return the key of a registered version."""
    return f"{MODEL} {versioned(version.name, version.number)}"


def run_key(run_id: str) -> str:
    """Return the key of a run."""
    return f"{RUN} {run_id}"


def model_items(versions: Iterable[RegisteredVersion], caches: Iterable[Item], rules: Rules) -> Iterator[Item]:
    """Yield the registered versions; each needs its run, the dataset version on its card, and what is cached for it."""
    numbers, caches = defaultdict(list), list(caches)
    versions = list(versions)
    for version in versions:
        numbers[version.name].append(version.number)
    for version in versions:
        folder = version.folder
        card = {} if folder is None else _card(folder / "data")
        size, _ = measure([] if folder is None else [folder])
        needs = {run_key(version.run_id)}
        if "dataset" in card:
            needs.add(f"{VERSION} {versioned(card['dataset'], card['dataset_version'])}")
        sha256 = str(card.get("sha256", ""))
        if sha256:
            needs |= {cache.key for cache in caches if sha256[:_CACHE_DIGITS] in cache.key}
        newest = version.number in sorted(numbers[version.name])[-rules.request.keep_versions :]
        kept = ALIAS if version.aliases else NEWEST if newest else rules.young(version.created_at)
        words = {versioned(version.name, version.number), version.model_id or "", sha256} - {""}
        yield Item(
            model_key(version),
            MODEL,
            size,
            version.created_at,
            () if folder is None else (folder,),
            frozenset(needs),
            frozenset(words),
            kept,
        )


def run_items(runs: Iterable[RecordedRun], registered: set[str], rules: Rules) -> Iterator[Item]:
    """Yield the runs; each needs the runs below it, and while it is unfinished the dataset that it is of.

    Parameters
    ----------
    runs : iterable of RecordedRun
    registered : set of str
        Logged models that are a registered version: they do not go with their run.
    rules : Rules
    """
    runs = list(runs)
    below = defaultdict(set)
    for run in runs:
        if run.parent is not None:
            below[run.parent].add(run_key(run.id))
    for run in runs:
        own = [folder for model, folder in run.models.items() if model not in registered]
        size, _ = measure([run.folder, *own])
        of_dataset = {f"{VERSION} {run.dataset}"} if run.status in UNFINISHED and run.dataset else set[str]()
        needs = frozenset(below[run.id] | of_dataset)
        kept = None if run.deleted else rules.young(run.changed_at)
        yield Item(run_key(run.id), RUN, size, run.changed_at, (run.folder,), needs, frozenset({run.id}), kept)


def _card(folder: Path) -> dict[str, Any]:
    """Return a model's card; empty where it has none that can be read."""
    try:
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
