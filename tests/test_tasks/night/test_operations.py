"""The operations figure: detections and objects before and after, at equal recovery of true transients."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realbogus.records import DETECTION, GALAXY_INJECTION, RANDOM_INJECTION
from realbogus.sources.object_kinds import KNOWN_TRANSIENT
from tasks.night.operations import (
    RECOVERIES,
    GroundTruth,
    NightScores,
    count_objects,
    describe_operations,
    ground_truth,
    operations,
)
from tasks.night.score_table import complete_scores
from tasks.night.scoring import BY_FIRST, BY_FULL, NOT_SCORED
from tasks.night.sources import ArrayNight, DatasetNight
from tasks.runtime.workspace import Workspace
from tests.small_candidates import SIDE, publish_candidates
from tests.small_night import make_rule, make_stamps, raw_scores

ARCSEC = 1 / 3600


@pytest.mark.parametrize(
    ("places", "objects"),
    [
        ([], 0),
        ([(10, 0), (10 + 1.9 * ARCSEC, 0), (10 + 3.8 * ARCSEC, 0)], 1),  # a chain
        ([(10, 0), (10 + 2.1 * ARCSEC, 0)], 2),
        ([(0.5 * ARCSEC, 20), (360 - 0.5 * ARCSEC, 20)], 1),
        ([(10, 60), (10 + 3.5 * ARCSEC, 60)], 1),  # 1.75 arcsec on the sky
        ([(0, 90 - 0.5 * ARCSEC), (180, 90 - 0.5 * ARCSEC)], 1),
        ([(10, 0), (11, 0), (10, 0.0001), (11, 1.0)], 3),
    ],
)
@pytest.mark.parametrize("most_pairs", [1, 1000])
def test_detections_within_two_arcsec_are_one_object(
    places: list[tuple[float, float]], objects: int, most_pairs: int
) -> None:
    assert count_objects(np.array(places, float).reshape(-1, 2), most_pairs) == objects


def test_a_field_visited_often_has_as_many_objects_however_few_pairs_are_held() -> None:
    rng = np.random.default_rng(0)
    objects = np.stack([np.arange(30) * 0.01, np.zeros(30)], axis=1)
    visits = np.repeat(objects, 40, axis=0) + rng.normal(0, 0.2 * ARCSEC, (1200, 2))
    shuffled = visits[rng.permutation(len(visits))]
    assert {count_objects(shuffled, most) for most in (0, 50, 10**6)} == {30}


def scores_of(logit: list[float], selected: list[bool], positions: list[float] | None = None) -> NightScores:
    """Scores of detections at given right ascensions on the equator, a degree apart by default."""
    ra = list(range(len(logit))) if positions is None else positions
    return NightScores(np.array(logit), np.array(selected), np.stack([ra, np.zeros(len(ra))], axis=1).astype(float))


def truth_of(injected: list[bool], transient: list[bool]) -> GroundTruth:
    groups = np.array([f"cell {number}" for number in range(len(injected))])
    return GroundTruth(np.array(injected), np.array(transient), groups, "the test")


def test_scores_are_the_full_model_s_and_only_selected_candidates_are_selected(tmp_path: Path) -> None:
    raw = raw_scores([-3.0, 0.5, 2.0, None], [BY_FIRST, BY_FULL, BY_FULL, NOT_SCORED], [None, None, None, "edge"])
    table = complete_scores(raw, make_rule(1.0, below=-1.0), 1.0)
    place = table.schema.get_field_index("dec_deg")
    table = table.set_column(place, table.schema.field(place), pa.array([0.0, None, 5.0, 0.0], pa.float64()))
    pq.write_table(table, tmp_path / "scores.parquet")
    scores = NightScores.read(tmp_path / "scores.parquet")
    assert scores.logit.tolist() == [-np.inf, 0.5, 2.0, -np.inf]
    assert scores.selected.tolist() == [False, False, True, False]
    np.testing.assert_array_equal(scores.positions, [[0.0, 0.0], [1.0, np.nan], [2.0, 5.0], [3.0, 0.0]])


def test_without_truth_every_detection_counts_and_no_recovery_is_reported() -> None:
    scores = scores_of([1.0, 2.0, 3.0, 4.0], [False, True, True, True], [0.0, 10.0, 10.0 + ARCSEC, 20.0])
    assert operations(scores, None, None) == {
        "detections": {"before": 4, "after": 3},
        "objects": {"before": 3, "after": 2},
        "recovered": None,
        "equal_recovery": [],
    }


def test_objects_are_unknown_where_one_candidate_has_no_position() -> None:
    scores = scores_of([1.0, 2.0], [True, True], [0.0, np.nan])
    assert operations(scores, None, None)["objects"] is None
    figure = operations(scores, truth_of([False, False], [True, True]), None)
    assert {row["objects"] for row in figure["equal_recovery"]} == {None}


def test_injections_are_not_counted_and_a_night_without_transients_has_no_recovery() -> None:
    scores = scores_of([1.0, 2.0, 3.0, 4.0], [True, True, False, False])
    figure = operations(scores, truth_of([True, False, True, False], [False] * 4), None)
    assert (figure["detections"], figure["objects"]) == ({"before": 2, "after": 1}, {"before": 2, "after": 1})
    assert (figure["recovered"], figure["equal_recovery"]) == (None, [])


def test_each_model_s_candidates_are_counted_at_its_own_threshold_for_a_recovery() -> None:
    """Twenty transients with logits 0 to 19, ten bogus at 4.5 and five at 20, one injection at 100."""
    transients, bogus = [float(value) for value in range(20)], [4.5] * 10 + [20.0] * 5
    logit = [*transients, *bogus, 100.0]
    selected = [value >= 10 for value in logit]
    scores = scores_of(logit, selected)
    truth = truth_of([False] * 35 + [True], [True] * 20 + [False] * 16)
    better = scores_of([*transients, *[-1.0] * 15, 100.0], selected)
    figure = operations(scores, truth, better)
    assert figure["detections"] == {"before": 35, "after": 15}
    recovered = figure["recovered"]
    assert (recovered["transients"], recovered["selected"], recovered["by"]) == (20, 10, "the test")
    assert recovered["share"] == 0.5
    assert 0.2 < recovered["low"] < 0.5 < recovered["high"] < 0.8
    rows = figure["equal_recovery"]
    assert [row["recovery"] for row in rows] == [*RECOVERIES, 0.5]
    assert [row["threshold"] for row in rows] == [0.0, 1.0, 2.0, 10.0]
    assert [row["detections"] for row in rows] == [20 + 15, 19 + 15, 18 + 15, 10 + 5]
    assert [row["objects"] for row in rows] == [35, 34, 33, 15]
    assert [row["against_threshold"] for row in rows] == [0.0, 1.0, 2.0, 10.0]
    assert [row["against_detections"] for row in rows] == [20, 19, 18, 10]
    assert [row["against_objects"] for row in rows] == [20, 19, 18, 10]


def test_a_recovery_out_of_reach_has_no_counts_and_one_of_nothing_no_row() -> None:
    logit = [-np.inf] * 3 + [1.0] * 17
    figure = operations(scores_of(logit, [False] * 20), truth_of([False] * 20, [True] * 20), None)
    assert [row["recovery"] for row in figure["equal_recovery"]] == list(RECOVERIES)
    assert {(row["threshold"], row["detections"], row["objects"]) for row in figure["equal_recovery"]} == {
        (None, None, None)
    }
    assert "against_threshold" not in figure["equal_recovery"][0]


def survey(workspace: Workspace, kinds: list[str], real: list[bool] | None) -> DatasetNight:
    count = len(kinds)
    cells = [f"cell {number}" for number in range(count)]
    columns: dict[str, Any] = {"kind": kinds}
    dataset = publish_candidates(
        workspace, "made", ["real"] * count, cells, ["test"] * count, real=real, columns=columns
    )
    return DatasetNight(dataset, SIDE)


def test_the_simulation_s_truth_names_transients_that_were_not_injected(workspace: Workspace) -> None:
    kinds = [GALAXY_INJECTION, RANDOM_INJECTION, DETECTION, DETECTION, KNOWN_TRANSIENT]
    truth = ground_truth(survey(workspace, kinds, [True, True, True, False, False]))
    assert truth is not None
    assert truth.injected.tolist() == [True, True, False, False, False]
    assert truth.transient.tolist() == [False, False, True, False, False]
    assert truth.group.tolist() == [f"cell {number}" for number in range(5)]
    assert truth.origin == "the simulation's truth"


def test_without_a_truth_the_known_transients_are_the_true_ones(workspace: Workspace, tmp_path: Path) -> None:
    truth = ground_truth(survey(workspace, [GALAXY_INJECTION, DETECTION, KNOWN_TRANSIENT], None))
    assert truth is not None
    assert truth.injected.tolist() == [True, False, False]
    assert truth.transient.tolist() == [False, False, True]
    assert truth.origin == "a table of known transients"
    np.save(tmp_path / "night.npy", make_stamps(np.zeros(2)))
    assert ground_truth(ArrayNight(tmp_path / "night.npy", SIDE)) is None


def test_the_figure_is_told_in_sentences_as_far_as_it_is_known() -> None:
    figure: dict[str, Any] = {"detections": {"before": 12000, "after": 34}, "objects": None, "recovered": None}
    assert describe_operations(figure) == ["34 of 12,000 detections are selected"]
    figure |= {"objects": {"before": 5000, "after": 20}}
    recovered = {"transients": 40, "selected": 36, "by": "the test", "share": 0.9, "low": 0.8, "high": 0.95}
    assert describe_operations(figure | {"recovered": recovered}) == [
        "34 of 12,000 detections that were not injected are selected",
        "20 of 5,000 objects are selected",
        "36 of 40 true transients (known from the test) are among them: 90.0% (80.0% to 95.0%)",
    ]
