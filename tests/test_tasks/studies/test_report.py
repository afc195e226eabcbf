"""The page of a study: rates and ratios by name, which settings are shown, names that MLflow accepts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.runtime.workspace import Workspace
from tasks.studies.report import (
    RATIOS,
    format_ratio,
    metric_name,
    origins_table,
    rates_figure,
    rates_table,
    record_row,
    results_table,
    settings_of,
)
from tasks.studies.rows import StudyRow
from tasks.tracking.database import open_client
from tasks.tracking.study_runs import StudyRuns
from tests.small_candidates import publish_candidates

RATE: dict[str, Any] = {"fpr_at_tpr90": 0.0123, "fpr_at_tpr90_low": 0.01, "fpr_at_tpr90_high": 0.02, "auc": 0.98765}


def test_rates_are_percentages_and_a_line_without_a_ratio_has_a_dash() -> None:
    compared = {"CE": RATE, "CE+VAT": RATE | {"ratio_to_previous": [2.0, 1.5, 2.5], "ratio_to_first": [3.0, 2, 4]}}
    table = rates_table(compared, [0, 1])
    assert table.caption == "Means over seeds 0, 1"
    assert list(table.columns)[-2:] == [RATIOS["previous"], RATIOS["first"]]
    assert table.rows == [
        ["CE", "1.230%", "1.000% to 2.000%", "0.9877", "–", "–"],
        ["CE+VAT", "1.230%", "1.000% to 2.000%", "0.9877", "2.00 (1.50 to 2.50)", "3.00 (2.00 to 4.00)"],
    ]


def test_a_study_of_treatments_compares_with_the_untreated_labels_in_place_of_the_line_before() -> None:
    columns = list(rates_table({"a": RATE | {"ratio_to_plain": [1.0, 1.0, 1.0]}}, [0]).columns)
    assert RATIOS["plain"] in columns
    assert RATIOS["previous"] not in columns
    assert RATIOS["first"] in columns


def test_the_bogus_that_pass_stand_by_their_origin_the_most_frequent_first() -> None:
    table = origins_table(
        {"CE": {"passed_by_origin": {"noise": 2.5, "star": 0.0}}}, np.array(["star", "noise", "star"])
    )
    assert list(table.columns) == ["name", "star (of 2)", "noise (of 1)"]
    assert table.rows == [["CE", "0.0", "2.5"]]


def test_settings_that_all_rows_share_are_not_shown_results_always_are() -> None:
    rows = [
        {"name": "a", "seed": seed, "network": "simple", "noise": 0.0, "auc": 0.9, "wrong": {"real": 1}}
        for seed in (0, 1)
    ]
    table = results_table(rows)
    assert list(table.columns) == ["seed", "auc", "wrong"]
    assert table.rows == [[0, 0.9, '{"real": 1}'], [1, 0.9, '{"real": 1}']]
    without = {name: value for name, value in rows[1].items() if name != "wrong"}
    assert results_table([rows[0], without | {"name": "b"}]).rows[1] == ["b", 1, 0.9, None]


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("CE+ECH, removed", "CE ECH  removed"),
        ("score-matched 10%, none", "score-matched 10  none"),
        ("a_b.c/d", "a_b.c/d"),
    ],
)
def test_names_become_metrics_that_mlflow_accepts(name: str, metric: str) -> None:
    assert metric_name(name) == metric


def test_a_missing_ratio_is_a_dash() -> None:
    assert format_ratio(None) == "–"
    assert format_ratio([1.234, 0.5, 2.0]) == "1.23 (0.50 to 2.00)"


def test_the_figure_states_seeds_and_origin() -> None:
    figure = rates_figure({"a": RATE, "b": RATE}, 3, "simulated pixels, truth labels")
    assert figure.caption.startswith("False-positive rate at TPR 0.9, mean over 3 seeds")
    assert figure.caption.endswith("simulated pixels, truth labels.")
    assert figure.pixels.startswith(b"\x89PNG")


def test_a_row_s_numbers_have_the_names_of_a_training_s(tracked_workspace: Workspace, tmp_path: Path) -> None:
    dataset = publish_candidates(tracked_workspace, "rows", ["real", "bogus"], ["a", "b"], ["train", "test"])
    row = StudyRow(name="uniform 5%, remove", seed=1, handling="remove", noise_kind="uniform", noise=0.05)
    measured = {
        "auc": 0.9,
        **{f"fpr_at_tpr90{end}": 0.1 for end in ("", "_low", "_high")},
        "real": 7,
        "bogus_passed": 2,
    }
    result = {**row.model_dump(), **measured, "precision": 0.5, "memorised_share": [0.1, None, 0.3], "seconds": 4.0}
    runs = StudyRuns(tracked_workspace, "realbogus", tmp_path / "runs.json", dataset, {})
    with runs.open_study("made", {}):
        pass
    record_row(runs, result)
    client = open_client(tracked_workspace)
    found = client.get_run(runs.ids["uniform 5%, remove, seed 1"]).data
    assert settings_of(result) == row.model_dump()
    assert found.metrics == {
        **{f"test_{name}": value for name, value in measured.items()},
        "suspects_precision": 0.5,
        "memorised_share": 0.3,
        "seconds": 4.0,
    }
    assert {"arm": "uniform 5%, remove", "seed": "1", "handling": "remove"}.items() <= found.tags.items()
    steps = client.get_metric_history(runs.ids["uniform 5%, remove, seed 1"], "memorised_share")
    assert [(point.step, point.value) for point in steps] == [(1, 0.1), (3, 0.3)]
