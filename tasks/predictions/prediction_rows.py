"""The rows of predicted galaxies: class, calibrated probabilities, the model behind them, and what to beware of.

Columns of a scores file, one row an image in the input's order: ``id``, ``class``, ``confidence`` (probability of that
class), ``probability_CLASS`` for each class, ``model``, ``model_sha256``, ``preprocessing_version``,
``outside_training`` (how the image is unlike the training images), ``in_training`` (whether the model was fitted to it
or chosen by it; null where that is unknown), ``not_scored`` (reason; then all columns that a model fills are null), and
`tasks.predictions.prediction_sources.FACTS`. Probabilities are calibrated by the card's temperature, and hold at the
training images' mix of classes.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.galaxies.training_range import RANGES, outside_reasons
from tasks.learning import measures
from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.predictions.prediction_sources import FACTS, ImageBlock, PredictionError
from tasks.store.files import whole_file

NOT_FINITE = "not_finite"
"""Reason of an image for which the model returns a probability that is no finite number."""
MIN_FAILED_BLOCK = 64
"""If a block of at least this many images yields no finite probability, the model is taken to be broken."""


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to classify.

    Attributes
    ----------
    name : str
        Registered name and version.
    card : mapping
        Its ``model.json``.
    run : callable
        (n, size, size, 3) uint8 to probabilities (n, classes).
    training_range : mapping, optional
        See `tasks.galaxies.training_range`; None where it is unknown.
    training_samples : Table, optional
        Columns `training_overlap.COLUMNS` of the samples that the model has seen; None where they are unknown.
    """

    name: str
    card: Mapping[str, Any]
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    training_range: Mapping[str, Any] | None = None
    training_samples: pa.Table | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the classes in the order of the outputs."""
        return list(self.card["classes"])

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return calibrated probabilities (n, classes) of images (n, size, size, 3); NaN where one is not finite."""
        outputs = self.run(images)
        is_finite = np.isfinite(outputs).all(axis=1)
        calibrated = np.full(outputs.shape, np.nan)
        temperature = float(self.card["temperature"] or 1)
        calibrated[is_finite] = measures.apply_temperature(outputs[is_finite], temperature)
        return calibrated

    def schema(self) -> pa.Schema:
        """Return the columns of a scores file."""
        return pa.schema(
            [
                pa.field("id", pa.string()),
                pa.field("class", pa.string()),
                pa.field("confidence", pa.float64()),
                *(pa.field(probability_column(name), pa.float64()) for name in self.classes),
                *(pa.field(name, pa.string()) for name in ("model", "model_sha256", "preprocessing_version")),
                pa.field("outside_training", pa.string()),
                pa.field("in_training", pa.bool_()),
                pa.field("not_scored", pa.string()),
                *FACTS,
            ]
        )


@dataclass(frozen=True)
class PredictedRows:
    """What a scores file holds, counted.

    Attributes
    ----------
    count, in_training : int
    not_scored, classes : dict
        Rows by reason, and by class.
    outside_training : dict
        Rows by the quantity that lies outside; one row may count under several.
    """

    count: int
    in_training: int
    not_scored: dict[str, int]
    classes: dict[str, int]
    outside_training: dict[str, int]


def probability_column(name: str) -> str:
    """Return the column of a class's probability."""
    return f"probability_{name}"


def predict_block(numbered: tuple[int, ImageBlock], predictor: Predictor) -> pa.Table:
    """Return the rows of a block, given with its number; ``in_training`` is null as yet.

    Raises
    ------
    PredictionError
        The model gives no finite probability for a whole block.
    """
    _, block = numbered
    usable = np.flatnonzero([reason is None for reason in block.reasons])
    probabilities = np.full((len(block.ids), len(predictor.classes)), np.nan)
    if len(usable):
        probabilities[usable] = predictor.probabilities(block.images)
    is_scored = np.isfinite(probabilities).all(axis=1)
    if len(usable) >= MIN_FAILED_BLOCK and not is_scored.any():
        raise PredictionError(
            f"the probabilities of {predictor.name} are finite for none of {len(usable)} images, the first is "
            f"{block.ids[usable[0]]}: the model is broken"
        )
    reasons = [
        None if scored else (reason or NOT_FINITE) for reason, scored in zip(block.reasons, is_scored, strict=True)
    ]
    columns: dict[str, Any] = {
        "id": block.ids,
        "class": np.where(is_scored, np.nan_to_num(probabilities).argmax(axis=1), -1),
        "confidence": probabilities.max(axis=1),
        **{probability_column(name): column for name, column in zip(predictor.classes, probabilities.T, strict=True)},
        **{name: _repeat(value, is_scored) for name, value in _model_facts(predictor).items()},
        "outside_training": outside_reasons(block.facts, predictor.training_range),
        "in_training": [None] * len(block.ids),
        "not_scored": reasons,
        **{field.name: block.facts[field.name].combine_chunks() for field in FACTS},
    }
    columns["class"] = _words(columns["class"], predictor.classes)
    schema = predictor.schema()
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def finish_rows(parts: Sequence[Path], predictor: Predictor, target: Path) -> PredictedRows:
    """Write the scores file from part files in order, with ``in_training``, and return the counts."""
    not_scored, classes, outside = Counter[str](), Counter[str](), Counter[str]()
    count = in_training = 0
    schema = predictor.schema()
    with whole_file(target) as unfinished, pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
        for path in parts:
            table = pq.read_table(path, schema=schema)
            if predictor.training_samples is not None:
                seen = seen_before(table.select(COLUMNS), predictor.training_samples)
                position = schema.get_field_index("in_training")
                table = table.set_column(position, schema.field(position), pa.array(seen))
                in_training += int(seen.sum())
            writer.write_table(table)
            count += table.num_rows
            not_scored.update(table["not_scored"].drop_null().to_pylist())
            classes.update(table["class"].drop_null().to_pylist())
            for text in table["outside_training"].drop_null().to_pylist():
                outside.update(reason.split(" ", 1)[0] for reason in text.split("; "))
    return PredictedRows(
        count,
        in_training,
        dict(not_scored.most_common()),
        {name: classes[name] for name in predictor.classes},
        {name: outside[name] for name in RANGES if outside[name]},
    )


def _model_facts(predictor: Predictor) -> dict[str, str]:
    card = predictor.card
    return {
        "model": predictor.name,
        "model_sha256": str(card["sha256"]),
        "preprocessing_version": str(card["preprocessing_version"]),
    }


def _repeat(value: str, where: NDArray[np.bool_]) -> pa.Array:
    """Return a text in the rows `where` (n,), else null."""
    return _words(np.where(where, 0, -1), [value])


def _words(positions: NDArray, words: Sequence[str]) -> pa.Array:
    """Return words by position (n,), null for -1."""
    return pa.array([*words, None], pa.string()).take(pa.array(np.where(positions < 0, len(words), positions)))


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """Return values (n,) as a column; NaN is null."""
    return values if isinstance(values, pa.Array) else pa.array(values, kind, from_pandas=True)
