"""What stands in a workspace, as values that two runs of the same flow have in common."""

import hashlib
import json
import os
import re
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from realbogus.records import REAL
from tasks.decisions.ledger import read_ledger
from tasks.learning.models.saved_models import SavedModelError, checked_card
from tasks.night.score_files import find_night, scored_nights
from tasks.night.simulated import NIGHTS
from tasks.nightly.night_record import NIGHTLY, read_record
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.pixels import open_array
from tasks.store.places import dataset_names, list_files, places_of, raw_place
from tasks.store.verification import verify_version
from tasks.tracking.database import open_client, prepare
from tasks.tracking.model_registry import resolve_model
from tasks.tracking.tracking_store import MLFLOW_VARIABLE

PASSING = ("_at", "seconds", "seconds_beyond_epochs", "_per_second", "seconds_per_visit", "latency_s", "created", "_gb")
"""Ends of the names of columns and entries that tell when, how long, or how much with the logs."""
VOLATILE = {"at", "by", "run_id", "requests", "message", "row_sha256", "labels_sha256"}
"""Entries of a summary and columns that name this run, or of bytes in which a time stands."""
DECIMALS = 3
"""Of measures that are compared: a training that was resumed is the same up to rounding."""


def read_state(workspace: Workspace) -> dict[str, Any]:
    """Return what the workspace holds: datasets, scores, models, runs, decisions, nights, pages, exports, remnants."""
    return {
        "datasets": {name: _dataset(workspace, name) for name in dataset_names(workspace)},
        "scores": _tables(workspace.scores),
        "scored": {night: _scored(workspace, night) for night in scored_nights(workspace)},
        "catalogs": _tables(workspace.catalogs),
        "exports": _tables(workspace.root / "exports") | _cards(workspace.root / "exports"),
        "studies": _studies(workspace),
        "pages": sorted(_PAGE_OF_MODEL.sub("-MODEL", path.name) for path in workspace.reports.glob("[!.]*")),
        "models": _models(workspace),
        "runs": _runs(workspace),
        "decisions": _decisions(workspace),
        "nights": _nights(workspace),
        "drawn": _drawn(workspace),
        "visits": sorted("/".join(path.parts[-4:-1]) for path in (workspace.root / "visits").glob("*/*/*/record.json")),
        "remnants": remnants(workspace),
    }


def damage(workspace: Workspace) -> list[str]:
    """Return what is not whole: problems that a comparison with the digests finds, and models that cannot be loaded."""
    found = []
    for name in dataset_names(workspace):
        found += verify_version(
            Dataset.open(workspace, name), raw_place(workspace), lambda *_: nullcontext(_ignore)
        ).problems
    for name, facts in _models(workspace).items():
        for number in facts["versions"]:
            try:
                checked_card(resolve_model(workspace, f"models:/{name}/{number}", None).folder)
            except (SavedModelError, OSError, ValueError) as error:
                found.append(f"model {name}/{number}: {error}")
    return found


_REMNANT = re.compile(r"datasets/[^/]+/(versions/\.[^/]+|staging/[^/]+)|training/[^/]+/fit(?=/)")


def remnants(workspace: Workspace) -> list[str]:
    """Return what a finished run does not leave: parts of versions, staged batches, states of a fit.

    Elsewhere what a killed process was writing stays, hidden, until the housekeeping.
    """
    names = (name for place in places_of(workspace) for name in list_files(place))
    return sorted({found[0] for name in names if (found := _REMNANT.match(name))})


_PAGE_OF_MODEL = re.compile(r"-[0-9a-f]{8}(?=\.(?:html|verdicts\.csv)$)")
"""The end of a page's name, of the model's digest: a resumed fit equals an undisturbed one to rounding."""


def comparable(summary: Any, workspace: Workspace) -> Any:
    """Return a summary without what names a run, tells a time or says where the workspace is, its numbers rounded."""
    if isinstance(summary, dict):
        return {name: comparable(value, workspace) for name, value in summary.items() if not _is_passing(name)}
    if isinstance(summary, list):
        return [comparable(value, workspace) for value in summary]
    if isinstance(summary, str):
        return _PAGE_OF_MODEL.sub("-MODEL", _without_place(summary, workspace))
    return round(summary, DECIMALS) if isinstance(summary, float) else summary


def _without_place(text: str, workspace: Workspace) -> str:
    return text.replace(str(workspace.root), "WORKSPACE").replace(workspace.name, "WORKSPACE")


def _is_passing(name: str) -> bool:
    return name in VOLATILE or name.endswith(PASSING)


def differences(expected: Any, found: Any, place: str = "") -> list[str]:
    """Return a line for each value of `found` that is another than in `expected`."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = []
        for name in sorted(expected.keys() | found.keys()):
            lines += differences(expected.get(name), found.get(name), f"{place}.{name}".lstrip("."))
        return lines
    return [] if expected == found else [f"{place}: {_short(found)}, undisturbed {_short(expected)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _ignore(_: int) -> None:
    """Advance no bar."""


def _dataset(workspace: Workspace, name: str) -> dict[str, Any]:
    dataset = Dataset.open(workspace, name)
    facts = {key: dataset.manifest.get(key) for key in ("version", "digest", "split_hash", "asked", "stored")}
    labels = {stem: table_digest(table) for stem, table in dataset.every_label_table().items()}
    return facts | {"rejected": dataset.manifest["rejected"], "labels": labels}


def _tables(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): table_digest(pq.read_table(path)) for path in folder.rglob("*.parquet")}


def table_digest(table: pa.Table) -> str:
    """Return the sha256 of a table's columns that tell no time, sorted by id where it has one, its floats rounded."""
    if "id" in table.column_names:
        table = table.sort_by("id")
    found = hashlib.sha256()
    for name in sorted(table.column_names):
        if _is_passing(name):
            continue
        column = table[name].combine_chunks()
        found.update(name.encode())
        if pa.types.is_floating(column.type):
            values = column.to_numpy(zero_copy_only=False).astype(float)
            found.update((np.round(values, DECIMALS) + 0.0).tobytes())
        else:
            found.update(json.dumps(column.to_pylist(), default=str).encode())
    return found.hexdigest()[:16]


def _has_records(workspace: Workspace) -> bool:
    return MLFLOW_VARIABLE in os.environ or (workspace.root / "mlflow.db").exists()


def _models(workspace: Workspace) -> dict[str, dict[str, Any]]:
    if not _has_records(workspace):
        return {}
    prepare(workspace)
    client = open_client(workspace)
    return {
        model.name: {
            "versions": sorted(int(each.version) for each in client.search_model_versions(f"name = '{model.name}'")),
            "aliases": {alias: int(version) for alias, version in sorted(model.aliases.items())},
        }
        for model in client.search_registered_models()
    }


def _runs(workspace: Workspace) -> dict[str, dict[str, int]]:
    """Return the number of finished and of running runs by experiment: no run may be said to run that does not."""
    if not _has_records(workspace):
        return {}
    client = open_client(workspace)
    found = {}
    for experiment in client.search_experiments():
        states = Counter(run.info.status for run in client.search_runs([experiment.experiment_id], max_results=1000))
        found[experiment.name] = {state: states[state] for state in ("FINISHED", "RUNNING")}
    return found


def _decisions(workspace: Workspace) -> dict[str, list[str]]:
    found = {
        name: [
            f"{row.kind} {row.verdict} {row.champion_before} {row.champion_after} {row.night} {row.reasons[0]}"
            for row in read_ledger(workspace, name).decisions
        ]
        for name in _models(workspace)
    }
    return found | {"damage": read_ledger(workspace).damage}


def _scored(workspace: Workspace, night: str) -> dict[str, Any]:
    """Return by which model and threshold a night is decided, what is selected, and whether table and record agree."""
    found = find_night(workspace, night)
    selected = pc.sum(pc.equal(pq.read_table(found.files.scores, columns=["decision"])["decision"], REAL)).as_py()
    threshold = None if found.threshold is None else round(found.threshold, DECIMALS)
    return {"model": found.model, "threshold": threshold, "selected": selected, "problem": found.problem}


def _studies(workspace: Workspace) -> dict[str, Any]:
    rows = sorted((workspace.root / "studies").glob("*/row-*.json"))
    return {path.parent.name + "/" + path.name: comparable(json.loads(path.read_text()), workspace) for path in rows}


def _drawn(workspace: Workspace) -> dict[str, Any]:
    """Return shape, attributes and digests of the simulated nights."""
    found = {}
    for folder in sorted((workspace.root / NIGHTS).glob("[!.]*")):
        array = open_array(folder)
        pixels = hashlib.sha256(np.ascontiguousarray(array[:]).tobytes()).hexdigest()[:16]
        found[folder.name] = [list(array.shape), dict(array.attrs), pixels, *_tables(folder).values()]
    return found


def _cards(folder: Path) -> dict[str, str]:
    """Return the digest of the card beside each exported model, whose own bytes are others each time."""
    cards = sorted(path.with_name("model.json") for path in folder.rglob("model.onnx"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in cards}


def _nights(workspace: Workspace) -> dict[str, str | None]:
    folders = (workspace.root / NIGHTLY).glob("*/*/record.json")
    return {f"{path.parts[-3]}/{path.parts[-2]}": read_record(path.parent).state for path in folders}
