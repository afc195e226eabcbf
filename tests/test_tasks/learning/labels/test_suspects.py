"""Suspect labels: rules, ranking, checks of their shares, handling, and scores against the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from tasks.learning.labels.suspects import (
    Handling,
    SuspectError,
    SuspectRule,
    check_suspect_shares,
    class_thresholds,
    confident_joint,
    estimated_joint,
    handle_suspects,
    normalised_margins,
    own_probabilities,
    recall_at_precision,
    score_suspects,
    suggest_labels,
)
from tasks.learning.split_parts import UNLABELLED

CLASSES = ("bogus", "real")


def two_classes(logits: np.ndarray) -> np.ndarray:
    """Probabilities of two classes from the logit of the second."""
    return np.stack([1 - expit(logits), expit(logits)], axis=1)


def find_suspects(logits: np.ndarray, labels: np.ndarray, rule: SuspectRule, threshold: float = 0.65) -> np.ndarray:
    return np.asarray(suggest_labels(two_classes(logits), labels, rule, threshold) != labels)


def handled(labels: np.ndarray, suspect: np.ndarray, handling: Handling) -> np.ndarray:
    return handle_suspects(labels, np.where(suspect, 1 - labels, labels), handling)


def doubts(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.where(labels == 1, -logits, logits)


def test_rules_pick_what_the_scores_contradict() -> None:
    logits, labels = np.array([3.0, -3.0, 0.5, -0.5, 4.0]), np.array([1, 1, 0, 0, -1])
    assert find_suspects(logits, labels, "misclassified").tolist() == [False, True, True, False, False]
    assert find_suspects(logits, labels, "threshold", 0.7).tolist() == [False, True, False, False, False]
    assert handled(labels, find_suspects(logits, labels, "misclassified"), "flip").tolist() == [1, 0, 1, 0, -1]
    assert handled(labels, find_suspects(logits, labels, "misclassified"), "unlabel").tolist() == [
        1,
        -1,
        -1,
        0,
        -1,
    ]
    score = score_suspects(
        np.array([True, True, False, False, True]), np.array([1, 1, 0, 0, -1]), np.array([1, 0, 1, -1, 1])
    )
    assert (score.precision, score.recall, score.suspects, score.wrong) == (0.5, 0.5, 2, 2)


@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.integers(-1, 1), st.integers(-1, 1)), min_size=1, max_size=30),
    precision=st.floats(0.05, 1),
)
def test_recall_at_a_precision_is_the_best_of_all_thresholds(
    rows: list[tuple[int, int, int]], precision: float
) -> None:
    logits, labels, truth = (np.array(column) for column in zip(*rows, strict=True))
    doubt = doubts(logits, labels)
    best = [
        score.recall
        for threshold in np.unique(doubt)
        if (score := score_suspects(doubt >= threshold, labels, truth)).both >= precision * score.suspects
    ]
    answer = recall_at_precision(doubts(logits, labels), labels, truth, precision)
    assert answer == pytest.approx(max(best, default=0), nan_ok=True) or np.isnan(answer)
    assert np.isnan(answer) == (not score_suspects(doubt > 99, labels, truth).wrong)


def test_confident_learning_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 2, 300), rng.integers(0, 2, 300)
    real = 1 / (1 + np.exp(-logits))
    usual = [(1 - real)[labels == 0].mean(), real[labels == 1].mean()]
    expected = []
    for chance, label in zip(real, labels, strict=True):
        likely = {at: p for at, p in ((0, 1 - chance), (1, chance)) if p >= usual[at]}
        expected.append(bool(likely) and max(likely, key=lambda label: likely[label]) != label)
    assert find_suspects(logits, labels, "confident").tolist() == expected


def test_a_rule_that_takes_a_class_or_a_stratum_is_stopped() -> None:
    labels = np.repeat([0, 1], 100)
    with pytest.raises(SuspectError, match="all 100 real labels are suspect"):
        check_suspect_shares(labels == 1, labels, {}, CLASSES)
    faint = np.where(np.arange(200) % 2, "faint", "bright")
    with pytest.raises(SuspectError, match="100 labels with magnitude faint are suspect"):
        check_suspect_shares((np.arange(200) < 60) & (faint == "faint"), labels, {"magnitude": faint}, CLASSES)


def test_an_unlabelled_candidate_is_never_suspect() -> None:
    logits, labels = np.array([9.0, -9.0]), np.array([-1, -1])
    for rule in ("misclassified", "threshold", "confident"):
        assert not find_suspects(logits, labels, rule).any()  # type: ignore[arg-type]


def test_probabilities_equal_to_the_limit_are_not_suspect() -> None:
    assert find_suspects(np.array([0.0, 0.0]), np.array([0, 1]), "misclassified").tolist() == [False, False]
    limit = np.log(0.75 / 0.25)
    labels = np.zeros(2, int)
    assert find_suspects(np.array([limit - 1e-6, limit + 1e-6]), labels, "threshold", 0.75).tolist() == [False, True]


def test_confident_learning_without_a_class_suspects_nothing() -> None:
    assert not find_suspects(np.array([2.0, -2.0]), np.array([1, 1]), "confident").any()


def test_one_label_of_a_class_that_is_not_suspect_is_enough() -> None:
    labels = np.repeat([0, 1], 10)
    suspect = labels == 1
    suspect[-1] = False
    check_suspect_shares(suspect, labels, {}, CLASSES)
    check_suspect_shares(np.ones(10, bool), np.full(10, -1), {}, CLASSES)
    with pytest.raises(SuspectError, match=r"all 10 bogus labels are suspect \(10 are real\)"):
        check_suspect_shares(labels == 0, labels, {}, CLASSES)


@pytest.mark.parametrize(("size", "count", "raises"), [(50, 11, True), (50, 10, False), (49, 40, False)])
def test_strata_of_fifty_may_have_a_fifth_of_suspects(size: int, count: int, raises: bool) -> None:
    labels = np.arange(200) % 2
    strata = np.where(np.arange(200) < size, "a", "")
    suspect = np.arange(200) < count
    if raises:
        with pytest.raises(SuspectError, match=f"{count} of {size} labels with kind a are suspect, more than 20%"):
            check_suspect_shares(suspect, labels, {"kind": strata}, CLASSES)
    else:
        check_suspect_shares(suspect, labels, {"kind": strata}, CLASSES)


def test_no_stratum_and_unlabelled_candidates_are_not_checked() -> None:
    labels = np.repeat([0, 1, -1], 100)
    suspect = (np.arange(300) % 2 == 0) | (labels == -1)
    check_suspect_shares(suspect, labels, {"kind": np.where(labels == -1, "a", "")}, CLASSES)
    check_suspect_shares(suspect, labels, {"kind": np.full(300, "a")}, CLASSES, most=0.5)


def test_handling_changes_suspects_only_and_keeps_the_argument() -> None:
    labels, suspect = np.array([1, 0, 1, -1]), np.array([True, True, False, False])
    expected = {"keep": [1, 0, 1, -1], "flip": [0, 1, 1, -1], "remove": [-1, -1, 1, -1], "unlabel": [-1, -1, 1, -1]}
    for handling, result in expected.items():
        changed = handled(labels, suspect, handling)  # type: ignore[arg-type]
        assert changed.tolist() == result
        assert changed.dtype == np.int32
    assert labels.tolist() == [1, 0, 1, -1]


def test_without_suspects_or_wrong_labels_the_score_is_not_a_number() -> None:
    labels, truth = np.array([1, 0]), np.array([1, 1])
    score = score_suspects(np.zeros(2, bool), labels, truth)
    assert np.isnan(score.precision)
    assert (score.recall, score.suspects, score.wrong, score.both) == (0, 0, 1, 0)
    assert np.isnan(score_suspects(np.ones(2, bool), labels, labels).recall)


def test_recall_at_precision_of_a_known_ranking() -> None:
    """Doubts 3, 2, 1, 0 of which the first, third and fourth are wrong."""
    logits, labels, truth = np.array([3.0, 2.0, 1.0, 0.0]), np.zeros(4, int), np.array([1, 0, 1, 1])
    assert recall_at_precision(doubts(logits, labels), labels, truth, 1.0) == pytest.approx(1 / 3)
    assert recall_at_precision(doubts(logits, labels), labels, truth, 0.75) == 1
    assert recall_at_precision(doubts(logits, labels), labels, truth, 0.76) == pytest.approx(1 / 3)
    assert recall_at_precision(doubts(-logits, 1 - labels), 1 - labels, 1 - truth, 0.75) == 1


THREE = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.35, 0.25, 0.4], [0.5, 0.1, 0.4], [0.2, 0.2, 0.6]])


def test_the_rules_suggest_the_class_of_several_that_they_hold_for_right() -> None:
    labels = np.array([0, 0, 1, 2, UNLABELLED])
    assert suggest_labels(THREE, labels, "misclassified").tolist() == [0, 1, 2, 0, UNLABELLED]
    assert suggest_labels(THREE, labels, "threshold", 0.55).tolist() == [0, 1, 1, 2, UNLABELLED]
    assert suggest_labels(THREE, labels, "misclassified").dtype == np.int32


def test_ranking_scores_of_known_rows() -> None:
    labels = np.array([0, 0, 1, 2, UNLABELLED])
    np.testing.assert_allclose(own_probabilities(THREE, labels), [0.7, 0.1, 0.25, 0.4, np.nan])
    np.testing.assert_allclose(normalised_margins(THREE, labels), [0.5, -0.5, -0.15, -0.1, np.nan])


@given(seed=st.integers(0, 50), classes=st.integers(2, 5), count=st.integers(1, 60))
def test_the_confident_joint_counts_each_sample_at_most_once_and_its_off_diagonal_is_the_confident_rule(
    seed: int, classes: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(classes), count), rng.integers(-1, classes, count)
    limits, joint = class_thresholds(probabilities, labels), confident_joint(probabilities, labels)
    expected, suggested = np.zeros((classes, classes), int), labels.copy()
    for row, label in enumerate(labels):
        reached = [at for at in range(classes) if probabilities[row, at] >= limits[at]]
        if label != UNLABELLED and reached:
            suggested[row] = max(reached, key=lambda at: probabilities[row, at])
            expected[label, suggested[row]] += 1
    assert joint.tolist() == expected.tolist()
    assert suggest_labels(probabilities, labels, "confident").tolist() == suggested.tolist()
    shares = estimated_joint(joint, labels)
    counts = np.bincount(labels[labels != UNLABELLED], minlength=classes)
    np.testing.assert_allclose(shares.sum(axis=1) * max(counts.sum(), 1), counts)


def test_the_estimated_joint_finds_the_noise_of_a_known_confusion() -> None:
    """A fifth of the second class is labelled the first; probabilities are those of the true class, without doubt."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 3000)
    labels = np.where((truth == 1) & (rng.random(3000) < 0.2), 0, truth)
    probabilities = np.full((3000, 3), 0.0625)
    probabilities[np.arange(3000), truth] = 0.875
    shares = estimated_joint(confident_joint(probabilities, labels), labels)
    assert shares[0, 1] == pytest.approx(np.mean((labels == 0) & (truth == 1)))
    assert shares[[0, 1, 1, 2, 2], [2, 0, 2, 0, 1]].tolist() == [0] * 5


def test_several_classes_are_counted_in_the_message_and_relabelled_to_the_suggestion() -> None:
    labels = np.repeat([0, 1, 2], [4, 3, 2])
    with pytest.raises(SuspectError, match=r"all 3 S labels are suspect \(4 are E, 2 are SB\)"):
        check_suspect_shares(labels == 1, labels, {}, ("E", "S", "SB"))
    suggested = np.array([0, 2, 0, 0, 1, 1, 1, 0, 2])
    assert handle_suspects(labels, suggested, "relabel").tolist() == suggested.tolist()
    for handling in ("weight", "soft", "keep"):
        assert handle_suspects(labels, suggested, handling).tolist() == labels.tolist()  # type: ignore[arg-type]
    assert handle_suspects(labels, suggested, "remove").tolist() == [0, -1, 0, 0, 1, 1, 1, -1, 2]
