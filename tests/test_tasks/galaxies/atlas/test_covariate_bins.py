"""Error rates in bins of a quantity, on a model that is right up to a known value."""

import numpy as np
import pytest

from tasks.galaxies.atlas.covariate_bins import covariate_bins, covariate_table
from tasks.learning import measures

RISING = np.append(np.arange(50.0), np.nan)
CORRECT = np.append(np.arange(50) < 30, True)


def test_bins_hold_equally_many_and_their_own_mistakes() -> None:
    low, high = covariate_bins({"rising": RISING}, CORRECT)["rising"]
    assert (low.low, low.median, low.high, low.mistakes, low.count) == (0, 12, 24, 0, 25)
    assert (high.low, high.median, high.high, high.mistakes, high.count) == (25, 37, 49, 20, 25)
    assert high.error == measures.rate(20, 25)


@pytest.mark.parametrize("values", [np.where(RISING < 39, RISING, np.nan), np.ones(51), np.full(51, np.nan)])
def test_a_quantity_of_few_values_or_one_is_left_out(values: np.ndarray) -> None:
    assert covariate_bins({"quantity": values}, CORRECT) == {}


def test_the_table_has_every_bin_with_its_counts() -> None:
    rows = covariate_table(covariate_bins({"rising": RISING}, CORRECT)).rows
    assert [row[:6] for row in rows] == [
        ["rising", "0 to 24", "12", 0, 25, "0.000"],
        ["rising", "25 to 49", "37", 20, 25, "0.800"],
    ]
