"""Confusions by kind, counted by hand in a small confusion matrix."""

import numpy as np
import pytest

from galaxy.labels import confusions
from galaxy.labels.schemes import load_scheme
from tasks.galaxies.atlas.confusion_structure import ConfusionStructure
from tasks.learning import measures

CLASSES = ["E0", "E7", "Sa", "Sb", "SBb"]
COUNTS = np.array(
    [
        [10, 3, 2, 0, 0],
        [1, 20, 0, 0, 1],
        [0, 0, 6, 4, 1],
        [2, 0, 5, 30, 7],
        [0, 0, 0, 3, 5],
    ]
)
STRUCTURE = ConfusionStructure(COUNTS, CLASSES)


def rows_of(name):
    return {row[0]: row[1:] for row in STRUCTURE.tables()[name].rows}


def test_every_mistake_has_one_kind():
    assert STRUCTURE.mistakes == 29
    assert dict(STRUCTURE.by_kind) == {
        confusions.MORE_ROUNDNESS: 3 + 1,
        confusions.OTHER_FAMILY: 2 + 1 + 2,
        confusions.ONE_BULGE: 4 + 5,
        confusions.BAR: 7 + 3,
        confusions.BAR_ONE_BULGE: 1,
    }
    assert set(STRUCTURE.possible) == set(STRUCTURE.by_kind)
    assert [row[1] for row in STRUCTURE.tables()["confusion_kinds"].rows] == [4, 9, 10, 1, 5]


def test_off_by_one_counts_neighbours_as_right():
    assert STRUCTURE.within_one_step == measures.rate(71 + 9, 100)
    assert STRUCTURE.within_one_step_or_bar == measures.rate(71 + 9 + 10, 100)
    summary = STRUCTURE.summary()
    assert (summary["within_one_step"], summary["within_one_step_or_bar"]) == (0.8, 0.9)
    assert summary["mistakes"][confusions.BAR] == 10


def test_mistakes_without_structure_follow_the_number_of_samples():
    expected = STRUCTURE.without_structure
    assert sum(expected.values()) == pytest.approx(29)
    # Labelled 15, 22, 11, 44, 8: E0's five mistakes go to E7 with 22 / 85, E7's two go to E0 with 15 / 78.
    assert expected[confusions.MORE_ROUNDNESS] == pytest.approx(5 * 22 / 85 + 2 * 15 / 78)


def test_questions_are_asked_of_those_that_both_label_and_prediction_answer():
    questions = rows_of("questions")
    assert questions["elliptical or disc"][:2] == [100, 95]
    assert questions["roundness, ellipticals"][:2] == [34, 30]
    # Discs as discs: 11 + 42 + 8; bars are missed or made up in 1 + 7 + 3, letters in 4 + 1 + 5.
    assert questions["barred or not, discs"][:2] == [61, 50]
    assert questions["bulge, discs"][:2] == [61, 51]


def test_steps_along_the_bulge_scale_have_a_sign_and_the_label_s_bar():
    steps = rows_of("bulge_steps")
    assert {step: row[:2] for step, row in steps.items()} == {"−1": [5, 0], "0": [43, 8], "+1": [5, 0]}
    smaller = ConfusionStructure(np.array([[4, 3], [0, 2]]), ["Sa", "SBc"]).tables()["bulge_steps"]
    assert [row[:3] for row in smaller.rows] == [["−2", 0, 0], ["0", 4, 2], ["+2", 3, 0]]


def test_a_perfect_model_has_no_rates_of_mistakes():
    perfect = ConfusionStructure(np.diag([5, 5, 5, 5, 5]), CLASSES)
    assert all(row[1:4] == [0, "–", ""] for row in perfect.tables()["confusion_kinds"].rows)


@pytest.mark.parametrize(
    ("classes", "informative"),
    [
        (["E", "S", "SB"], True),
        (load_scheme("deck-7").classes, True),
        (["elliptical", "spiral"], False),
        (["E0", "E3"], False),
        (["clockwise", "anticlockwise", "neither"], False),
        (["E", "S", "SB", "edge-on"], True),
    ],
)
def test_only_a_scheme_on_the_scales_has_structure(classes, informative):
    structure = ConfusionStructure(np.eye(len(classes), dtype=int), list(classes))
    assert structure.is_informative == informative


def test_a_class_on_no_scale_is_asked_nothing():
    structure = ConfusionStructure(np.full((4, 4), 3), ["edge-on", "E", "S", "SB"])
    questions = {row[0]: row[1:3] for row in structure.tables()["questions"].rows}
    assert questions == {"elliptical or disc": [27, 15], "barred or not, discs": [12, 6]}
    assert structure.by_kind[confusions.UNRELATED] == 18
    assert "bulge_steps" not in structure.tables()
