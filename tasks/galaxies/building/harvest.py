"""The harvest of a galaxy build: ledger rows, labels, manifest entries and account of the collected objects."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from galaxy.images.image_files import conversion_names
from tasks.building.harvest import Harvest, class_counts, part_counts
from tasks.galaxies.building.collect import LEDGER_COLUMNS
from tasks.galaxies.building.plan import GalaxyPlan
from tasks.galaxies.building.planned_objects import label_columns
from tasks.runtime.workspace import Workspace
from tasks.store import merging
from tasks.store.columns import drop_ids
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.schema import GALAXY, REJECTED
from tasks.store.versions import stored_rows


def gather_harvest(workspace: Workspace, plan: GalaxyPlan, truth: Path | None) -> Harvest:
    """Return what the plan's batches wrote into staging; `truth` is a table of id and truth, if there is one.

    Raises
    ------
    StoreError
        A batch is missing rows.
    """
    parent = plan.parent(workspace)
    requested = plan.asked.num_rows
    ledger = merging.gather(plan.staging, (number for number, _, _ in plan.spans()), LEDGER_COLUMNS)
    if ledger.num_rows != requested:
        raise StoreError(
            f"{requested} objects were requested and {ledger.num_rows} were collected; run the same build again"
        )
    return Harvest(
        plan=plan,
        ids=plan.rows["id"].combine_chunks(),
        ledger=pa.concat_tables([ledger, merging.without_place(_left_out(plan, parent))]),
        labels=None if plan.scheme is None else plan.rows.select(label_columns(plan.rows)),
        sample_shape=(plan.size_px, plan.size_px, 3),
        dtype="uint8",
        linked=True,
        linked_by_rejected=plan.is_backfill,
        raw_kept=True,
        truth=None if truth is None else _truth(truth),
        manifest=_manifest(plan, parent),
        accounted=("id", "status", "reason", *(["parameters"] if plan.source == "archive" else [])),
        account=lambda published, labels, split: _account(plan, published, labels, split),
        least_stored_fraction=plan.request.min_stored_fraction,
        enough_groups="3 stored objects whose fields do not overlap (a larger limit or catalogue)",
    )


def _left_out(plan: GalaxyPlan, parent: Dataset | None) -> pa.Table:
    """Return ledger rows of the objects that the scheme leaves out or that have no frame.

    A backfill leaves the rows of all objects that the ledger has as they are: it is one scheme of several.
    """
    left_out = plan.rows.filter(pc.is_valid(plan.rows["left_out"]))
    if parent is not None:
        ledger = parent.samples(["id", "status"])
        left_out = drop_ids(left_out, (ledger if plan.is_backfill else stored_rows(ledger))["id"])
    now = datetime.now(UTC)
    rows = [
        {name: row.get(name) for name in LEDGER_COLUMNS.names}
        | {"source": plan.source, "parameters": "{}", "status": REJECTED, "attempts": 0, "finished_at": now}
        | {"reason": row["left_out"]}
        for row in left_out.to_pylist()
    ]
    return pa.Table.from_pylist(rows, LEDGER_COLUMNS)


def _truth(path: Path) -> pa.Table:
    table = pq.read_table(path, columns=["id", "truth"])
    return table.append_column("origin", pa.array(["simulated"] * table.num_rows))


def _manifest(plan: GalaxyPlan, parent: Dataset | None) -> dict[str, Any]:
    """Return the manifest's entries of a galaxy dataset."""
    request, archive = plan.request, plan.source == "archive"
    first = {} if parent is None else {name: parent.manifest[name] for name in ("source", "release", "field")}
    if parent is not None and plan.is_backfill:  # the parameters stay those of the build that it labels
        labelled = {"version": plan.facts["backfill"], "scheme": plan.scheme}
        labelled |= {name: plan.facts[name] for name in ("catalog", "catalog_sha256")}
        first |= {"parameters": parent.manifest["parameters"], "backfill": labelled}
    return {
        "problem": GALAXY,
        "pixels": "simulated" if plan.source == "simulated" else "real",
        "label_kind": "votes",
        "source": plan.source,
        "release": None if archive else plan.facts["release"],
        "field": None if archive else request.field,
        "request_px": None if archive else request.request_px,
        "size_px": plan.size_px,
        "crop_fraction": plan.crop_fraction,
        "parameters": request.model_dump(mode="json")
        | {"catalog": plan.facts["catalog"], "catalog_sha256": plan.facts["catalog_sha256"]},
        **first,
    }


def _account(plan: GalaxyPlan, published: pa.Table, labels: pa.Table | None, split: pa.Table | None) -> dict[str, Any]:
    """Return the account of the request's objects.

    `published` holds the ledger rows (id, status, reason, of an archive also parameters) of the requested objects; one
    that this scheme leaves out counts as rejected, even if an earlier request stored it.
    """
    left_out = dict(zip(plan.rows["id"].to_pylist(), plan.rows["left_out"].to_pylist(), strict=True))
    ids = published["id"].to_pylist()
    reasons = [
        left_out[sample_id] or reason for sample_id, reason in zip(ids, published["reason"].to_pylist(), strict=True)
    ]
    stored = [sample_id for sample_id, reason in zip(ids, reasons, strict=True) if reason is None]
    return {
        "objects": plan.facts["objects"],
        "stored": len(stored),
        "rejected": dict(Counter(reason for reason in reasons if reason).most_common()),
        "split": part_counts(split, pa.array(stored, pa.string())),
        "scheme": plan.scheme,
        "classes": {} if labels is None else class_counts(published, labels, plan.classes),
        "images": conversion_counts(drop_ids(stored_rows(published), pa.array(_names(left_out), pa.string()))),
        "pixels": "simulated" if plan.source == "simulated" else "real",
    }


def conversion_counts(stored: pa.Table) -> dict[str, int]:
    """Count the images of stored ledger rows that were converted on reading, by `conversion_names`.

    An image may count under several names. Without the column ``parameters`` nothing was converted.
    """
    if "parameters" not in stored.column_names:
        return {}
    parameters = stored["parameters"]
    several = parameters.filter(pc.match_substring(parameters, ', "'))  # the file alone is one entry
    counts: Counter[str] = Counter()
    for text in several.to_pylist():
        counts.update(conversion_names(json.loads(text)))
    return dict(counts.most_common())


def _names(left_out: dict[str, str | None]) -> list[str]:
    return [name for name, reason in left_out.items() if reason is not None]
