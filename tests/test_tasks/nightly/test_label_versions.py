"""The labels that a challenger is trained on: without nights that are set aside and rows that were replaced."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from tasks.learning.labels.relabelling import publish_relabelling
from tasks.nightly.label_versions import (
    added_file,
    earlier_ids,
    keep_replaced,
    label_version,
    present_ids,
    replaced_rows,
    set_aside_ids,
)
from tasks.nightly.night_record import NightRecord, open_record
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import write_table
from tests.small_candidates import SCHEME, publish_candidates

AT = datetime(2026, 11, 29, 1, tzinfo=UTC)
IDS = [f"c{row:04d}" for row in range(12)]


@pytest.fixture
def dataset(workspace: Workspace) -> Dataset:
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(12)]
    parts = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    return publish_candidates(workspace, "made", labels, [f"cell {row}" for row in range(12)], parts)


def labels_of(workspace: Workspace, name: str | None) -> dict[str, str | None]:
    table = Dataset.open(workspace, "made").labels(SCHEME, name)
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


def record_with(workspace: Workspace, night: str, added: list[str], **summary: Any) -> NightRecord:
    record = open_record(workspace, "made", night).begin("a")
    write_table(record.folder / added_file(record.revision), pa.table({"id": pa.array(added, pa.string())}))
    return record.finish(summary)


def test_without_anything_to_leave_out_the_original_labels_are_right(workspace: Workspace, dataset: Dataset) -> None:
    assert label_version(dataset, SCHEME, "tonight", {}, None, AT) is None
    assert Dataset.open(workspace, "made").version == dataset.version


def test_rows_that_must_not_count_lose_their_label_and_the_originals_stay(
    workspace: Workspace, dataset: Dataset
) -> None:
    before = labels_of(workspace, None)
    assert label_version(dataset, SCHEME, "tonight", {"c0003": "replaced", "c0004": "set aside"}, None, AT) == "tonight"
    found = labels_of(workspace, "tonight")
    assert found == before | {"c0003": None, "c0004": None}
    assert labels_of(workspace, None) == before


def test_what_a_relabelling_changed_stays_changed_but_in_a_night_that_is_set_aside(
    workspace: Workspace, dataset: Dataset
) -> None:
    changes = pa.table(
        {
            "id": ["c0001", "c0002"],
            "label": pa.array(["real", None], pa.string()),
            "reason": ["suspect"] * 2,
            "score": [0.9, 0.8],
            "round": pa.array([1, 1], pa.int32()),
            "by": ["relabel"] * 2,
        }
    )
    relabelled = publish_relabelling(dataset, SCHEME, "first", changes, None, AT)
    label_version(relabelled, SCHEME, "tonight", {"c0001": "set aside"}, "first", AT)
    before = labels_of(workspace, None)
    assert labels_of(workspace, "tonight") == before | {"c0001": None, "c0002": None}


def test_a_night_is_left_out_until_it_is_accepted(workspace: Workspace) -> None:
    records = [
        record_with(workspace, "2026-11-01", IDS[:2], state="done"),
        record_with(workspace, "2026-11-02", IDS[2:4], state="set_aside"),
        record_with(workspace, "2026-11-03", IDS[4:6], state="set_aside"),
    ]
    assert sorted(set_aside_ids(records, set())) == IDS[2:6]
    assert sorted(set_aside_ids(records, {"2026-11-02"})) == IDS[4:6]


def test_a_night_that_is_set_aside_again_is_left_out_with_its_earlier_rows(workspace: Workspace) -> None:
    again = record_with(workspace, "2026-11-01", IDS[:4], state="set_aside").begin("b")
    write_table(again.folder / added_file(2), pa.table({"id": IDS[4:6]}))
    keep_replaced(again, IDS[:2])
    assert present_ids(again) == IDS[2:6]
    assert sorted(set_aside_ids([again.finish({"state": "set_aside"})], set())) == IDS[2:6]


def test_rows_that_a_later_delivery_replaces_lose_their_label_until_they_come_again(workspace: Workspace) -> None:
    record = record_with(workspace, "2026-11-01", IDS[:4], state="done")
    assert earlier_ids(record) == []
    again = record.begin("b")
    assert earlier_ids(again) == IDS[:4]
    keep_replaced(again, IDS[:2])
    assert replaced_rows([again]) == dict.fromkeys(IDS[:2], "replaced by a later delivery: 2026-11-01")
    third = again.finish({"state": "redelivered"}).begin("c")
    keep_replaced(third, [])
    assert replaced_rows([third]) == {}
