"""Records: their reasons, JSON fields, nights and ids."""

import hashlib
import json

import numpy as np
import pytest

from realbogus.records import (
    SCHEMA,
    BatchKey,
    FileSpan,
    Records,
    file_sha256,
    find_places,
    make_records,
    night_of,
    read_records,
    row_id,
    to_json,
)


def columns_of(count, **changes):
    return {
        "id": [f"a{row}" for row in range(count)],
        "group": ["g"] * count,
        "ra_deg": [10.0] * count,
        "dec_deg": [None] * count,
        "label": ["real"] * count,
        "kind": ["detection"] * count,
        "detector": [None] * count,
        "night": ["2459000"] * count,
        "parameters": [{"row": row} for row in range(count)],
    } | changes


def test_records_have_their_columns_reasons_and_finite_fractions():
    pixels = np.zeros((4, 9, 9, 3), np.float32)
    pixels[1, :, :, 2] = np.nan
    pixels[2, :5, :, :] = np.nan
    outside = np.zeros((4, 9, 9), bool)
    outside[2, :5] = True
    records = make_records(columns_of(4), pixels, outside, [None, None, None, "corrupt"])
    assert len(records) == 4
    assert records.pixels is pixels
    assert records.table.schema.equals(SCHEMA)
    rows = records.table.to_pydict()
    assert rows["id"] == ["a0", "a1", "a2", "a3"]
    assert rows["reason"] == [None, "nan_plane", "edge", "corrupt"]
    assert rows["finite_fraction"] == pytest.approx([1, 2 / 3, 4 / 9, 1])
    assert [json.loads(text) for text in rows["parameters"]] == [{"row": row} for row in range(4)]


def test_a_fault_of_reading_takes_precedence_over_the_stamps():
    pixels = np.full((2, 9, 9, 3), np.nan, np.float32)
    records = make_records(columns_of(2), pixels, faults=["corrupt", None])
    assert records.table["reason"].to_pylist() == ["corrupt", "nan_plane"]
    assert make_records(columns_of(2), pixels).table["reason"].to_pylist() == ["nan_plane"] * 2
    with pytest.raises(ValueError, match="zip"):
        make_records(columns_of(2), pixels, faults=["corrupt"])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"b": 1, "a": "ü"}, '{"a":"ü","b":1}'),
        ({"a": np.nan, "b": np.inf, "c": -0.5, "d": None, "e": True}, '{"a":null,"b":null,"c":-0.5,"d":null,"e":true}'),
        ({"id": 2**53}, f'{{"id":{2**53}}}'),
        ({"id": 2**53 + 1}, f'{{"id":"{2**53 + 1}"}}'),
        ({"id": -(2**53) - 1}, f'{{"id":"-{2**53 + 1}"}}'),
        ({}, "{}"),
    ],
)
def test_fields_are_one_line_of_sorted_exact_json(fields, text):
    assert to_json(fields) == text


@pytest.mark.parametrize(
    ("mjd", "longitude_deg", "night"),
    [
        (59000.49, 0.0, "2459000"),  # MJD 59000.5 is noon at Greenwich, where a Julian day begins
        (59000.5, 0.0, "2459001"),
        (59000.74, -90.0, "2459000"),  # a quarter of a turn west noon is a quarter of a day later
        (59000.75, -90.0, "2459001"),
        (59000.25, 90.0, "2459001"),
        (59000.24, 90.0, "2459000"),
    ],
)
def test_nights_go_from_local_noon_to_local_noon(mjd, longitude_deg, night):
    assert night_of(mjd, longitude_deg) == night


def test_ids_of_rows_are_the_files_digest_and_the_row(tmp_path):
    (tmp_path / "a").write_bytes(b"some bytes")
    digest = file_sha256(tmp_path / "a")
    assert digest == hashlib.sha256(b"some bytes").hexdigest()
    assert row_id(digest, 7) == f"{digest[:32]}-0000007"


def test_all_batches_are_read_in_order():
    class Source:
        def batches(self):
            return [BatchKey(name, (FileSpan(name, 0, 1),)) for name in "ab"]

        def ids(self, batch):
            return [batch.name]

        def read(self, batch):
            return make_records(columns_of(1, id=self.ids(batch)), np.zeros((1, 9, 9, 3), np.float32))

    read = list(read_records(Source()))
    assert all(isinstance(records, Records) for records in read)
    assert [records.table["id"].to_pylist() for records in read] == [["a"], ["b"]]


class Files:
    """Two batches of two records, each with the file of its span."""

    def ids(self, batch):
        return ["a", "b"]

    def places(self, batch):
        return [f"{batch.parts[0].file} row {row}" for row in range(2)]


def test_places_are_those_of_the_id_in_each_batch():
    keys = [BatchKey(name, (FileSpan(f"{name}.npy", 0, 2),)) for name in ("x", "y", "z")]
    assert find_places(Files(), keys, "b") == ["x.npy row 1", "y.npy row 1"]
    assert find_places(Files(), [keys[2], keys[2]], "a") == ["z.npy row 0"]
