"""A cascade of two classifiers: a cheap first one discards clear negatives, a full one classifies the rest.

The cascade loses a positive that the full classifier keeps and the first one discards. The first one's threshold is an
order statistic of its logits for positives that the full one keeps, so the fraction lost is bounded for any
distribution of logits: with k of n such positives below the threshold, the fraction of all such positives below it is
distributed as Beta(k + 1, n - k), whose upper 95 % point is Clopper & Pearson's limit for k of n (Wilks 1941, tolerance
limits). With 0 of 1,500 lost it is 0.2 %. The limit holds for positives like those of the validation part; a margin in
logits allows for others.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning.operating_points import upper_limit


@dataclass(frozen=True)
class Discard:
    """The first classifier's threshold and the positives that it costs.

    Attributes
    ----------
    threshold : float
        The first classifier discards a candidate whose logit is lower.
    full_threshold : float
        The full classifier keeps a candidate whose logit is at least this.
    lost : int
        Number of positives that the full classifier keeps and the first one discards.
    kept_by_full : int
        Number of positives that the full classifier keeps.
    lost_limit : float
        One-sided upper 95 % limit of the fraction lost.
    """

    threshold: float
    full_threshold: float
    lost: int
    kept_by_full: int
    lost_limit: float

    def to_summary(self) -> dict[str, Any]:
        """Return the attributes by name."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> "Discard":
        """Read the JSON file of a summary."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class CascadeError(ValueError):
    """A cascade cannot be set up."""


def fit_discard(
    first: NDArray, full: NDArray, full_threshold: float, margin: float = 0.0, most_lost: float = 0.0
) -> Discard:
    """Choose the threshold of the first classifier.

    Parameters
    ----------
    first, full : (n,)
        Both classifiers' logits for the same positives, which neither was fitted to.
    full_threshold : float
        The full classifier keeps a candidate whose logit is at least this.
    margin : float
        Logits between the threshold and the lowest positive that must not be lost.
    most_lost : float
        Allowed fraction of the positives kept by the full classifier that are lost.

    Raises
    ------
    CascadeError
        The full classifier keeps no positive, or a logit is not finite.
    """
    if not (np.isfinite(first).all() and np.isfinite(full).all()):
        raise CascadeError(f"of {len(full)} positives some have no finite logit")
    kept_logits = np.sort(first[full >= full_threshold])
    count = len(kept_logits)
    if not count:
        raise CascadeError(f"the full model keeps none of {len(full)} positives at threshold {full_threshold:.3f}")
    allowed = min(int(most_lost * count), count - 1)
    threshold = float(kept_logits[allowed]) - margin
    lost = int(np.count_nonzero(kept_logits < threshold))
    # The limit is that of the order statistic itself; the margin can only lower the loss.
    return Discard(threshold, float(full_threshold), lost, count, upper_limit(allowed, count))
