"""Detections of known objects: their kind, label and group, and the epoch by which they are matched."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from realbogus.records import DETECTION, GALAXY_INJECTION, MJD_EPOCH_JD
from realbogus.sources.known_objects import KNOWN_TRANSIENT, KNOWN_VARIABLE, KnownTable
from tasks.candidates.known_objects import epoch_of, mark_known_objects, open_known
from tasks.candidates.staged_rows import StagedBatch, complete_rows

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
    table = mark_known_objects(batch, KNOWN, DATE + 1).table
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
    table = mark_known_objects(batch_of([10.0], [GALAXY_INJECTION]), KNOWN, DATE).table
    assert (table["kind"].to_pylist(), table["label"].to_pylist()) == ([GALAXY_INJECTION], ["bogus"])


def test_without_a_common_epoch_each_row_s_own_decides() -> None:
    parameters = [json.dumps({"mjd": mjd, "z": 1}) for mjd in (DATE, DATE - 1000)] + ["{}"]
    table = mark_known_objects(batch_of([10.0] * 3, [DETECTION] * 3, parameters), KNOWN).table
    assert table["kind"].to_pylist() == [KNOWN_TRANSIENT, DETECTION, DETECTION]
    assert table["parameters"][0].as_py() == json.dumps({"known_object": "2026abc", "mjd": DATE, "z": 1})
    assert table["parameters"][1].as_py() == parameters[1]
    early = mark_known_objects(batch_of([10.0], [DETECTION], parameters[:1]), KNOWN, DATE - 1000)
    assert early.table["kind"].to_pylist() == [DETECTION], "a common epoch goes before the row's own"


@pytest.mark.parametrize(
    ("parameters", "epoch"),
    [
        ({"jd": MJD_EPOCH_JD + 5.5}, 5.5),
        ({"jd": MJD_EPOCH_JD + 5.5, "mjd": 1.0}, 5.5),
        ({"jd": None, "mjd": 60001.25}, 60001.25),
        ({"jd": "2460000", "midpointMjdTai": 60002.0}, 60002.0),
        ({"midPointTai": 60003.0}, 60003.0),
        ({"mjd": 1.0, "midPointTai": 2.0}, 1.0),
        ({"mjd": 0.0, "midPointTai": 2.0}, 2.0),
        ({"mjd": None}, None),
        ({}, None),
    ],
)
def test_the_epoch_of_a_record_is_its_julian_date_or_its_mjd(
    parameters: dict[str, object], epoch: float | None
) -> None:
    assert epoch_of(json.dumps(parameters)) == epoch


def test_a_table_is_read_again_once_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text("name,ra_deg,dec_deg,type\na,10,0,SN\n")
    first = open_known(path)
    assert open_known(path) is first
    path.write_text("name,ra_deg,dec_deg,type\na,10,0,SN\nb,11,0,SN\n")
    os.utime(path, ns=(1, 1))
    assert len(open_known(path)) == 2
