"""Two classifiers in a row: a cheap first one discards what it is sure of, a full one judges the rest.

What the pair loses is a positive that the full one would have kept and the first discards. The first one's threshold
is set on positives of the validation part, so that hardly any is lost, and the bound is an exact binomial limit.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning.operating import upper_limit


@dataclass(frozen=True)
class Discard:
    """What the first classifier may discard.

    Attributes
    ----------
    threshold : float
        Logit below which a candidate is discarded.
    lost, kept_by_full : int
        Positives that the full classifier keeps, and how many of them the first one discards.
    lost_limit : float
        One-sided upper 95 % limit of the share lost.
    """

    threshold: float
    lost: int
    kept_by_full: int
    lost_limit: float

    def told(self) -> dict[str, Any]:
        """Return it as a summary keeps it."""
        return asdict(self)


class CascadeError(ValueError):
    """A cascade cannot be set up."""


def fit_discard(
    first: NDArray, full: NDArray, full_threshold: float, margin: float = 0.0, most_lost: float = 0.0
) -> Discard:
    """Return the threshold of the first classifier.

    Parameters
    ----------
    first, full : (n,)
        Logits of the same positives by both.
    full_threshold : float
        From which on the full classifier keeps a candidate.
    margin : float
        By how much the threshold lies below the lowest positive that must not be lost.
    most_lost : float
        Share of the positives kept by the full one that may be lost.

    Raises
    ------
    CascadeError
        The full classifier keeps no positive.
    """
    kept = np.sort(first[full >= full_threshold])
    if not len(kept):
        raise CascadeError(f"the full model keeps none of {len(full)} positives at threshold {full_threshold:.3f}")
    threshold = float(kept[int(most_lost * len(kept))]) - margin
    lost = int(np.count_nonzero(kept < threshold))
    return Discard(threshold, lost, len(kept), upper_limit(lost, len(kept)))
