"""Rows of predictions: calibrated, with their reasons; a broken model is named, not its images."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.predictions.prediction_rows import MIN_FAILED_BLOCK, NOT_FINITE, Predictor, finish_rows, predict_block
from tasks.predictions.prediction_sources import FACTS, ImageBlock, PredictionError
from tests.small_galaxies import SIZE

CARD = {"classes": ["E", "S", "SB"], "temperature": 2.0, "sha256": "5" * 64, "preprocessing_version": 1}


def by_pixel(images: np.ndarray) -> np.ndarray:
    """Probabilities written into the first pixel, in percent; of 255 none is a number."""
    values = images[:, 0, 0, :].astype(np.float32) / 100
    return np.where(values > 2, np.nan, values)


def block_of(*rows: tuple[int, int, int] | str, **facts: Any) -> ImageBlock:
    """A block of images with these probabilities, or of reasons."""
    images = [np.full((SIZE, SIZE, 3), row, np.uint8) for row in rows if not isinstance(row, str)]
    count = len(rows)
    table = pa.table([facts.get(field.name, pa.nulls(count, field.type)) for field in FACTS], schema=FACTS)
    reasons = [row if isinstance(row, str) else None for row in rows]
    pixels = np.array(images, np.uint8).reshape(-1, SIZE, SIZE, 3)
    return ImageBlock([f"g{number}" for number in range(count)], pixels, reasons, table)


def test_probabilities_are_calibrated_and_the_class_is_the_most_probable() -> None:
    table = predict_block((0, block_of((64, 16, 20), "blank", (25, 50, 25))), Predictor("m/1", CARD, by_pixel))
    first, bad, last = table.to_pylist()
    weights = np.sqrt([0.64, 0.16, 0.20])  # a temperature of 2 is a square root
    for name, expected in zip(("E", "S", "SB"), weights / weights.sum(), strict=True):
        assert first[f"probability_{name}"] == pytest.approx(expected, abs=1e-6)
    assert first["confidence"] == first["probability_E"]
    assert (first["class"], last["class"], bad["class"]) == ("E", "S", None)
    assert (first["model"], first["model_sha256"], first["preprocessing_version"]) == ("m/1", "5" * 64, "1")
    assert bad["not_scored"] == "blank"
    of_model = ("confidence", "probability_E", "probability_S", "probability_SB", "model", "model_sha256")
    assert [bad[name] for name in of_model] == [None] * 6
    assert first["not_scored"] is last["not_scored"] is first["outside_training"] is None


def test_an_output_that_is_no_number_is_a_reason_and_of_a_whole_block_a_broken_model() -> None:
    predictor = Predictor("m/1", CARD, by_pixel)
    table = predict_block((0, block_of((64, 16, 20), (255, 255, 255))), predictor)
    assert table["not_scored"].to_pylist() == [None, NOT_FINITE]
    assert table["class"].to_pylist() == ["E", None]
    with pytest.raises(PredictionError, match=f"m/1 are finite for none of {MIN_FAILED_BLOCK} images, the first is g0"):
        predict_block((0, block_of(*[(255, 255, 255)] * MIN_FAILED_BLOCK)), predictor)


def test_the_file_counts_reasons_classes_and_what_lies_outside(tmp_path: Any) -> None:
    samples = pa.table(
        {"id": ["g2"], "pixel_sha256": ["x"], "ra_deg": [10.0], "dec_deg": [0.0]},
        schema=pa.schema([("id", pa.string()), ("pixel_sha256", pa.string()), ("ra_deg", pa.float64())]).append(
            pa.field("dec_deg", pa.float64())
        ),
    )
    predictor = Predictor("m/1", CARD, by_pixel, {"redshift": [0.02, 0.2], "r_mag": [14.0, None]}, samples)
    block = block_of(
        *((64, 16, 20), "blank", (10, 80, 10), (10, 80, 10)),
        redshift=pa.array([0.3, None, 0.1, 0.01]),
        r_mag=pa.array([13.0, None, 15.0, 15.0]),
        ra_deg=pa.array([10.0, 50.0, 50.0, 10.0 + 5 / 3600]),
        dec_deg=pa.array([1 / 3600, 0.0, 0.0, 0.0]),
    )
    for number in range(2):
        pq.write_table(predict_block((number, block), predictor), tmp_path / f"{number}.parquet")
    rows = finish_rows([tmp_path / "0.parquet", tmp_path / "1.parquet"], predictor, tmp_path / "scores.parquet")
    assert (rows.count, rows.in_training, rows.not_scored) == (8, 4, {"blank": 2})
    assert rows.classes == {"E": 2, "S": 4, "SB": 0}
    assert rows.outside_training == {"redshift": 4, "r_mag": 2}
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.schema.equals(predictor.schema())
    assert table["in_training"].to_pylist() == [True, False, True, False] * 2, "by position, none, by id, 5 arcsec off"
