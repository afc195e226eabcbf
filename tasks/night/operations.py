"""The operations figure: candidates a night before and after a classifier, at equal recovery of true transients.

Counts are of detections that were not injected, and of objects: detections within 2 arcsec of each other over the
visits. It is the classifier's share only; a survey has further cuts before and after it.
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

from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION, REAL
from realbogus.sources.known_objects import KNOWN_TRANSIENT
from tasks.learning import measures
from tasks.learning.operating_points import threshold_for_tpr
from tasks.night.decisions import STAGES
from tasks.night.sources import DatasetNight, NightSource
from tasks.store.columns import to_bool, to_float

SAME_OBJECT_ARCSEC = 2.0
RECOVERIES = (0.99, 0.95, 0.90)
REPEATS = 200
MOST_PAIRS = 1_000_000
_STEP = 20_000


@dataclass(frozen=True)
class NightScores:
    """A night's scores as arrays.

    Attributes
    ----------
    logit : (n,) float64
        Of the full model; minus infinity where the first discarded, or nothing was scored.
    selected : (n,) bool
    places : (n, 2) float64
        Right ascension and declination in degrees, NaN where there is none.
    """

    logit: NDArray[np.float64]
    selected: NDArray[np.bool_]
    places: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> "NightScores":
        """Read them from a scores file."""
        table = pq.read_table(path, columns=["logit", "stage", "decision", "ra_deg", "dec_deg"])
        logit = to_float(table["logit"])
        by_full = to_bool(pc.equal(table["stage"], STAGES[2]))
        places = [to_float(table[name]) for name in ("ra_deg", "dec_deg")]
        return cls(np.where(by_full, logit, -np.inf), to_bool(pc.equal(table["decision"], REAL)), np.stack(places, 1))


@dataclass(frozen=True)
class Known:
    """What is known of a night's candidates beside their stamps, (n,) each.

    Attributes
    ----------
    injected, transient : bool
        Laid in by the survey itself; true transients that were not.
    group : str
        Sky cell, by which intervals are resampled.
    by : str
        Who says what is a true transient.
    """

    injected: NDArray[np.bool_]
    transient: NDArray[np.bool_]
    group: NDArray[np.str_]
    by: str


def known_of(source: NightSource) -> Known | None:
    """Return what a dataset's hidden truth, or else its table of known transients, says; None of another source."""
    if not isinstance(source, DatasetNight):
        return None
    ledger, truth = source.ledger, source.dataset.truth()
    kinds = ledger["kind"]
    injected = to_bool(pc.is_in(kinds, value_set=pa.array([GALAXY_INJECTION, RANDOM_INJECTION])))
    if truth is None:
        transient, by = to_bool(pc.equal(kinds, KNOWN_TRANSIENT)), "a table of known transients"
    else:
        real = truth.filter(pc.equal(truth["truth"], REAL))["id"].combine_chunks()
        transient, by = to_bool(pc.is_in(ledger["id"], value_set=real)) & ~injected, "the simulation's truth"
    return Known(injected, transient, np.asarray(ledger["group"].to_pylist(), str), by)


def operations(judged: NightScores, known: Known | None, against: NightScores | None) -> dict[str, Any]:
    """Return the figure.

    Parameters
    ----------
    judged : NightScores
    known : Known or None
        Without it nothing is left out of the counts, and no recovery is told.
    against : NightScores or None
        The same night by another model.

    Returns
    -------
    dict
        ``detections`` and ``objects`` (None without positions), each ``before`` and ``after``; ``recovered``;
        ``equal_recovery``, one row for each of `RECOVERIES` and for what the threshold really recovers.
    """
    counted = np.ones(len(judged.logit), bool) if known is None else ~known.injected
    after = judged.selected & counted
    figure: dict[str, Any] = {
        "detections": {"before": int(counted.sum()), "after": int(after.sum())},
        "objects": _both(_objects(judged, counted), _objects(judged, after)),
        "recovered": None,
        "equal_recovery": [],
    }
    if known is None or not known.transient.any():
        return figure
    interval = measures.group_bootstrap(
        known.group[known.transient],
        lambda rows: float(judged.selected[known.transient][rows].mean()),
        np.random.default_rng(0),
        REPEATS,
    )
    kept, total = int((judged.selected & known.transient).sum()), int(known.transient.sum())
    figure["recovered"] = {
        **{"transients": total, "selected": kept, "by": known.by},
        **{"share": interval.value, "low": interval.low, "high": interval.high},
    }
    wanted = [*RECOVERIES, *([kept / total] if kept else [])]
    figure["equal_recovery"] = [_at_recovery(judged, against, known, counted, recovery) for recovery in wanted]
    return figure


def _at_recovery(
    judged: NightScores, against: NightScores | None, known: Known, counted: NDArray[np.bool_], recovery: float
) -> dict[str, Any]:
    """Return how many candidates each model leaves at its own threshold for a recovery; None where out of reach."""
    row: dict[str, Any] = {"recovery": recovery}
    for name, night in (("", judged), ("against_", against)):
        if night is None:
            continue
        threshold = threshold_for_tpr(night.logit[known.transient], recovery)
        left = counted & (night.logit >= threshold)
        reached = bool(np.isfinite(threshold))
        row[f"{name}threshold"] = threshold if reached else None
        row[f"{name}detections"] = int(left.sum()) if reached else None
        row[f"{name}objects"] = _objects(night, left) if reached else None
    return row


def _both(before: int | None, after: int | None) -> dict[str, int] | None:
    return None if before is None or after is None else {"before": before, "after": after}


def _objects(judged: NightScores, rows: NDArray[np.bool_]) -> int | None:
    """Return how many objects some candidates are; None where a candidate of the night has no position."""
    if not np.isfinite(judged.places).all():
        return None
    return count_objects(judged.places[rows])


def count_objects(places: NDArray[np.float64], most_pairs: int = MOST_PAIRS) -> int:
    """Return how many objects detections at (n, 2) degrees are, joined where they lie within 2 arcsec.

    Friends of friends. Pairs of a field that is visited often are very many, so each `most_pairs` of them are brought
    down to one link a detection before more are looked for.
    """
    if not len(places):
        return 0
    ra, dec = np.radians(places).T
    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    everywhere, reach = cKDTree(points), 2 * np.sin(np.radians(SAME_OBJECT_ARCSEC / 3600) / 2)
    friend = np.arange(len(points))  # of each detection, one of the same object
    waiting: list[NDArray] = []
    for first in range(0, len(points), _STEP):
        mine = everywhere.indices[first : first + _STEP]  # neighbours in the tree are neighbours in the sky
        near = cKDTree(points[mine]).sparse_distance_matrix(everywhere, reach, output_type="ndarray")
        pairs = np.stack([mine[near["i"]], near["j"]])
        waiting.append(pairs[:, pairs[0] < pairs[1]])
        if sum(pairs.shape[1] for pairs in waiting) > most_pairs:
            friend, waiting = _linked(friend, waiting), []
    return len(np.unique(_linked(friend, waiting)))


def _linked(friend: NDArray[np.int64], waiting: Sequence[NDArray]) -> NDArray[np.int64]:
    """Return, for each detection, the first of all that links join it to."""
    count = len(friend)
    one, other = np.concatenate([np.stack([np.arange(count), friend]), *waiting], axis=1)
    links = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    _, of_object = connected_components(links, directed=False)
    _, representative = np.unique(of_object, return_index=True)
    return np.asarray(representative[of_object])


def sentences(figure: dict[str, Any]) -> list[str]:
    """Return the figure in sentences, for a page."""
    detections, objects, recovered = figure["detections"], figure["objects"], figure["recovered"]
    what = "detections" if recovered is None else "detections that were not injected"
    told = [f"Of {detections['before']:,} {what} {detections['after']:,} are candidates"]
    if objects is not None:
        told.append(f"Of {objects['before']:,} objects {objects['after']:,} are")
    if recovered is not None:
        told.append(
            f"Of {recovered['transients']:,} true transients (by {recovered['by']}) {recovered['selected']:,} are "
            f"among them: {recovered['share']:.1%} ({recovered['low']:.1%} to {recovered['high']:.1%})"
        )
    return told
