"""Error rates in bins of a quantity: redshift, magnitude, size, votes, shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.reports.page import Cell, Table

LEAST_IN_A_BIN = 20
"""Fewest samples of a covariate's bin."""
BINS = 6


@dataclass(frozen=True)
class CovariateBin:
    """Samples of similar value."""

    low: float
    median: float
    high: float
    mistakes: int
    count: int

    @property
    def error(self) -> Interval:
        """The error rate, Wilson's interval."""
        return measures.rate(self.mistakes, self.count)


def covariate_bins(
    covariates: Mapping[str, NDArray[np.float64]], correct: NDArray[np.bool_]
) -> dict[str, list[CovariateBin]]:
    """Return bins of equally many samples, by the covariate's title.

    A covariate with fewer than 2 bins of `LEAST_IN_A_BIN` samples, or with one value only, is left out.

    Parameters
    ----------
    covariates : dict of title to (n,) float
        NaN where unknown.
    correct : (n,)
        Whether the prediction is correct.
    """
    panels = {}
    for title, values in covariates.items():
        finite = np.flatnonzero(np.isfinite(values))
        bins = min(BINS, len(finite) // LEAST_IN_A_BIN)
        if bins < 2 or np.ptp(values[finite]) == 0:
            continue
        order = finite[np.argsort(values[finite], kind="stable")]
        panels[title] = [
            CovariateBin(
                low=float(values[rows[0]]),
                median=float(np.median(values[rows])),
                high=float(values[rows[-1]]),
                mistakes=int(np.count_nonzero(~correct[rows])),
                count=len(rows),
            )
            for rows in np.array_split(order, bins)
        ]
    return panels


def covariate_table(
    panels: Mapping[str, Sequence[CovariateBin]], counted: str = "mistakes", rate: str = "error rate"
) -> Table:
    """Return all bins, one row each; `counted` and `rate` name what the bins count."""
    rows: list[list[Cell]] = [
        [
            title,
            f"{part.low:.4g} to {part.high:.4g}",
            f"{part.median:.4g}",
            part.mistakes,
            part.count,
            f"{part.error.value:.3f}",
            part.error.ends(".3f", "–"),
        ]
        for title, bins in panels.items()
        for part in bins
    ]
    columns = ["quantity", "values", "median", counted, "of", rate, "95 %"]
    return Table("Bins of equally many samples; samples without the quantity are left out", columns, rows)
