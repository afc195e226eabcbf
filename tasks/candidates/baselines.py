"""What a network of candidates has to beat on the same rows: scores without any training, forests on few scalars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.models import baselines
from tasks.learning import measures, operating_points
from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import SplitPart
from tasks.store.columns import align_rows, to_float
from tasks.store.dataset import Dataset

BLOCK_ROWS = 256
SNR, PACKET = "S/N alone", "the packet's "
LEAST_OF_A_CLASS = 10
"""A night with fewer of one class has no figure of its own."""


def untrained_scores(dataset: Dataset, part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return scores of the part's candidates that need no training, (n,) by name.

    Of those whose meaning is not plain the sign is chosen by the part's own labels: the network has to beat the better.
    """
    table, real = _ledger(dataset, part), part.labels == 1
    scores = {}
    snr = _numbers(table, ("snr",))[:, 0]
    if np.isfinite(snr).any():
        scores[SNR] = np.nan_to_num(snr, nan=0.0)
    packets = table["parameters"].to_pylist()
    for name in (*baselines.PACKET_SCORES, *baselines.PACKET_NUMBERS):
        column = baselines.packet_columns(packets, (name,))
        if column is not None:
            scores[f"{PACKET}{name}"] = np.nan_to_num(column[:, 0], nan=-1.0)
    stamp = _of_stamps(dataset, part, baselines.centre_scalars)
    scores |= {f"the stamp's {name}": stamp[:, at] for at, name in enumerate(baselines.CENTRE_SCALARS)}
    return {name: -values if measures.auc(values, real) < 1 / 2 else values for name, values in scores.items()}


def is_classifier(name: str) -> bool:
    """Tell whether an untrained score is that of a packet's own classifier, which somebody did train."""
    return name.removeprefix(PACKET) in baselines.PACKET_SCORES


def large_nights(nights: NDArray[np.str_], real: NDArray[np.bool_]) -> list[str]:
    """Return the nights that have enough of both classes for a figure of their own."""
    return [
        str(night)
        for night in np.unique(nights)
        if min(real[nights == night].sum(), (~real)[nights == night].sum()) >= LEAST_OF_A_CLASS
    ]


def lead_of(
    scores: NDArray[np.float64],
    untrained: Mapping[str, NDArray[np.float64]],
    real: NDArray[np.bool_],
    groups: Sequence[str] | NDArray,
    nights: NDArray[np.str_],
) -> dict[str, Any]:
    """Return by how much a network's AUC exceeds that of the best score without training, on all rows and by night.

    The best is chosen on the same rows, of a night on those of the night, so the lead is rather too small.
    """

    def lead(rows: NDArray) -> dict[str, Any]:
        areas = {name: measures.auc(values[rows], real[rows]) for name, values in untrained.items()}
        best = max(areas, key=lambda name: areas[name])
        ahead = operating_points.auc_difference(
            untrained[best][rows], scores[rows], real[rows], np.asarray(groups)[rows]
        )
        return {
            "name": best,
            "auc": areas[best],
            "auc_of_network": measures.auc(scores[rows], real[rows]),
            "lead": ahead.value,
            "lead_low": ahead.low,
            "lead_high": ahead.high,
        }

    by_night = {night: lead(np.flatnonzero(nights == night)) for night in large_nights(nights, real)}
    return {**lead(np.arange(len(real))), "nights": by_night}


def scalar_tables(dataset: Dataset, part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return what forests are fitted on, (n, columns) by name; what the dataset has nothing of is left out."""
    table = _ledger(dataset, part)
    found = {name: _numbers(table, columns) for name, columns in baselines.FORESTS.items()}
    tables = {name: columns for name, columns in found.items() if np.isfinite(columns).any()}
    packets = table["parameters"].to_pylist()
    for name, fields in baselines.PACKET_FORESTS.items():
        columns = baselines.packet_columns(packets, fields)
        if columns is not None:
            tables[name] = columns
    tables["three numbers of the stamp"] = _of_stamps(dataset, part, baselines.centre_scalars)
    tables["frame border alone"] = _of_stamps(dataset, part, baselines.border_scalars)
    return tables


def out_of_fold(
    tables: dict[str, NDArray[np.float64]], real: NDArray[np.bool_], folds: NDArray[np.int32]
) -> dict[str, NDArray[np.float64]]:
    """Return forests' scores of every row by forests of the other folds."""
    scores = {}
    for name, table in tables.items():
        scores[name] = np.empty(len(real))
        for fold in np.unique(folds):
            mine = folds == fold
            scores[name][mine] = baselines.forest_scores(table[~mine], real[~mine], table[mine], 0)
    return scores


def _ledger(dataset: Dataset, part: SplitPart) -> pa.Table:
    return align_rows(dataset.samples(), part.ids)


def _numbers(table: pa.Table, names: Sequence[str]) -> NDArray[np.float64]:
    return np.stack([to_float(table[name]) for name in names], axis=1)


def _of_stamps(dataset: Dataset, part: SplitPart, scalars: Callable[[NDArray], NDArray]) -> NDArray[np.float64]:
    order = np.argsort(part.rows, kind="stable")
    found = np.concatenate([scalars(images) for images in image_blocks(dataset.pixels, part.rows[order], BLOCK_ROWS)])
    in_order = np.empty_like(found)
    in_order[order] = found
    return in_order
