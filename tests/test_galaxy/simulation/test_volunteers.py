"""Drawn votes: the tree's arithmetic, the published measures, the fading with redshift."""

import numpy as np
import pytest

from galaxy.labels.votes import QUESTIONS
from galaxy.simulation.shapes import draw_shapes
from galaxy.simulation.volunteers import draw_votes

COUNT = 3000


@pytest.fixture(scope="module")
def votes() -> dict[str, np.ndarray]:
    shapes = draw_shapes(np.arange(COUNT), np.random.default_rng(0))
    return draw_votes(shapes, np.random.default_rng(1)) | {"redshift": shapes["redshift"], "truth": shapes["truth"]}


def counts(votes: dict[str, np.ndarray], question: str) -> np.ndarray:
    return np.stack([votes[f"{question}_{answer}_count"] for answer in QUESTIONS[question]], axis=1)


def test_a_question_is_answered_by_the_volunteers_whose_answers_lead_to_it(votes) -> None:
    first, edge, spiral = (counts(votes, name) for name in ("t01_smooth_or_features", "t02_edgeon", "t04_spiral"))
    odd = counts(votes, "t06_odd")
    expected = {
        "t01_smooth_or_features": votes["total_classifications"],
        "t02_edgeon": first[:, 1],
        "t03_bar": edge[:, 1],
        "t04_spiral": edge[:, 1],
        "t05_bulge_prominence": edge[:, 1],
        "t06_odd": first[:, 0] + first[:, 1],
        "t07_rounded": first[:, 0],
        "t08_odd_feature": odd[:, 0],
        "t09_bulge_shape": edge[:, 0],
        "t10_arms_winding": spiral[:, 0],
        "t11_arms_number": spiral[:, 0],
    }
    for question, voters in expected.items():
        np.testing.assert_array_equal(counts(votes, question).sum(axis=1), voters, question)
    total = sum(counts(votes, question).sum(axis=1) for question in QUESTIONS)
    np.testing.assert_array_equal(votes["total_votes"], total)
    assert votes["total_classifications"].min() >= 20
    assert votes["total_classifications"].max() <= 60


def test_fractions_are_shares_and_zero_without_voters(votes) -> None:
    for question, answers in QUESTIONS.items():
        count = counts(votes, question)
        fraction = np.stack([votes[f"{question}_{answer}_fraction"] for answer in answers], axis=1)
        np.testing.assert_allclose(fraction, count / np.maximum(count.sum(axis=1, keepdims=True), 1), atol=5e-4)


def test_clean_flags_need_twenty_voters_and_a_debiased_share_of_eight_tenths(votes) -> None:
    for question, answers in QUESTIONS.items():
        voters = counts(votes, question).sum(axis=1)
        for answer in answers:
            flag, debiased = (votes[f"{question}_{answer}_{measure}"] for measure in ("flag", "debiased"))
            assert set(flag) <= {0, 1}
            assert voters[flag == 1].min(initial=20) >= 20
            assert np.nanmin(debiased[flag == 1], initial=0.8) >= 0.8


def test_features_fade_with_redshift_in_raw_fractions_and_less_in_debiased_ones(votes) -> None:
    stem = "t01_smooth_or_features_a02_features_or_disk"
    disc = np.char.startswith(votes["truth"], "S")
    near, far = (disc & (votes["redshift"] < 0.05)), (disc & (votes["redshift"] > 0.1))
    raw, debiased = (
        votes[f"{stem}_{measure}"][near].mean() - votes[f"{stem}_{measure}"][far].mean()
        for measure in ("weighted_fraction", "debiased")
    )
    assert raw > 0.05
    assert debiased < raw / 2


def test_answers_that_do_not_fade_are_not_debiased(votes) -> None:
    for answer in QUESTIONS["t07_rounded"]:
        stem = f"t07_rounded_{answer}"
        np.testing.assert_array_equal(votes[f"{stem}_debiased"], votes[f"{stem}_weighted_fraction"])
