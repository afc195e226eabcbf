"""Metrics of a cross-validation of candidates: out-of-fold scores over all folds and by night, beside baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.models.baselines import read_packet_fields
from tasks.candidates import baselines
from tasks.learning import measures, operating_points
from tasks.learning.split_parts import SplitPart
from tasks.reports.page import Block, Cell, Table
from tasks.store.columns import align_column, to_text
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import none_for_nan

KNOWN_ARCSEC = 2.0
"""Largest distance of a candidate from a known solar-system object that it is taken for."""


def pooled_figures(
    dataset: Dataset, part: SplitPart, scores: NDArray[np.float64], folds: NDArray[np.int32]
) -> tuple[dict[str, Any], list[Block]]:
    """Return AUC, operating point and baselines of out-of-fold scores, and the tables of their page.

    Parameters
    ----------
    dataset : Dataset
    part : SplitPart
        The n scored candidates; label 1 is real.
    scores : (n,)
        Out of fold; the higher, the likelier real.
    folds : (n,)
        The folds that forests are left out of too.
    """
    real = part.labels == 1
    nights = to_text(align_column(dataset.samples(["id", "night"]), "night", part.ids).cast(pa.string()))
    metrics = auc_intervals(scores, real, np.array(part.groups, str), nights)
    point = operating_points.point_at_tpr(scores, real, part.groups, 0.9)
    metrics |= {"real": point.positives, "bogus": point.negatives, "fpr_at_tpr90": point.fpr.value}
    metrics["bogus_passed"] = point.passed
    forests = baselines.out_of_fold_forests(baselines.scalar_tables(dataset, part), real, folds)
    compared = {
        "this network, out of fold": scores,
        **baselines.untrained_scores(dataset, part),
        **{f"forest, {name}": values for name, values in forests.items()},
    }
    large = baselines.large_nights(nights, real)
    rows = {
        name: score_metrics(values, real, [nights == night for night in large]) for name, values in compared.items()
    }
    metrics["rivals"] = {
        name: row | {"nights": dict(zip(large, row["nights"], strict=True))} for name, row in rows.items()
    }
    tables: list[Block] = [_table(rows, large, nights, real, str(dataset.manifest["label_kind"]))]
    cuts = packet_cuts(dataset, part, nights)
    if cuts:
        metrics["cuts"] = {name: cut_metrics(scores, real, rows) for name, rows in cuts.items()}
        tables.append(_cuts_table(metrics["cuts"]))
    return metrics, tables


def packet_cuts(dataset: Dataset, part: SplitPart, nights: NDArray[np.str_]) -> dict[str, NDArray[np.bool_]]:
    """Return the rows (n,) of each filter, of each filter in a large night, and of known objects against all bogus.

    A cut has at least `baselines.LEAST_OF_A_CLASS` rows of both classes. What a packet does not tell has no cut: the
    filter is its ``fid``; a known solar-system object lies within `KNOWN_ARCSEC` of it (``ssdistnr``).

    Parameters
    ----------
    dataset : Dataset
    part : SplitPart
        Label 1 is real.
    nights : (n,)
    """
    real = part.labels == 1
    packets = align_column(dataset.samples(["id", "parameters"]), "parameters", part.ids).to_pylist()
    fields = read_packet_fields(packets, ("fid", "ssdistnr"))
    if fields is None:
        return {}
    filters, distance = fields[:, 0], fields[:, 1]
    cuts = {f"filter {fid:.0f}": filters == fid for fid in np.unique(filters[np.isfinite(filters)])}
    for night in baselines.large_nights(nights, real):
        cuts |= {
            f"night {night}, {name}": (nights == night) & rows for name, rows in cuts.items() if "night" not in name
        }
    is_known = (distance >= 0) & (distance <= KNOWN_ARCSEC)
    cuts |= {"known solar-system objects": real & is_known | ~real, "other reals": real & ~is_known | ~real}
    return {
        name: rows
        for name, rows in cuts.items()
        if min((real & rows).sum(), (~real & rows).sum()) >= baselines.LEAST_OF_A_CLASS
    }


def cut_metrics(scores: NDArray, real: NDArray[np.bool_], rows: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the counts, AUC and bogus that pass at TPR 0.9 of the rows of a cut; all arguments are (n,)."""
    counts = {"real": int(real[rows].sum()), "bogus": int((~real)[rows].sum())}
    metrics = score_metrics(scores[rows], real[rows], [])
    return counts | {name: metrics[name] for name in ("auc", "bogus_passed")}


def auc_intervals(
    scores: NDArray[np.float64], real: NDArray[np.bool_], groups: NDArray[np.str_], nights: NDArray[np.str_]
) -> dict[str, Any]:
    """Return ``auc_low, auc_high`` with groups resampled, and ``auc_by_night_low, ..._high`` with nights resampled.

    All arguments are (n,). An interval of fewer than `intervals.LEAST_GROUPS_FOR_INTERVAL` groups or nights is None.
    """
    by_group = measures.auc_interval(scores, real, groups, np.random.default_rng(0))
    intervals: dict[str, Any] = {"auc_low": by_group.low, "auc_high": by_group.high}
    if len(set(nights)) > 1:
        by_night = measures.auc_interval(scores, real, nights, np.random.default_rng(0))
        intervals |= {"auc_by_night_low": by_night.low, "auc_by_night_high": by_night.high}
    return dict(none_for_nan(intervals))


def score_metrics(scores: NDArray, real: NDArray[np.bool_], nights: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    """Return a score's AUC, the bogus that pass at TPR 0.9, and the AUC in each night.

    Parameters
    ----------
    scores, real : (n,)
    nights : list of (n,) bool
        The rows of each night.
    """
    threshold = operating_points.threshold_for_tpr(scores[real], 0.9)
    return {
        "auc": measures.auc(scores, real),
        "bogus_passed": int((scores[~real] >= threshold).sum()),
        "nights": [measures.auc(scores[night], real[night]) for night in nights],
    }


def _cuts_table(cuts: Mapping[str, Mapping[str, Any]]) -> Table:
    lines: list[Sequence[Cell]] = [
        [name, cut["real"], cut["bogus"], f"{cut['auc']:.4f}", cut["bogus_passed"]] for name, cut in cuts.items()
    ]
    return Table("Cuts", ["rows", "real", "bogus", "AUC", "bogus passed at TPR 0.9"], lines)


def _table(
    rows: Mapping[str, dict[str, Any]], large: Sequence[str], nights: NDArray, real: NDArray[np.bool_], labels: str
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
    return Table(f"Baselines on the same {len(real)} rows; agreement with {labels} labels", columns, lines)
