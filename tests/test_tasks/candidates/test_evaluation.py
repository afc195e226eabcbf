"""Evaluation of a real/bogus model: what is refused, reviewed and kept, and the worst candidates."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realbogus.models.preprocessing import PREPROCESSING_VERSION
from tasks.candidates.evaluation import (
    evaluate_candidates,
    near_positions,
    predictions_table,
    review_verdicts,
    worst_positions,
)
from tasks.candidates.label_reviews import VerdictError
from tasks.learning.operating_points import threshold_for_tpr
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import UNKNOWN_OVERLAP, EvaluationError, EvaluationRequest
from tests.small_candidates import SCHEME, SIDE, publish_candidates
from tests.small_scores import made_rows, made_scores

COUNT = 120
REAL = [row % 2 == 0 for row in range(COUNT)]


class Centre:
    """Logits from the brightness of the difference's centre, which a star has and an edge of light has not."""

    def predict_on_batch(self, x: np.ndarray) -> np.ndarray:
        middle = SIDE // 2
        light = x[:, middle - 1 : middle + 2, middle - 1 : middle + 2, 2].mean(axis=(1, 2))
        return np.stack([np.zeros(len(x)), light / 20 - 1], axis=1).astype(np.float32)


def published(workspace: Workspace, name: str = "made", **more: Any) -> Dataset:
    labels = ["real" if flag else "bogus" for flag in REAL]
    parts = [("train", "train", "validation", "test")[row // 2 % 4] for row in range(COUNT)]
    columns = {"parameters": ["{}"] * COUNT, "snr": [10.0] * COUNT}
    return publish_candidates(
        workspace, name, labels, [f"cell {row}" for row in range(COUNT)], parts, columns=columns, **more
    )


def card_of(dataset: Dataset) -> dict[str, Any]:
    return {
        "problem": "realbogus",
        "scheme": SCHEME,
        "classes": ["bogus", "real"],
        "input_shape": [SIDE, SIDE, 3],
        "preprocessing_version": PREPROCESSING_VERSION,
        "temperature": 1.5,
        "training_real_share": 0.5,
        "operating_points": {"tpr90": {"threshold": 0.0}},
        "detector": None,
        "dataset": dataset.name,
        "dataset_version": dataset.version,
        "dataset_digest": dataset.digest,
        "sha256": "5" * 64,
    }


def request(workspace: Workspace, dataset: Dataset, part: str = "test", /, **card: Any) -> EvaluationRequest:
    return EvaluationRequest(workspace, dataset, Centre(), card_of(dataset) | card, part, SCHEME)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_part_is_evaluated_without_what_the_model_has_seen(workspace: Workspace) -> None:
    dataset = published(workspace)
    summary = evaluate_candidates(request(workspace, dataset, "all"))
    assert (summary["count"], summary["overlap_with_training"]) == (30, 90)
    assert summary["auc"] > 0.9
    assert {"S/N alone", "three numbers of the stamp", "frame border alone"} <= set(summary["baselines"])
    assert (summary["labels"], summary["pixels"]) == ("injection", "simulated")
    report = Path(summary["report"])
    assert report.name == "evaluation-made-000001-real-bogus-all-55555555.html"
    assert "Real/bogus on made, all part" in report.read_text()
    table = Path(summary["verdicts"]["table"])
    assert table == report.with_suffix(".verdicts.csv")
    assert len(read_rows(table)) == summary["verdicts"]["asked"]


def test_the_truth_needs_no_verdicts(workspace: Workspace, tmp_path: Path) -> None:
    dataset = published(workspace, real=REAL)
    summary = evaluate_candidates(request(workspace, dataset))
    assert (summary["labels"], summary["verdicts"]) == ("truth", None)
    with pytest.raises(EvaluationError, match="the labels are the simulation's truth, which needs none"):
        evaluate_candidates(request(workspace, dataset), verdicts=tmp_path / "filled.csv")


def test_a_model_of_an_unknown_dataset_has_no_forests_and_no_overlap(workspace: Workspace) -> None:
    summary = evaluate_candidates(request(workspace, published(workspace), dataset="gone"))
    assert summary["overlap_with_training"] is None
    assert not any("border" in name for name in summary["baselines"])
    assert summary["notes"][0].startswith("No fitted baselines: the model was trained on gone@1")
    assert summary["notes"][-1] == UNKNOWN_OVERLAP


def test_a_second_model_is_evaluated_on_the_same_rows(workspace: Workspace) -> None:
    summary = evaluate_candidates(request(workspace, published(workspace)), against=("other 2", Centre()))
    assert summary["against"]["model"] == "other 2"
    assert summary["against"]["auc_difference"][0] == 0.0
    assert summary["baselines"]["other 2"]["auc"] == summary["auc"]
    assert summary["best_untrained"]["name"] != "other 2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"problem": "galaxy"}, "is of problem realbogus, the model's is galaxy"),
        ({"classes": ["real", "bogus"]}, "the classes"),
        ({"input_shape": [63, 63, 3]}, r"shape \[21, 21, 3\], the model's is \[63, 63, 3\]"),
        ({"preprocessing_version": "realbogus-0"}, "preprocessing realbogus-1, the model's is realbogus-0"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(workspace: Workspace, change: dict[str, Any], says: str) -> None:
    with pytest.raises(EvaluationError, match=says):
        evaluate_candidates(request(workspace, published(workspace), **change))


# Nine of ten reals are at 2 or above; of the bogus three pass: 7, 2.5 and 2.
LOGITS = [*range(1, 11), 2.0, 1.9, 7.0, 2.5]
PASSED = ["c012", "c013", "c010"]


def test_without_verdicts_the_bogus_that_pass_are_written_down(tmp_path: Path) -> None:
    scores = made_scores(made_rows([True] * 10 + [False] * 4), LOGITS)
    asked = review_verdicts(scores, tmp_path / "table.csv", None)
    assert asked == {"table": str(tmp_path / "table.csv"), "asked": 3}
    rows = read_rows(tmp_path / "table.csv")
    assert [row["id"] for row in rows] == PASSED
    assert {row["label"] for row in rows} == {"bogus"}


@pytest.mark.parametrize(
    ("verdicts", "counts", "rate"),
    [
        (["right", "right", "right"], (3, 0, 0), 3 / 4),
        (["wrong", "right", "unsure"], (1, 1, 1), 2 / 3),
        (["wrong", "wrong", "wrong"], (0, 3, 0), 0.0),
    ],
)
def test_a_bogus_that_is_reviewed_as_real_is_none(
    tmp_path: Path, verdicts: list[str], counts: tuple[int, int, int], rate: float
) -> None:
    lines = [f"{name},{verdict}" for name, verdict in zip(PASSED, verdicts, strict=True)]
    filled = tmp_path / "filled.csv"
    filled.write_text("\n".join(["id,verdict", *lines]))
    scores = made_scores(made_rows([True] * 10 + [False] * 4), LOGITS)
    reviewed = review_verdicts(scores, tmp_path / "table.csv", filled)
    assert (reviewed["right"], reviewed["wrong"], reviewed["unsure"]) == counts
    assert reviewed["asked"] == 3
    assert reviewed["fpr_at_tpr90"] == pytest.approx(rate)
    assert reviewed["fpr_at_tpr90_low"] <= rate <= reviewed["fpr_at_tpr90_high"]
    assert not (tmp_path / "table.csv").exists()


def test_no_bogus_left_no_rate(tmp_path: Path) -> None:
    filled = tmp_path / "filled.csv"
    filled.write_text("id,verdict\nc001,wrong\n")
    reviewed = review_verdicts(made_scores(made_rows([True, False]), [1.0, 2.0]), tmp_path / "table.csv", filled)
    assert reviewed["fpr_at_tpr90"] is reviewed["fpr_at_tpr90_low"] is reviewed["fpr_at_tpr90_high"] is None


def test_every_bogus_that_passes_needs_a_row(tmp_path: Path) -> None:
    filled = tmp_path / "filled.csv"
    filled.write_text("id,verdict\nc012,right\n")
    scores = made_scores(made_rows([True] * 10 + [False] * 4), LOGITS)
    with pytest.raises(VerdictError, match="no row for 2 of 3 requested ids, such as c013"):
        review_verdicts(scores, tmp_path / "table.csv", filled)


def test_the_worst_are_the_highest_bogus_and_the_lowest_reals() -> None:
    rows = made_rows([True] * 10 + [False] * 4)
    worst = worst_positions(rows, np.array(LOGITS), bogus=2, real=3)
    assert {name: positions.tolist() for name, positions in worst.items()} == {"bogus": [12, 13], "real": [0, 1, 2]}


def test_the_nearest_to_the_threshold_are_of_both_classes_and_in_order() -> None:
    rows, logits = made_rows([True] * 10 + [False] * 4), np.array(LOGITS)
    threshold = threshold_for_tpr(logits[:10], 0.9)
    near = near_positions(rows, logits, 3)
    assert list(logits[near]) == sorted(logits[near], reverse=True)
    for of_class, others in ((near[near < 10], range(10)), (near[near >= 10], range(10, 14))):
        farthest = np.abs(logits[of_class] - threshold).max()
        assert len(of_class) == 3
        assert all(np.abs(logits[one] - threshold) >= farthest for one in others if one not in of_class)


def test_predictions_hold_a_row_per_candidate() -> None:
    table = predictions_table(made_scores(made_rows([True, False], origins=["nova", ""]), [1.0, -1.0]))
    assert table.to_pylist() == [
        {"id": "c000", "real": True, "origin": "nova", "headline": True, "logit": 1.0},
        {"id": "c001", "real": False, "origin": "", "headline": True, "logit": -1.0},
    ]
