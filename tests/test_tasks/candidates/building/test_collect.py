"""Collecting a batch of ready triplets: the limit, the pixels of what is stored, what is published already."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from realbogus.readings import Reading
from realbogus.records import BatchKey, Records, SourceError, make_records
from tasks.candidates.building.collect import (
    CollectJob,
    ReadyTriplets,
    VisitKey,
    collect_batch,
    read_reading,
    without_ids,
)
from tasks.candidates.building.known_objects import KNOWN_GROUP, KnownObjects
from tasks.candidates.building.staged_rows import STAGED_COLUMNS
from tasks.store.sampling import hash_share
from tasks.store.staging import Staging

SIDE = 11
COUNT = 8
LOST = 2
"""A record whose new plane is lost, so that it cannot be stored."""


def stamps() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(COUNT, SIDE, SIDE, 3)).astype(np.float32)
    values[LOST, ..., 0] = np.nan
    return values


READING = Reading({"ra": "RAJ2000"}, ("vector",), {"time": COUNT})


@dataclass(frozen=True)
class Eight:
    """One batch of eight records, the third without its new plane, all at one place of the sky."""

    def batches(self) -> Sequence[BatchKey]:
        return [BatchKey("batch", ())]

    def ids(self, batch: BatchKey) -> list[str]:
        return [f"r{number}" for number in range(COUNT)]

    def places(self, batch: BatchKey) -> list[str]:
        return [f"row {number}" for number in range(COUNT)]

    def read(self, batch: BatchKey) -> Records:
        nothing = [None] * COUNT
        columns = {
            **{"id": self.ids(batch), "group": ["g"] * COUNT, "label": ["bogus"] * COUNT},
            **{"ra_deg": [10.0] * COUNT, "dec_deg": [0.0] * COUNT, "kind": ["detection"] * COUNT},
            **{"detector": nothing, "night": nothing, "parameters": [{}] * COUNT},
        }
        return make_records(columns, stamps(), reading=READING)


KEY = BatchKey("batch", ())


def test_a_batch_of_records_has_their_rows_and_the_pixels_of_what_can_be_stored() -> None:
    batch = ReadyTriplets(Eight(), 0).collect(KEY)
    assert batch.table.schema.equals(STAGED_COLUMNS)
    assert batch.table["id"].to_pylist() == [f"r{number}" for number in range(COUNT)]
    assert batch.table["batch"].to_pylist() == ["batch"] * COUNT
    stored = [number for number in range(COUNT) if number != LOST]
    assert batch.table["status"].to_pylist().count("stored") == COUNT - 1
    assert batch.table["reason"][LOST].as_py() == "nan_plane"
    np.testing.assert_array_equal(batch.pixels, stamps()[stored])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_a_limit_selects_records_by_the_hash_of_their_ids(share: float) -> None:
    selected = [number for number in range(COUNT) if hash_share(f"r{number}", 5) < share]
    ready = ReadyTriplets(Eight(), 5, share)
    assert [ready.selects(f"r{number}") for number in range(COUNT)] == [number in selected for number in range(COUNT)]
    batch = ready.collect(KEY)
    assert batch.table["id"].to_pylist() == [f"r{number}" for number in selected]
    np.testing.assert_array_equal(batch.pixels, stamps()[[number for number in selected if number != LOST]])


def test_a_record_at_the_bound_is_not_selected() -> None:
    bound = hash_share("r3", 0)
    assert not ReadyTriplets(Eight(), 0, bound).selects("r3")
    assert ReadyTriplets(Eight(), 0, np.nextafter(bound, 1)).selects("r3")


def test_records_at_a_known_object_leave_their_label(tmp_path: Path) -> None:
    table = tmp_path / "known.csv"
    table.write_text("name,ra_deg,dec_deg,type\n2026abc,10,0,SN\n")
    batch = ReadyTriplets(Eight(), 0, known=KnownObjects(table, "position_only")).collect(KEY)
    assert set(batch.table["group"].to_pylist()) == {f"{KNOWN_GROUP}2026abc"}
    assert batch.table["label"].null_count == COUNT


def test_records_without_an_epoch_are_rejected_where_known_objects_have_dates(tmp_path: Path) -> None:
    table = tmp_path / "known.csv"
    table.write_text("name,ra_deg,dec_deg,type,mjd\n2026abc,10,0,SN,60000\n")
    batch = ReadyTriplets(Eight(), 0, known=KnownObjects(table)).collect(KEY)
    assert batch.table["reason"].to_pylist() == ["no_epoch"] * LOST + ["nan_plane"] + ["no_epoch"] * (COUNT - LOST - 1)
    assert len(batch.pixels) == 0
    assert batch.table["pixel_sha256"].null_count == COUNT
    assert "known_without_epoch=position_only" in batch.table["parameters"][0].as_py()
    by_position = ReadyTriplets(Eight(), 0, known=KnownObjects(table, "position_only")).collect(KEY)
    assert set(by_position.table["group"].to_pylist()) == {f"{KNOWN_GROUP}2026abc"}


def test_published_ids_leave_a_batch_with_their_pixels() -> None:
    batch = ReadyTriplets(Eight(), 0).collect(KEY)
    assert without_ids(batch, frozenset()) is batch
    rest = without_ids(batch, frozenset({"r0", "r2", "r5", "elsewhere"}))
    assert rest.table["id"].to_pylist() == ["r1", "r3", "r4", "r6", "r7"]
    np.testing.assert_array_equal(rest.pixels, stamps()[[1, 3, 4, 6, 7]])


def test_a_job_stages_its_batch_under_the_name_of_the_source(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    job = CollectJob(3, KEY, ReadyTriplets(Eight(), 0), "triplets", staging, {"r1": None})
    collect_batch(pickle.loads(pickle.dumps(job)))
    rows = staging.ledger(3)
    assert rows["source"].to_pylist() == ["triplets"] * (COUNT - 1)
    assert "r1" not in rows["id"].to_pylist()
    np.testing.assert_array_equal(staging.pixels(3), stamps()[[0, 3, 4, 5, 6, 7]])
    assert read_reading(staging, 3) == READING


def test_a_published_candidate_with_other_pixels_is_refused(tmp_path: Path) -> None:
    staging, ready = Staging(tmp_path), ReadyTriplets(Eight(), 0)
    rows = ready.collect(KEY).table.to_pylist()
    same = {row["id"]: row["pixel_sha256"] for row in rows[:3]}
    collect_batch(CollectJob(3, KEY, ready, "triplets", staging, same))
    assert staging.ledger(3)["id"].to_pylist() == ["r3", "r4", "r5", "r6", "r7"]
    job = CollectJob(4, KEY, ready, "triplets", staging, {"r4": "0" * 64})
    message = "id r4 comes twice with different pixels, in row 4 and the published version of the dataset: remove one"
    with pytest.raises(SourceError, match=message):
        collect_batch(job)


def test_a_visit_is_named_by_its_numbers() -> None:
    assert VisitKey(3, 7, 12, 4, 7001).name == "s3-n7-c12-v4"
