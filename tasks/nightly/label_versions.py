"""The label version that a challenger is trained on: the original labels without the rows that must not count.

Rows of nights that are set aside, and rows that a later delivery of the same night replaced, lose their label; what a
relabelling has changed stays changed.
"""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.learning.labels.relabelling import publish_relabelling
from tasks.nightly.night_record import NightRecord
from tasks.store.columns import positions_of
from tasks.store.dataset import Dataset
from tasks.store.files import write_table

BY = "nightly-retrain"
SET_ASIDE, REPLACED = "night set aside", "replaced by a later delivery"
REPLACED_FILE = "replaced.parquet"
"""Ids that later deliveries of a night replaced, in the folder of its record."""
_CHANGES = ("id", "label", "reason", "score", "round", "by")


def added_file(revision: int) -> str:
    """Return the name of the table of ids that a revision of a night added, in the folder of its record."""
    return f"added-{revision}.parquet"


def added_ids(record: NightRecord, revision: int) -> list[str]:
    """Return the ids that a revision of a night added to the training set; none if it added none."""
    return _ids_in(record, added_file(revision))


def earlier_ids(record: NightRecord) -> list[str]:
    """Return the ids that the revisions of a night before the present one added to the training set."""
    return [name for revision in range(1, record.revision) for name in added_ids(record, revision)]


def keep_replaced(record: NightRecord, ids: Sequence[str]) -> None:
    """Write the table of the ids of earlier deliveries of a night that must not count any more."""
    write_table(record.folder / REPLACED_FILE, pa.table({"id": pa.array(ids, pa.string())}))


def replaced_rows(records: Sequence[NightRecord]) -> dict[str, str]:
    """Return the ids of all nights that later deliveries replaced, with the reason."""
    return {name: f"{REPLACED}: {record.night}" for record in records for name in _ids_in(record, REPLACED_FILE)}


def present_ids(record: NightRecord) -> list[str]:
    """Return the ids that the revisions of a night added to the training set, without those that were replaced."""
    replaced = {*_ids_in(record, REPLACED_FILE)}
    return [name for name in [*earlier_ids(record), *added_ids(record, record.revision)] if name not in replaced]


def label_version(
    dataset: Dataset, scheme: str, name: str, unlabelled: dict[str, str], relabelling: str | None, at: datetime
) -> str | None:
    """Publish the label version of a training, and return its name; None if the original labels are right.

    Parameters
    ----------
    dataset : Dataset
        The current version.
    scheme, name : str
    unlabelled : dict
        Reason by id of rows that lose their label.
    relabelling : str, optional
        An earlier relabelling, whose changes stay.
    at : datetime
    """
    changes = [_without_labels(unlabelled)]
    if relabelling is not None:
        table = dataset.labels(scheme, relabelling)
        changed = table.filter(pc.is_valid(table["reason"]))
        mine = positions_of(changed["id"], changes[0]["id"]) >= 0
        changes.insert(0, changed.filter(pa.array(~mine)))
    table = pa.concat_tables([part.select([*_CHANGES, *_targets(part)]) for part in changes], promote_options="default")
    if not table.num_rows:
        return None
    publish_relabelling(dataset, scheme, name, table, None, at)
    return name


def set_aside_ids(records: Sequence[NightRecord], accepted: set[str]) -> dict[str, str]:
    """Return the ids of nights whose labels look wrong and that no person has accepted, with the reason."""
    nights = [record for record in records if record.state == "set_aside" and record.night not in accepted]
    return {name: f"{SET_ASIDE}: {record.night}" for record in nights for name in present_ids(record)}


def _ids_in(record: NightRecord, file: str) -> list[str]:
    """Return the ids of a table in the folder of a night's record; none where there is no such table."""
    path = record.folder / file
    return pq.read_table(path)["id"].to_pylist() if path.is_file() else []


def _targets(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name == "weight" or name.startswith("target_")]


def _without_labels(reasons: dict[str, str]) -> pa.Table:
    count = len(reasons)
    return pa.table(
        {
            "id": pa.array(list(reasons), pa.string()),
            "label": pa.nulls(count, pa.string()),
            "reason": pa.array(list(reasons.values()), pa.string()),
            "score": pa.nulls(count, pa.float64()),
            "round": pa.array([0] * count, pa.int32()),
            "by": pa.array([BY] * count, pa.string()),
        }
    )
