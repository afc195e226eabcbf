"""Baselines of a real/bogus network on the same rows: scores that need no training, and forests on few scalars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.models import baselines
from realbogus.stamps import exchange_fainter
from tasks.learning import measures, operating_points
from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import SplitPart, part_rows
from tasks.store.columns import align_rows, to_float
from tasks.store.dataset import Dataset

BLOCK_ROWS = 256
SNR, PACKET = "S/N alone", "the packet's "
LEAST_OF_A_CLASS = 10
"""A night with fewer samples of a class has no figures of its own."""


def untrained_scores(dataset: Dataset, part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return scores (n,) by name that need no training: S/N, fields of the alert packet, scalars of the stamp.

    The sign of each is chosen by the part's own labels, which favours the baseline: its AUC is at least 0.5.
    """
    table, real = align_rows(dataset.samples(), part.ids), part.labels == 1
    scores = {}
    snr = _numbers(table, ("snr",))[:, 0]
    if np.isfinite(snr).any():
        scores[SNR] = np.nan_to_num(snr, nan=0.0)
    packets = table["parameters"].to_pylist()
    for name in (*baselines.PACKET_SCORES, *baselines.PACKET_NUMBERS):
        column = baselines.read_packet_fields(packets, (name,))
        if column is not None:
            scores[f"{PACKET}{name}"] = np.nan_to_num(column[:, 0], nan=-1.0)
    scalars = _stamp_scalars(dataset, part, baselines.measure_centres)
    names = baselines.CENTRE_SCALARS
    scores |= {f"the stamp's {name}": scalars[:, position] for position, name in enumerate(names)}
    return {name: with_better_sign(values, real) for name, values in scores.items()}


def exchanged_stamp_scores(dataset: Dataset, part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return scores (n,) by name that follow from the stamps alone, of fainter sources with the frames exchanged.

    They are as they are: no sign is chosen by any label.
    """
    measured = {
        baselines.CENTRE_SCALARS: baselines.measure_centres,
        baselines.SHAPE_SCALARS: baselines.measure_shapes,
    }
    return {
        f"the stamp's {name}": column
        for names, measure in measured.items()
        for name, column in zip(names, _stamp_scalars(dataset, part, measure, exchange_fainter).T, strict=True)
    }


def with_better_sign(scores: NDArray[np.float64], real: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the scores (n,), negated if their AUC is below 0.5."""
    return -scores if measures.auc(scores, real) < 1 / 2 else scores


def is_classifier(name: str) -> bool:
    """Return whether an untrained score is the alert packet's own classifier, which was trained elsewhere."""
    return name.removeprefix(PACKET) in baselines.PACKET_SCORES


def large_nights(nights: NDArray[np.str_], real: NDArray[np.bool_]) -> list[str]:
    """Return the nights with at least `LEAST_OF_A_CLASS` samples of both classes; both arguments are (n,)."""
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
    """Return a network's AUC minus that of the best untrained score, over all rows and for each large night.

    The best score is chosen on the same rows (a night's on the night's), so the lead is underestimated.

    Parameters
    ----------
    scores : (n,)
        Of the network.
    untrained : dict of name to (n,)
    real : (n,) bool
    groups, nights : (n,)

    Returns
    -------
    ``name, auc, auc_of_network, lead, lead_low, lead_high``, and ``nights`` with the same by night.
    """

    def lead(rows: NDArray) -> dict[str, Any]:
        """Return the lead on the rows at these positions, (m,)."""
        areas = {name: measures.auc(values[rows], real[rows]) for name, values in untrained.items()}
        best = max(areas, key=lambda name: areas[name])
        difference = operating_points.auc_difference(
            untrained[best][rows], scores[rows], real[rows], np.asarray(groups)[rows]
        )
        return {
            "name": best,
            "auc": areas[best],
            "auc_of_network": measures.auc(scores[rows], real[rows]),
            "lead": difference.value,
            "lead_low": difference.low,
            "lead_high": difference.high,
        }

    by_night = {night: lead(np.flatnonzero(nights == night)) for night in large_nights(nights, real)}
    return {**lead(np.arange(len(real))), "nights": by_night}


def forest_baselines(
    trained_on: Dataset, scheme: str, dataset: Dataset, part: SplitPart
) -> dict[str, NDArray[np.float64]]:
    """Return scores (n,) of a part by random forests, fitted on the training part of `trained_on`."""
    train = part_rows(trained_on, scheme, "train")
    drawn = np.random.default_rng(0).permutation(len(train))[: baselines.FOREST_ROWS]
    sample = train.take(np.sort(drawn))
    fitted_on = scalar_tables(trained_on, sample)
    return {
        name: baselines.predict_by_forest(fitted_on[name], sample.labels == 1, table, 0)
        for name, table in scalar_tables(dataset, part).items()
        if name in fitted_on
    }


def scalar_tables(dataset: Dataset, part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return the scalars that forests are fitted on, (n, columns) by name; tables without any value are absent."""
    table = align_rows(dataset.samples(), part.ids)
    ledger = {name: _numbers(table, columns) for name, columns in baselines.FORESTS.items()}
    tables = {name: columns for name, columns in ledger.items() if np.isfinite(columns).any()}
    packets = table["parameters"].to_pylist()
    for name, fields in baselines.PACKET_FORESTS.items():
        columns = baselines.read_packet_fields(packets, fields)
        if columns is not None:
            tables[name] = columns
    tables["three numbers of the stamp"] = _stamp_scalars(dataset, part, baselines.measure_centres)
    tables["level and noise of the sky"] = _stamp_scalars(dataset, part, baselines.measure_skies)
    tables["frame border alone"] = _stamp_scalars(dataset, part, baselines.measure_borders)
    return tables


def out_of_fold_forests(
    tables: Mapping[str, NDArray[np.float64]], real: NDArray[np.bool_], folds: NDArray[np.int32]
) -> dict[str, NDArray[np.float64]]:
    """Return the forests' scores (n,) of every row, each fitted on the other folds' rows.

    Parameters
    ----------
    tables : dict of name to (n, columns)
    real : (n,) bool
    folds : (n,)
    """
    return {name: out_of_fold_forest(table, real, folds) for name, table in tables.items()}


def candidate_scalars(dataset: Dataset, part: SplitPart) -> NDArray[np.float64]:
    """Return the ten catalogue scalars and three numbers of the stamp of each candidate, (n, 13), NaN if absent."""
    table = align_rows(dataset.samples(), part.ids)
    catalogue = _numbers(table, baselines.SCALARS)
    return np.concatenate([catalogue, _stamp_scalars(dataset, part, baselines.measure_centres)], axis=1)


def out_of_fold_forest(
    table: NDArray[np.float64], real: NDArray[np.bool_], folds: NDArray[np.int32], least_leaf: int = 3
) -> NDArray[np.float64]:
    """Return a forest's probability of being real of every row (n,), each fitted on the other folds' rows.

    Parameters
    ----------
    table : (n, columns)
    real : (n,) bool
    folds : (n,)
    least_leaf : int
        Fewest samples of a leaf.
    """
    scores = np.empty(len(real))
    for fold in np.unique(folds):
        held_out = folds == fold
        scores[held_out] = baselines.predict_by_forest(
            table[~held_out], real[~held_out], table[held_out], 0, least_leaf
        )
    return scores


def _numbers(table: pa.Table, names: Sequence[str]) -> NDArray[np.float64]:
    return np.stack([to_float(table[name]) for name in names], axis=1)


def _stamp_scalars(
    dataset: Dataset,
    part: SplitPart,
    scalars: Callable[[NDArray], NDArray],
    alter: Callable[[NDArray], NDArray] = lambda images: images,
) -> NDArray[np.float64]:
    """Return a function of the stamps (b, s, s, 3) -> (b, k) of a part, altered first, (n, k) in its order."""
    order = np.argsort(part.rows, kind="stable")
    blocks = image_blocks(dataset.pixels, part.rows[order], BLOCK_ROWS)
    sorted_scalars = np.concatenate([scalars(alter(images)) for images in blocks])
    in_order = np.empty_like(sorted_scalars)
    in_order[order] = sorted_scalars
    return in_order
