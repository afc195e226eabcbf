"""Frames that are judged: what is counted, joined and ordered."""

import pyarrow as pa
import pytest

from expectations import frames


def test_class_frame_counts_groups_and_not_rows():
    labels = pa.table({"id": ["a", "b", "c", "d"], "label": ["x", "x", "x", None]})
    split = pa.table(
        {"id": ["a", "b", "c", "d"], "group": ["g", "g", "h", "h"], "part": ["train", "train", "test", "test"]}
    )
    (row,) = frames.class_frame(["x"], labels, split).to_dict("records")
    assert row == {
        "class": "x", "expected": 0, "groups": 2, "train": 1, "validation": 0, "test": 1, "least_part": 0,
    }  # fmt: skip


def test_columns_are_told_by_their_arrow_types_with_their_nans():
    wanted = {"id": "string", "redshift": "double", "row": "int64", "reason": "string", "group": "string"}
    table = pa.table({"id": [587722981736120347], "redshift": [float("nan")], "row": pa.array([None], pa.int64())})
    rows = frames.column_frame(table, wanted, required=["id", "reason"]).to_dict("records")
    assert rows == [
        {"column": "id", "type": "int64", "wanted": "string", "nans": 0},
        {"column": "redshift", "type": "double", "wanted": "double", "nans": 1},
        {"column": "row", "type": "int64", "wanted": "int64", "nans": 0},
        {"column": "reason", "type": "missing", "wanted": "string", "nans": 0},
    ]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_how_text_is_stored_is_not_its_type(kind):
    assert frames.plain_type(kind) == "string"


def test_images_are_ordered_published_first_then_by_id():
    images = pa.table({"id": ["c", "a", "d", "b"], "pixel_sha256": ["1", "2", "3", "4"]})
    assert list(frames.image_frame(images, pa.array(["d", "b"]))["id"]) == ["b", "d", "a", "c"]


def test_shares_are_of_rows_and_sum_to_one():
    ids = [str(number) for number in range(10)]
    split = pa.table({"id": ids, "group": ids, "part": ["train"] * 7 + ["test"] * 3})
    frame = frames.share_frame(split).set_index("part")
    assert dict(frame["rows"]) == {"train": 7, "validation": 0, "test": 3}
    assert frame["share"].sum() == pytest.approx(1)
    assert frame["deviation"]["test"] == pytest.approx(2)
    assert frame["tolerance"]["test"] == 1


def test_a_repeated_id_does_not_multiply_rows():
    ids = ["a", "a", "b"]
    ledger = pa.table({"id": ids, "group": ids, "status": ["stored"] * 3, "pixel_sha256": ids})
    split = pa.table({"id": ids, "group": ids, "part": ["train"] * 3})
    assert len(frames.split_frame(split, ledger)) == 3
