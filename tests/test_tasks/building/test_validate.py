"""The validation stage: which rows it rejects, what it stops, and the page it leaves."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from expectations.results import ValidationFailed, require
from tasks.building import validate

COUNT = 90


def faultless(count=COUNT):
    """Return ledger, labels and split of a dataset in which nothing is wrong."""
    ids = [f"{number:03d}" for number in range(count)]
    parts = ["train"] * (count * 8 // 10) + ["validation", "test"] * (count // 10)
    ledger = pa.table(
        {
            "id": ids,
            "row": pa.array(range(count), pa.int64()),
            "group": ids,
            "ra_deg": np.linspace(0, 359, count),
            "dec_deg": np.linspace(-80, 80, count),
            "source": ["archive"] * count,
            "parameters": ["{}"] * count,
            "status": ["stored"] * count,
            "reason": pa.nulls(count, pa.string()),
            "attempts": pa.array([1] * count, pa.int32()),
            "raw_sha256": [f"{number:064x}" for number in range(count)],
            "pixel_sha256": [f"{number:064x}" for number in range(count)],
            "finished_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * count, pa.timestamp("us", tz="UTC")),
            "blank_fraction": np.zeros(count),
            "mean": np.full(count, 30.0),
            "std": np.full(count, 9.0),
        }
    )
    labels = pa.table({"id": ids, "label": ["round", "spiral", "spiral"] * (count // 3)})
    return ledger, labels, pa.table({"id": ids, "group": ids, "part": parts})


def with_value(table, column, position, value):
    values = table[column].to_pylist()
    values[position] = value
    return table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type))


def validate_all(ledger, labels, split):
    classes = {"shapes": ["round", "spiral"]}
    return validate.validate_version(ledger, {"shapes": labels}, classes, split, array_rows=COUNT)


def test_a_faultless_version_may_be_published():
    results = validate_all(*faultless())
    require(results)
    assert all(outcome["success"] for result in results for outcome in result.results)


def test_the_first_id_of_equal_pixels_stays_whatever_the_order_of_rows():
    ledger, _, _ = faultless()
    ledger = with_value(ledger, "pixel_sha256", 40, ledger["pixel_sha256"][7].as_py())
    backwards = ledger.take(list(range(COUNT))[::-1])
    for table in (ledger, backwards):
        assert validate.validate_images(table).row_failures == {"040": "duplicate_pixels"}


def test_a_published_row_stays_and_its_earlier_newcomer_goes():
    ledger, _, _ = faultless()
    ledger = with_value(ledger, "pixel_sha256", 40, ledger["pixel_sha256"][7].as_py())
    assert validate.validate_images(ledger, published=pa.array(["040"])).row_failures == {"007": "duplicate_pixels"}


def test_published_rows_are_never_rejected():
    ledger, _, _ = faultless()
    ledger = with_value(with_value(ledger, "blank_fraction", 3, 1.0), "blank_fraction", 4, 1.0)
    assert validate.validate_images(ledger, published=pa.array(["003"])).row_failures == {"004": "blank"}


def test_a_leak_stops_the_publish_and_names_the_rows():
    ledger, labels, split = faultless()
    torn = split["group"][0].as_py()
    ledger, split = with_value(ledger, "group", COUNT - 1, torn), with_value(split, "group", COUNT - 1, torn)
    with pytest.raises(ValidationFailed, match="split: group_in_two_parts") as failed:
        require(validate_all(ledger, labels, split))
    assert "000, 089" in str(failed.value)


def test_a_dataset_without_a_scheme_has_neither_split_nor_labels():
    ledger, _, _ = faultless()
    results = validate.validate_version(ledger, {}, {}, None, array_rows=COUNT)
    require(results)
    assert [result.suite for result in results] == ["ledger columns", "ledger"]


def test_a_column_of_another_type_stops_the_publish():
    ledger, labels, split = faultless()
    rows = ledger["row"].cast(pa.float64())
    changed = ledger.set_column(ledger.column_names.index("row"), "row", rows)
    with pytest.raises(ValidationFailed, match=r"ledger columns: column_type .* fail: row$"):
        require(validate_all(changed, labels, split))


def test_a_catalogue_is_validated_by_its_own_columns():
    ledger, _, _ = faultless()
    catalogue = ledger.select(["id", "ra_deg", "dec_deg"])
    require(validate.validate_catalogue(catalogue))
    with pytest.raises(ValidationFailed, match=r"dec_range .* 005"):
        require(validate.validate_catalogue(with_value(catalogue, "dec_deg", 5, -91.0)))


def test_the_report_names_every_check_and_the_rows_that_fail(tmp_path):
    ledger, labels, split = faultless()
    results = [
        validate.validate_images(with_value(ledger, "blank_fraction", 5, 0.75)),
        *validate_all(ledger, labels, split),
    ]
    assert results[0].row_failures == {"005": "blank"}
    validate.write_validation(results, tmp_path, "Validation of shapes")
    written = json.loads((tmp_path / "validation.json").read_text())
    assert len(written) == sum(len(result.results) for result in results)
    assert [result["name"] for result in written if not result["success"]] == ["blank"]
    text = (tmp_path / "index.html").read_text()
    assert "group_in_two_parts" in text
    assert "rejects rows" in text
    assert (tmp_path / "data_docs" / "index.html").exists()
