"""The bench's own figures, on rows that are counted by hand."""

from typing import Any

import pytest

from tasks.studies.label_noise_report import memorised_by_epoch, noise_blocks, noise_finder

ROWS: list[dict[str, Any]] = [
    {"name": "a", "noise_reached": 0.1, "largest_bin_rate": 0.4, "memorised_share": [0.2, 0.4]},
    {"name": "a", "noise_reached": 0.1, "largest_bin_rate": 0.45, "memorised_share": [0.4, 0.8]},
    {
        "name": "b",
        "noise_reached": 0.0,
        "largest_bin_rate": None,
        "memorised_share": [None],
        "recall_at_precision_80": 0.5,
    },
    {"name": "b", "noise_reached": 0.0, "largest_bin_rate": None, "recall_at_precision_80": None},
]


def test_the_finder_is_of_rows_with_suspects_and_averages_seeds_with_wrong_labels() -> None:
    assert noise_finder(ROWS) == {"b": {"recall_at_precision_80": 0.5, "per_seed": [0.5, None]}}
    assert noise_finder(ROWS[3:]) == {"b": {"recall_at_precision_80": None, "per_seed": [None]}}


def test_the_memorised_share_is_averaged_over_seeds_epoch_by_epoch() -> None:
    assert memorised_by_epoch(ROWS) == {"a": pytest.approx([0.3, 0.6])}


def test_the_table_has_a_line_a_name_and_the_largest_bin_of_all_seeds() -> None:
    table = noise_blocks(ROWS)[-1]
    assert table.rows == [  # type: ignore[union-attr]
        ["a", "10.0%", "45%", "–", "0.30, 0.60"],
        ["b", "0.0%", "–", "0.50, –", "–"],
    ]
