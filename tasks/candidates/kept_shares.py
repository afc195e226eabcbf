"""Shares of candidates that are kept at the threshold: by origin, S/N, surroundings and detector, and at equal S/N."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.candidates.metrics import CandidateScores
from tasks.candidates.rows import EvaluationRows
from tasks.learning import measures, operating_points
from tasks.reports.page import Block, Cell, Table, Text

NEAR_RADII = 2.0
"""A bogus within this many effective radii of a galaxy counts as near it."""
SNR_EDGES = (5.0, 6.0, 7.0, 10.0, 20.0, np.inf)
EQUALISED_BINS, LEAST_EQUALISED = 10, 20


def share_blocks(scores: CandidateScores, threshold: float) -> list[Block]:
    """Return the shares kept at the threshold by origin, S/N, surroundings and detector, where those are known."""
    rows, kept = scores.rows, scores.logits >= threshold
    blocks: list[Block] = []
    if (rows.origins != "").any():
        blocks.append(_origin_table(rows, kept))
    snr = rows.column("snr")
    if np.isfinite(snr).any():
        blocks += [snr_table(rows, kept), Text(equalised_text(scores, snr))]
    blocks.append(_surroundings_table(rows, kept))
    detectors = rows.words("detector")
    if len(np.unique(detectors)) > 1:
        blocks.append(_detector_table(rows, kept, detectors))
    return blocks


def _origin_table(rows: EvaluationRows, kept: NDArray[np.bool_]) -> Table:
    lines: list[list[Cell]] = []
    for origin in np.unique(rows.origins):
        chosen = rows.origins == origin
        name = "real" if rows.real[chosen].mean() > 0.5 else "bogus"
        lines.append([str(origin), name, *kept_cells(kept[chosen])])
    return _cut_table("By origin in the simulation's truth", ["origin", "counts as"], lines)


def snr_table(rows: EvaluationRows, kept: NDArray[np.bool_]) -> Table:
    """Return the shares kept by S/N and class; `kept` is (n,). Reals are those of the headline."""
    snr, lines = rows.column("snr"), []
    for low, high in pairwise(SNR_EDGES):
        inside = (snr >= low) & (snr < high)
        span = f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
        for name, chosen in (("real", inside & rows.real & rows.headline), ("bogus", inside & ~rows.real)):
            if chosen.any():
                lines.append([span, name, *kept_cells(kept[chosen])])
    return _cut_table("By S/N", ["S/N", "class"], lines)


def _surroundings_table(rows: EvaluationRows, kept: NDArray[np.bool_]) -> Table:
    near, kinds = rows.column("galaxy_separation_re") <= NEAR_RADII, rows.words("kind")
    lines: list[list[Cell]] = [
        ["bogus within two effective radii of a galaxy", *kept_cells(kept[near & ~rows.real])],
        ["all other bogus", *kept_cells(kept[~near & ~rows.real])],
    ]
    lines += [
        [f"real: {kind.replace('_', ' ')}", *kept_cells(kept[(kinds == kind) & rows.real])]
        for kind in np.unique(kinds[rows.real])
    ]
    return _cut_table("By surroundings and kind", ["what"], lines)


def _detector_table(rows: EvaluationRows, kept: NDArray[np.bool_], detectors: NDArray[np.str_]) -> Table:
    lines: list[list[Cell]] = [
        [
            str(name),
            *kept_cells(kept[(detectors == name) & rows.real & rows.headline]),
            *kept_cells(kept[(detectors == name) & ~rows.real]),
        ]
        for name in np.unique(detectors)
    ]
    columns = ["detector", "real kept", "of", "share", "95 %", "bogus passed", "of", "share", "95 %"]
    return Table("By detector, at the threshold of TPR 0.9", columns, lines)


def _cut_table(caption: str, columns: list[str], lines: list[list[Cell]]) -> Table:
    return Table(f"{caption}, at the threshold of TPR 0.9", [*columns, "kept", "of", "share", "95 %"], lines)


def kept_cells(kept: NDArray[np.bool_]) -> list[Cell]:
    """Return count, number of rows, share and its interval as cells of a table; `kept` is (n,), perhaps empty."""
    if not len(kept):
        return [0, 0, None, None]
    count = int(kept.sum())
    rate = measures.rate(count, len(kept))
    return [count, len(kept), f"{rate.value:.3f}", f"{rate.low:.3f} to {rate.high:.3f}"]


def equalised_text(scores: CandidateScores, snr: NDArray[np.float64]) -> str:
    """Return AUC and FPR where reals and bogus of the headline are drawn with the same distribution of S/N.

    Ten bins of S/N hold the same number of reals each; from each bin the same number of reals and bogus is drawn.

    Parameters
    ----------
    scores : CandidateScores
    snr : (n,)
    """
    headline = scores.headline
    real, logits = scores.rows.real[headline], scores.logits[headline]
    log_snr = np.log(np.maximum(snr[headline], 1e-3))
    edges = np.quantile(log_snr[real], np.linspace(0, 1, EQUALISED_BINS + 1))
    bins = np.clip(np.searchsorted(edges, log_snr) - 1, 0, EQUALISED_BINS - 1)
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(EQUALISED_BINS):
        pools = [np.flatnonzero((bins == number) & (real == is_real)) for is_real in (True, False)]
        size = min(map(len, pools))
        drawn += [rng.permutation(pool)[:size] for pool in pools]
    rows = np.concatenate(drawn)
    if len(rows) < LEAST_EQUALISED:
        return "Too few rows of equal S/N to repeat the numbers at equalised brightness."
    area = measures.auc(logits[rows], real[rows])
    rate = operating_points.fpr_at_tpr(logits[rows], real[rows], 0.9)
    return f"With S/N equalised ({len(rows) // 2} of each): AUC {area:.4f}, FPR at TPR 0.9 {rate:.2%}."
