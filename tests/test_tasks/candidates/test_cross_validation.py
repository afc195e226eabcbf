"""Metrics of out-of-fold scores: by score, by night, and their intervals."""

import json

import numpy as np
import pytest

from tasks.candidates.cross_validation import auc_intervals, cut_metrics, packet_cuts, pooled_figures, score_metrics
from tasks.learning.split_parts import part_rows
from tasks.runtime.workspace import Workspace
from tests.small_candidates import SCHEME, publish_candidates

REAL = np.array([True] * 10 + [False] * 20)
LOGITS = np.array([*range(1, 11), 2.5, 5.5, *(-0.5 - step for step in range(18))])


def test_a_scores_metrics_are_counted_by_hand() -> None:
    first = np.arange(30) < 11
    metrics = score_metrics(LOGITS, REAL, [first, ~first])
    assert metrics["auc"] == pytest.approx(1 - 7 / 200)
    assert metrics["bogus_passed"] == 2
    # The first rows are all reals and the bogus 2.5, which beats 1 and 2; the others hold no real.
    assert metrics["nights"][0] == pytest.approx(0.8)
    assert np.isnan(metrics["nights"][1])


def test_nights_are_resampled_where_there_are_several() -> None:
    groups = np.array([f"g{row}" for row in range(30)])
    one = auc_intervals(LOGITS, REAL, groups, np.array(["night"] * 30))
    assert list(one) == ["auc_low", "auc_high"]
    assert one["auc_low"] <= 1 - 7 / 200 <= one["auc_high"]
    many = auc_intervals(LOGITS, REAL, groups, np.array([f"n{row % 15}" for row in range(30)]))
    assert list(many) == ["auc_low", "auc_high", "auc_by_night_low", "auc_by_night_high"]
    assert many["auc_by_night_low"] <= many["auc_by_night_high"]


def test_baselines_stand_beside_the_network_on_the_same_rows(workspace: Workspace) -> None:
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(40)]
    columns = {"parameters": ["{}"] * 40}
    cells = [f"cell {row}" for row in range(40)]
    dataset = publish_candidates(workspace, "made", labels, cells, ["test"] * 40, columns=columns)
    part = part_rows(dataset, SCHEME, "all")
    scores = np.where(part.labels == 1, 1.0, -1.0)
    metrics, (table,) = pooled_figures(dataset, part, scores, (np.arange(40) % 4).astype(np.int32))
    assert (metrics["real"], metrics["bogus"], metrics["bogus_passed"], metrics["fpr_at_tpr90"]) == (20, 20, 0, 0.0)
    assert metrics["rivals"]["this network, out of fold"]["auc"] == 1.0
    assert "forest, frame border alone" in metrics["rivals"]
    areas = [row[1] for row in table.rows]
    assert areas == sorted(areas, reverse=True)
    assert table.columns[2] == "bogus passed of 20 at TPR 0.9"


def test_cuts_are_filters_within_nights_and_known_objects_against_all_bogus(workspace: Workspace) -> None:
    # Rows 0 to 39 are of night 1, 40 to 59 of night 2; every second is real, every fourth of filter 1.
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(60)]
    filters = [1 if row % 4 < 2 else 2 for row in range(60)]
    distances = [1.5 if row < 24 and row % 2 == 0 else -999.0 for row in range(60)]
    packets = [json.dumps({"fid": fid, "ssdistnr": far}) for fid, far in zip(filters, distances, strict=True)]
    cells = [f"cell {row}" for row in range(60)]
    dataset = publish_candidates(workspace, "made", labels, cells, ["test"] * 60, columns={"parameters": packets})
    part = part_rows(dataset, SCHEME, "all")
    real = part.labels == 1
    cuts = packet_cuts(dataset, part, np.where(np.arange(60) < 40, "1", "2"))
    counted = {name: (int(real[rows].sum()), int((~real)[rows].sum())) for name, rows in cuts.items()}
    # Night 2 has ten of each class, and five in a filter.
    assert counted == {
        "filter 1": (15, 15),
        "filter 2": (15, 15),
        "night 1, filter 1": (10, 10),
        "night 1, filter 2": (10, 10),
        "known solar-system objects": (12, 30),
        "other reals": (18, 30),
    }
    metrics, tables = pooled_figures(dataset, part, np.where(real, 1.0, -1.0), (np.arange(60) % 4).astype(np.int32))
    assert metrics["cuts"]["known solar-system objects"] == {"real": 12, "bogus": 30, "auc": 1.0, "bogus_passed": 0}
    assert len(tables) == 2


def test_a_cuts_metrics_are_those_of_its_rows() -> None:
    rows = np.arange(30) < 12  # all reals, and the bogus 2.5 and 5.5: seven pairs of 20 are in the wrong order
    assert cut_metrics(LOGITS, REAL, rows) == {"real": 10, "bogus": 2, "auc": pytest.approx(13 / 20), "bogus_passed": 2}
