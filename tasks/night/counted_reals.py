"""Expected and counted reals of a night whose truth is known, by their probability at the night's prior."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.learning.calibration import count_by_probability
from tasks.night.known_truth import KnownTruth
from tasks.store.columns import to_float


def count_reals(
    scores: Path, truth: KnownTruth | None, night_prior: float, trained_on: NDArray[np.bool_] | None = None
) -> dict[str, Any] | None:
    """Return how many reals the probabilities of a night promise, and how many there are.

    Candidates that are true transients or true bogus and have a score count; injections do not, as they are no part of
    a night.

    Parameters
    ----------
    scores : Path
        The scores file, n rows.
    truth : KnownTruth or None
    night_prior : float
        For which ``probability_night`` holds.
    trained_on : (n,) bool, optional
        Candidates that a model was trained on, which do not count.

    Returns
    -------
    dict or None
        ``prior`` (stated), ``share`` (of reals, counted), ``expected``, ``counted``, ``agree`` (bins within their
        limits), ``by``, and ``bins``: ``low, high, count, expected, counted, least, most``. None without known truth.
    """
    if truth is None:
        return None
    probability = to_float(pq.read_table(scores, columns=["probability_night"])["probability_night"])
    is_counted = (truth.transient | truth.bogus) & np.isfinite(probability)
    if trained_on is not None:
        is_counted &= ~trained_on
    real = truth.transient[is_counted]
    if not len(real):
        return None
    bins = count_by_probability(probability[is_counted], real)
    return {
        "prior": night_prior,
        "share": float(real.mean()),
        "expected": float(probability[is_counted].sum()),
        "counted": int(real.sum()),
        "agree": sum(one.agrees for one in bins),
        "by": truth.origin,
        "bins": [vars(one) for one in bins],
    }
