"""Small ledgers and datasets of the store, without a problem."""

import pyarrow as pa

from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.dataset import Dataset
from tasks.store.schema import LEDGER, SPLIT
from tasks.store.staging import Staging


def small_ledger(ids: list[str], **columns: list[object]) -> pa.Table:
    """A ledger of stored rows without places, some columns given."""
    rows = [dict.fromkeys(LEDGER.names) | {"id": name, "status": "stored", "pixel_sha256": f"p{name}"} for name in ids]
    return merging.with_columns(pa.Table.from_pylist(rows, LEDGER), columns)


def publish_ids(workspace: Workspace, parent: Dataset | None, ids: list[str], **columns: list[object]) -> Dataset:
    """Publish the ids as the next version of the dataset ``tiny``, labelled E under ``scheme``; some columns given."""
    folder = workspace.datasets / "tiny"
    if parent is None:
        array = pixels.create(folder / "pixels.zarr", (4, 4, 3), "uint8")
        pixels.grow(array, 1)
    old = None if parent is None else parent.samples()
    staging = Staging(folder / "staging")
    new = merging.without_place(small_ledger(ids, **columns))
    table = merging.give_rows(merging.merge(old, new, staging), merging.next_free_row(old))
    table = table.drop_columns(merging.PLACE.names)
    labels = {"scheme": pa.table({"id": table["id"], "label": pa.array(["E"] * table.num_rows)})}
    split = pa.table([table["id"], table["id"], pa.array(["train"] * table.num_rows)], schema=SPLIT)
    manifest = {"problem": "galaxy", "schemes": {"scheme": {"classes": ["E"]}}}
    return versions.publish(folder, versions.NewVersion(table, labels, split, manifest), parent)
