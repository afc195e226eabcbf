"""The operations figure: candidates per night before and after a classifier, at equal recovery of true transients.

Detections that were not injected are counted, and objects: detections within 2 arcsec of each other, over all visits.
It measures the classifier alone; a survey applies further cuts before and after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from realbogus.records import INJECTIONS, REAL
from realbogus.sources.object_kinds import KNOWN_TRANSIENT
from tasks.learning import measures
from tasks.learning.intervals import format_ends
from tasks.learning.operating_points import threshold_for_tpr
from tasks.night.score_table import STAGES
from tasks.night.scoring import BY_FULL
from tasks.night.sources import DatasetNight, NightSource
from tasks.store.columns import to_bool, to_float, to_text
from tasks.store.sky_coordinates import chord, unit_vectors

SAME_OBJECT_ARCSEC = 2.0
RECOVERIES = (0.99, 0.95, 0.90)
REPEATS = 200
MAX_PAIRS = 1_000_000
_STEP = 20_000


@dataclass(frozen=True)
class NightScores:
    """The scores of a night as arrays.

    Attributes
    ----------
    logit : (n,) float64
        Of the full model; minus infinity where the first model discarded the candidate, or it was not scored.
    selected : (n,) bool
    positions : (n, 2) float64
        Right ascension and declination in degrees, NaN where there is none.
    """

    logit: NDArray[np.float64]
    selected: NDArray[np.bool_]
    positions: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> "NightScores":
        """Read them from a scores file (`tasks.night.score_table.SCORES`)."""
        table = pq.read_table(path, columns=["logit", "stage", "decision", "ra_deg", "dec_deg"])
        by_full = to_bool(pc.equal(table["stage"], STAGES[BY_FULL]))
        positions = np.stack([to_float(table[name]) for name in ("ra_deg", "dec_deg")], 1)
        logit = np.where(by_full, to_float(table["logit"]), -np.inf)
        return cls(logit, to_bool(pc.equal(table["decision"], REAL)), positions)

    def take(self, rows: NDArray[np.bool_]) -> "NightScores":
        """Return some of the candidates, (n,)."""
        return NightScores(self.logit[rows], self.selected[rows], self.positions[rows])


@dataclass(frozen=True)
class GroundTruth:
    """The candidates of a night that are known to be real.

    Attributes
    ----------
    injected : (n,) bool
        Injected by the survey itself.
    transient : (n,) bool
        True transients that were not injected.
    group : (n,) str
        Sky cell, by which intervals are resampled.
    origin : str
        Where the truth comes from, in words.
    """

    injected: NDArray[np.bool_]
    transient: NDArray[np.bool_]
    group: NDArray[np.str_]
    origin: str

    def take(self, rows: NDArray[np.bool_]) -> "GroundTruth":
        """Return some of the candidates, (n,)."""
        return GroundTruth(self.injected[rows], self.transient[rows], self.group[rows], self.origin)


def ground_truth(source: NightSource) -> GroundTruth | None:
    """Return a dataset's hidden truth, or if it has none its matches with known transients; None for other sources."""
    if not isinstance(source, DatasetNight):
        return None
    ledger, truth = source.ledger, source.dataset.truth()
    kinds = ledger["kind"]
    injected = to_bool(pc.is_in(kinds, value_set=pa.array(INJECTIONS)))
    if truth is None:
        transient, origin = to_bool(pc.equal(kinds, KNOWN_TRANSIENT)), "a table of known transients"
    else:
        real = truth.filter(pc.equal(truth["truth"], REAL))["id"].combine_chunks()
        transient, origin = to_bool(pc.is_in(ledger["id"], value_set=real)) & ~injected, "the simulation's truth"
    return GroundTruth(injected, transient, to_text(ledger["group"]), origin)


def operations(
    scores: NightScores,
    truth: GroundTruth | None,
    against: NightScores | None,
    trained_on: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Return the figure.

    Parameters
    ----------
    scores : NightScores
    truth : GroundTruth or None
        If None, injections are counted and recovery is not reported.
    against : NightScores or None
        The same night scored by a second model.
    trained_on : (n,) bool, optional
        Candidates that a model was trained on, which count in nothing here.

    Returns
    -------
    dict
        ``detections`` and ``objects`` (None without positions), each ``before`` and ``after``; ``recovered``: true
        transients, how many are selected, and their share with its interval; ``equal_recovery``: one row for each of
        `RECOVERIES` and for the share actually recovered.
    """
    if trained_on is not None and trained_on.any():
        scores = scores.take(~trained_on)
        truth = None if truth is None else truth.take(~trained_on)
        against = None if against is None else against.take(~trained_on)
    counted = np.ones(len(scores.logit), bool) if truth is None else ~truth.injected
    after = scores.selected & counted
    figure: dict[str, Any] = {
        "detections": {"before": int(counted.sum()), "after": int(after.sum())},
        "objects": _before_and_after(_object_count(scores, counted), _object_count(scores, after)),
        "recovered": None,
        "equal_recovery": [],
    }
    if truth is None or not truth.transient.any():
        return figure
    interval = measures.group_bootstrap(
        truth.group[truth.transient],
        lambda rows: float(scores.selected[truth.transient][rows].mean()),
        np.random.default_rng(0),
        REPEATS,
    )
    selected, total = int((scores.selected & truth.transient).sum()), int(truth.transient.sum())
    figure["recovered"] = {
        **{"transients": total, "selected": selected, "by": truth.origin},
        **dict(zip(("share", "low", "high"), interval.to_summary("share").values(), strict=True)),
    }
    recoveries = [*RECOVERIES, *([selected / total] if selected else [])]
    figure["equal_recovery"] = [_at_recovery(scores, against, truth, recovery) for recovery in recoveries]
    return figure


def _at_recovery(
    scores: NightScores, against: NightScores | None, truth: GroundTruth, recovery: float
) -> dict[str, Any]:
    """Return the number of candidates of each model at its own threshold for a recovery; None if out of reach."""
    row: dict[str, Any] = {"recovery": recovery}
    for prefix, night in (("", scores), ("against_", against)):
        if night is None:
            continue
        threshold = threshold_for_tpr(night.logit[truth.transient], recovery)
        selected = ~truth.injected & (night.logit >= threshold)
        is_reached = bool(np.isfinite(threshold))
        row[f"{prefix}threshold"] = threshold if is_reached else None
        row[f"{prefix}detections"] = int(selected.sum()) if is_reached else None
        row[f"{prefix}objects"] = _object_count(night, selected) if is_reached else None
    return row


def _before_and_after(before: int | None, after: int | None) -> dict[str, int] | None:
    return None if before is None or after is None else {"before": before, "after": after}


def _object_count(scores: NightScores, rows: NDArray[np.bool_]) -> int | None:
    """Return the number of objects among some candidates; None if a candidate of the night has no position."""
    if not np.isfinite(scores.positions).all():
        return None
    return count_objects(scores.positions[rows])


def count_objects(positions: NDArray[np.float64], max_pairs: int = MAX_PAIRS) -> int:
    """Return the number of objects among detections: friends of friends within 2 arcsec.

    Parameters
    ----------
    positions : (n, 2) float64
        Right ascension and declination, degrees.
    max_pairs : int
        Pairs held in memory. A field visited often has many more, so they are reduced to one link per detection
        whenever there are this many.
    """
    if not len(positions):
        return 0
    points = unit_vectors(*positions.T)
    tree, radius = cKDTree(points), chord(SAME_OBJECT_ARCSEC)
    friend = np.arange(len(points))  # of each detection, another of the same object
    waiting: list[NDArray] = []
    for first in range(0, len(points), _STEP):
        rows = tree.indices[first : first + _STEP]  # neighbours in the tree are neighbours in the sky
        near = cKDTree(points[rows]).sparse_distance_matrix(tree, radius, output_type="ndarray")
        pairs = np.stack([rows[near["i"]], near["j"]])
        waiting.append(pairs[:, pairs[0] < pairs[1]])
        if sum(pairs.shape[1] for pairs in waiting) > max_pairs:
            friend, waiting = _link(friend, waiting), []
    return len(np.unique(_link(friend, waiting)))


def _link(friend: NDArray[np.int64], waiting: Sequence[NDArray]) -> NDArray[np.int64]:
    """Return, for each detection, the first of all detections linked to it, (n,)."""
    count = len(friend)
    starts, ends = np.concatenate([np.stack([np.arange(count), friend]), *waiting], axis=1)
    links = coo_array((np.ones(len(starts), bool), (starts, ends)), shape=(count, count))
    _, object_of = connected_components(links, directed=False)
    _, representative = np.unique(object_of, return_index=True)
    return np.asarray(representative[object_of])


def describe_operations(figure: dict[str, Any]) -> list[str]:
    """Return the figure as sentences without their full stop, for a page."""
    detections, objects, recovered = figure["detections"], figure["objects"], figure["recovered"]
    counted = "detections" if recovered is None else "detections that were not injected"
    sentences = [f"{detections['after']:,} of {detections['before']:,} {counted} are selected"]
    if objects is not None:
        sentences.append(f"{objects['after']:,} of {objects['before']:,} objects are selected")
    if recovered is not None:
        sentences.append(
            f"{recovered['selected']:,} of {recovered['transients']:,} true transients (known from {recovered['by']}) "
            f"are among them: {recovered['share']:.1%} "
            f"({format_ends(recovered['low'], recovered['high'], '.1%')})"
        )
    return sentences
