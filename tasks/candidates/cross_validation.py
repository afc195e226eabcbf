"""Figures of a cross-validation of candidates: out-of-fold scores, pooled and by night, beside those of no network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.candidates import baselines
from tasks.learning import measures, operating_points
from tasks.learning.split_parts import SplitPart
from tasks.reports.page import Block, Cell, Table
from tasks.store.columns import align_column, to_text
from tasks.store.dataset import Dataset

LEAST_NIGHTS = 5
"""Fewer are not resampled."""


def pooled_figures(
    dataset: Dataset, part: SplitPart, scores: NDArray[np.float64], folds: NDArray[np.int32]
) -> tuple[dict[str, Any], list[Block]]:
    """Return AUC, operating point and rivals of out-of-fold scores, and the tables of their page.

    Parameters
    ----------
    dataset : Dataset
    part : SplitPart
        The judged candidates; label 1 is real.
    scores : (n,)
        Out of fold, the higher the likelier real.
    folds : (n,)
        By which forests are fitted out of fold too.
    """
    real = part.labels == 1
    samples = dataset.samples(["id", "night"])
    nights = to_text(align_column(samples, "night", part.ids).cast(pa.string()))
    figures: dict[str, Any] = {}
    for names, word in ((np.array(part.groups, str), ""), (nights, "_by_night")):
        if word and len(set(names)) < LEAST_NIGHTS:
            continue
        area = measures.group_bootstrap(
            names, lambda rows: measures.auc(scores[rows], real[rows]), np.random.default_rng(0)
        )
        figures |= {f"auc{word}_low": area.low, f"auc{word}_high": area.high}
    point = operating_points.at_tpr(scores, real, part.groups, 0.9)
    figures |= {"real": point.positives, "bogus": point.negatives, "fpr_at_tpr90": point.fpr.value}
    figures["bogus_passed"] = point.passed
    rivals = {
        "this network, out of fold": scores,
        **baselines.untrained_scores(dataset, part),
        **{
            f"forest, {name}": values
            for name, values in baselines.out_of_fold(baselines.scalar_tables(dataset, part), real, folds).items()
        },
    }
    large = baselines.large_nights(nights, real)
    rows = {name: _row(values, real, [nights == night for night in large]) for name, values in rivals.items()}
    figures["rivals"] = {
        name: row | {"nights": dict(zip(large, row["nights"], strict=True))} for name, row in rows.items()
    }
    return figures, [_table(rows, large, nights, real, str(dataset.manifest["label_kind"]))]


def _row(values: NDArray, real: NDArray[np.bool_], nights: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    threshold = operating_points.threshold_for_tpr(values[real], 0.9)
    return {
        "auc": measures.auc(values, real),
        "bogus_passed": int((values[~real] >= threshold).sum()),
        "nights": [measures.auc(values[night], real[night]) for night in nights],
    }


def _table(
    rows: dict[str, dict[str, Any]], large: Sequence[str], nights: NDArray, real: NDArray[np.bool_], labels: str
) -> Table:
    columns = ["score", "AUC", f"bogus passed of {int((~real).sum())} at TPR 0.9"]
    columns += [
        f"AUC in night {night} ({int(real[nights == night].sum())} real, {int((~real)[nights == night].sum())} bogus)"
        for night in large
    ]
    lines: list[Sequence[Cell]] = [
        [name, f"{row['auc']:.4f}", row["bogus_passed"], *(f"{area:.4f}" for area in row["nights"])]
        for name, row in sorted(rows.items(), key=lambda item: -item[1]["auc"])
    ]
    return Table(
        f"Beside what needs no network, on the same {len(real)} rows; agreement with {labels} labels", columns, lines
    )
