"""Detections of known objects: their kind, label and group, and the epoch by which they are matched."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from realbogus.records import DETECTION, GALAXY_INJECTION
from realbogus.sources.known_objects import KnownTable, NoEpochError
from realbogus.sources.object_kinds import KNOWN_TRANSIENT, KNOWN_VARIABLE
from tasks.candidates.building.known_objects import KnownObjects, mark_known_objects
from tasks.candidates.building.staged_rows import StagedBatch, complete_rows

DATE = 60000.0
KNOWN = KnownTable(
    np.array(["2026abc", "V1"]),
    np.array([KNOWN_TRANSIENT, KNOWN_VARIABLE]),
    np.array([10.0, 20.0]),
    np.array([0.0, 0.0]),
    np.array([DATE, np.nan]),
)


def batch_of(ra_deg: list[float | None], kinds: list[str], parameters: list[str] | None = None) -> StagedBatch:
    count = len(ra_deg)
    values = {
        "id": [f"c{number}" for number in range(count)],
        "ra_deg": ra_deg,
        "dec_deg": [0.0] * count,
        "kind": kinds,
        "label": ["bogus"] * count,
        "group": ["cell"] * count,
        "parameters": ["{}"] * count if parameters is None else parameters,
    }
    pixels = np.zeros((count, 11, 11, 3), np.float32)
    return StagedBatch(complete_rows(pa.table({"id": values["id"]}), values, pixels), pixels)


def test_a_known_detection_takes_the_object_s_kind_and_loses_its_label() -> None:
    batch = batch_of([10.0, 20.0, 30.0, None], [DETECTION] * 4)
    table = mark_known_objects(batch, KNOWN, np.array([DATE + 1])).table
    assert table["kind"].to_pylist() == [KNOWN_TRANSIENT, KNOWN_VARIABLE, DETECTION, DETECTION]
    assert table["label"].to_pylist() == [None, None, "bogus", "bogus"]
    assert table["group"].to_pylist() == ["known-2026abc", "cell", "cell", "cell"]
    assert [json.loads(text).get("known_object") for text in table["parameters"].to_pylist()] == [
        "2026abc",
        "V1",
        None,
        None,
    ]
    assert table.schema.equals(batch.table.schema)


def test_an_injection_at_a_known_object_stays_an_injection() -> None:
    table = mark_known_objects(batch_of([10.0], [GALAXY_INJECTION]), KNOWN, np.array([DATE])).table
    assert (table["kind"].to_pylist(), table["label"].to_pylist()) == ([GALAXY_INJECTION], ["bogus"])


def test_each_row_s_own_epoch_decides() -> None:
    parameters = ['{"z":1}'] * 3
    epochs = np.array([DATE, DATE - 1000, np.nan])
    table = mark_known_objects(batch_of([10.0] * 3, [DETECTION] * 3, parameters), KNOWN, epochs).table
    assert table["kind"].to_pylist() == [KNOWN_TRANSIENT, DETECTION, DETECTION]
    assert table["parameters"][0].as_py() == json.dumps({"known_object": "2026abc", "z": 1})
    assert table["parameters"][1].as_py() == parameters[1]


def test_without_an_epoch_a_detection_is_rejected_or_matches_by_position(tmp_path: Path) -> None:
    batch = batch_of([10.0, 10.0, None, 20.0], [DETECTION, GALAXY_INJECTION, DETECTION, DETECTION])
    nowhen = np.full(4, np.nan)
    refused = mark_known_objects(batch, KNOWN, nowhen, KnownObjects(tmp_path / "known.csv"))
    assert refused.table["reason"].to_pylist() == ["no_epoch", None, None, None]
    assert refused.table["status"].to_pylist() == ["rejected", "stored", "stored", "stored"]
    assert len(refused.pixels) == 3
    fault = json.loads(refused.table["parameters"][0].as_py())["fault"]
    assert "known.csv" in fault
    assert "known_without_epoch=position_only" in fault
    matched = mark_known_objects(batch, KNOWN, nowhen, KnownObjects(tmp_path / "known.csv", "position_only"))
    assert matched.table["kind"].to_pylist() == [KNOWN_TRANSIENT, GALAXY_INJECTION, DETECTION, KNOWN_VARIABLE]
    assert len(matched.pixels) == 4


def test_a_frame_without_an_epoch_is_refused_by_name(tmp_path: Path) -> None:
    known = KnownObjects(tmp_path / "known.csv")
    known.require_epoch(DATE, "a.fits", ["MJD-OBS"])
    replace(known, without_epoch="position_only").require_epoch(None, "a.fits", ["MJD-OBS"])
    message = r"a\.fits has no epoch; JD is odd: it cannot be compared .*position alone; looked for MJD-OBS, DATE-OBS"
    with pytest.raises(NoEpochError, match=message):
        known.require_epoch(None, "a.fits", ["MJD-OBS", "DATE-OBS"], ["JD is odd"])


def test_a_table_is_read_again_once_its_file_changes(tmp_path: Path) -> None:
    known = KnownObjects(tmp_path / "known.csv")
    known.path.write_text("name,ra_deg,dec_deg,type\na,10,0,SN\n")
    first = known.open()
    assert known.open() is first
    assert known.reading().understood["known_objects.ra"] == "ra_deg"
    known.path.write_text("name,ra_deg,dec_deg,type\na,10,0,SN\nb,11,0,SN\n")
    os.utime(known.path, ns=(1, 1))
    assert len(known.open()) == 2
