"""Two classifiers in a row: a cheap first one discards what it is sure of, a full one judges the rest.

What the pair loses is a positive that the full one would have kept and the first discards. The first one's threshold
is an order statistic of its logits of positives that the full one keeps, so the share lost is bounded whatever the
distribution of logits: of n such positives the threshold leaves k below it, and the share of all positives below it
has the distribution Beta(k + 1, n - k), whose upper 95 % point is Clopper & Pearson's limit for k lost of n (Wilks
1941, tolerance limits). With none lost of 1,500 it is 0.2 %. The limit is for positives like those of the validation
part; a margin in logits covers what differs from them.
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
    """What the first classifier may discard.

    Attributes
    ----------
    threshold : float
        Logit below which a candidate is discarded.
    full_threshold : float
        From which on the full classifier keeps a candidate: the loss is of those.
    lost, kept_by_full : int
        Positives that the full classifier keeps, and how many of them the first one discards.
    lost_limit : float
        One-sided upper 95 % limit of the share lost.
    """

    threshold: float
    full_threshold: float
    lost: int
    kept_by_full: int
    lost_limit: float

    def told(self) -> dict[str, Any]:
        """Return it as a summary keeps it."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> "Discard":
        """Return what was written of it as JSON."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class CascadeError(ValueError):
    """A cascade cannot be set up."""


def fit_discard(
    first: NDArray, full: NDArray, full_threshold: float, margin: float = 0.0, most_lost: float = 0.0
) -> Discard:
    """Return the threshold of the first classifier.

    Parameters
    ----------
    first, full : (n,)
        Logits of the same positives by both; neither classifier was fitted to them.
    full_threshold : float
        From which on the full classifier keeps a candidate.
    margin : float
        By how much the threshold lies below the lowest positive that must not be lost.
    most_lost : float
        Share of the positives kept by the full one that may be lost.

    Raises
    ------
    CascadeError
        The full classifier keeps no positive, or a logit is not finite.
    """
    if not (np.isfinite(first).all() and np.isfinite(full).all()):
        raise CascadeError(f"of {len(full)} positives some have no finite logit")
    kept = np.sort(first[full >= full_threshold])
    if not len(kept):
        raise CascadeError(f"the full model keeps none of {len(full)} positives at threshold {full_threshold:.3f}")
    allowed = min(int(most_lost * len(kept)), len(kept) - 1)
    threshold = float(kept[allowed]) - margin
    lost = int(np.count_nonzero(kept < threshold))
    # The limit of the order statistic itself: what lies between it and the margin may only be fewer.
    return Discard(threshold, float(full_threshold), lost, len(kept), upper_limit(allowed, len(kept)))
