"""Shares of candidates that are kept, on scores that are counted by hand."""

from typing import Any

import numpy as np
import pytest

from tasks.candidates.kept_shares import equalised_text, kept_cells, snr_table
from tests.small_scores import made_rows, made_scores


@pytest.mark.parametrize(
    ("kept", "cells"),
    [
        ([], [0, 0, None, None]),
        ([True, True, False, False], [2, 4, "0.500", "0.150 to 0.850"]),
        ([False] * 4, [0, 4, "0.000", "0.000 to 0.490"]),
    ],
)
def test_cells_of_a_share_hold_count_rows_and_wilsons_interval(kept: list[bool], cells: list[Any]) -> None:
    assert kept_cells(np.array(kept, bool)) == cells


def test_shares_by_snr_leave_empty_bins_out_and_put_an_edge_in_the_upper_bin() -> None:
    rows = made_rows([True, True, True, False], columns={"snr": [5.0, 6.0, 30.0, 5.5]})
    lines = snr_table(rows, np.array([True, False, True, True])).rows
    assert [line[:4] for line in lines] == [
        ["5 to 6", "real", 1, 1],
        ["5 to 6", "bogus", 1, 1],
        ["6 to 7", "real", 0, 1],
        ["above 20", "real", 1, 1],
    ]


def test_equal_brightness_takes_away_what_brightness_alone_explains() -> None:
    """Scores that are the S/N alone rank reals above bogus only as far as the bins are wide."""
    rng = np.random.default_rng(0)
    real = np.arange(2000) % 2 == 0
    snr = np.where(real, rng.uniform(10, 20, 2000), rng.uniform(5, 20, 2000))
    faint = made_scores(made_rows(real.tolist()), snr.tolist())
    told = equalised_text(faint, snr)
    area = float(told.partition("AUC ")[2].partition(",")[0])
    assert area == pytest.approx(0.5, abs=0.06)


def test_too_few_rows_of_equal_brightness_give_a_sentence() -> None:
    nine = made_scores(made_rows([True] * 9 + [False] * 20), range(29))
    told = equalised_text(nine, np.full(29, 10.0))
    assert told == "Too few rows of equal S/N to repeat the numbers at equalised brightness."
