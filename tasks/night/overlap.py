"""Candidates of a night that its models were trained on: they are counted, and left out of rates."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.night.models import NightModel
from tasks.night.sources import NightSource, ZarrNight
from tasks.runtime.run_log import run_logger
from tasks.store.columns import positions_of

_SCORED = {"id": "id", "pixel_sha256": "stamp_sha256", "ra_deg": "ra_deg", "dec_deg": "dec_deg"}
"""Column of `training_overlap.COLUMNS` -> column of a scores file."""


def trained_on(model: NightModel, source: NightSource, scores: Path) -> NDArray[np.bool_] | None:
    """Return which candidates of a scores file, (n,), a model was trained on; None where its samples are unknown.

    They have the id, the pixels or the position of a sample of its training or validation part, or were drawn from one
    of these (`tasks.night.simulated`).
    """
    training = model.training_samples
    if training is None:
        return None
    drawn_from = source.origin_ids if isinstance(source, ZarrNight) else None
    if drawn_from is not None:
        return positions_of(drawn_from, training["id"]) >= 0
    seen = [np.zeros(0, bool)]
    with pq.ParquetFile(scores) as file:
        for batch in file.iter_batches(columns=list(_SCORED.values())):
            table = pa.Table.from_batches([batch])
            seen.append(seen_before(pa.table({name: table[_SCORED[name]] for name in COLUMNS}), training))
    return np.concatenate(seen)


def trained_on_any(models: Sequence[NightModel], source: NightSource, scores: Path) -> NDArray[np.bool_] | None:
    """Return which candidates one of some models was trained on, (n,); None where a model's samples are unknown.

    Both are logged.
    """
    seen = [trained_on(model, source, scores) for model in models]
    known = [rows for rows in seen if rows is not None]
    for model, rows in zip(models, seen, strict=True):
        if rows is None:
            run_logger().warning("the samples that %s was trained on are unknown: they may be in rates", model.name)
        elif rows.any():
            run_logger().warning(
                "%d of %d candidates are ones that %s was trained on: they are left out of rates",
                *(rows.sum(), len(rows), model.name),
            )
    return np.logical_or.reduce(known) if len(known) == len(models) else None
