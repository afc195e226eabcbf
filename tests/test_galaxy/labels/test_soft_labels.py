"""Soft labels: shares of the classes by the votes, as products along the decision tree."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galaxy.labels.labelling import label_rows
from galaxy.labels.schemes import Scheme, load_scheme
from galaxy.labels.soft_labels import FRACTION, class_leaves, soft_labels
from galaxy.labels.votes import QUESTIONS

GZ2 = ["deck-3", "deck-7", "deck-9", "deck-11", "barchi-9"]


def drawn_votes(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Debiased fractions of every question, which do not sum to 1."""
    rng = np.random.default_rng(seed)
    votes = {}
    for question, answers in QUESTIONS.items():
        shares = rng.dirichlet(np.ones(len(answers)), rows) * rng.uniform(0.4, 1.5, (rows, 1))
        votes |= {f"{question}_{answer}_debiased": shares[:, place] for place, answer in enumerate(answers)}
    return votes


def table(votes: dict[str, np.ndarray], text: str = "Er") -> pa.Table:
    rows = len(next(iter(votes.values())))
    ids = [str(row) for row in range(rows)]
    columns = {name: pa.array(values, pa.float32(), from_pandas=True) for name, values in votes.items()}
    return pa.table({"id": ids, "gz2_class": [text] * rows, **columns})


def shares(scheme: Scheme, votes: dict[str, np.ndarray]) -> np.ndarray:
    found = soft_labels(scheme, table(votes))
    assert found is not None
    return found


@pytest.mark.parametrize("name", GZ2)
@settings(max_examples=10)
@given(seed=st.integers(0, 1 << 30))
def test_shares_sum_to_one_and_scaling_a_question_changes_nothing(name: str, seed: int) -> None:
    scheme = load_scheme(name)
    found = shares(scheme, drawn_votes(6, seed))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found >= 0).all()
    doubled = drawn_votes(6, seed)
    for answer in QUESTIONS["t01_smooth_or_features"]:
        doubled[f"t01_smooth_or_features_{answer}_debiased"] *= 2
    np.testing.assert_allclose(shares(scheme, doubled), found, atol=1e-6)


def test_a_leaf_is_the_product_along_its_path_and_what_is_excluded_is_left_out() -> None:
    votes = {name: np.zeros(1) for name in drawn_votes(1, 0)}
    given = {
        "t01_smooth_or_features": (0.5, 0.4, 0.1),
        "t02_edgeon": (0.25, 0.75),
        "t03_bar": (0.2, 0.8),
        "t05_bulge_prominence": (0.1, 0.2, 0.3, 0.4),
        "t07_rounded": (0.6, 0.3, 0.1),
    }
    for question, fractions in given.items():
        for answer, fraction in zip(QUESTIONS[question], fractions, strict=True):
            votes[f"{question}_{answer}_debiased"][0] = 3 * fraction
    disc = 0.4 * 0.75
    included = 0.5 + disc
    assert shares(load_scheme("deck-3"), votes)[0] == pytest.approx(
        [0.5 / included, disc * 0.8 / included, disc * 0.2 / included]
    )
    eleven = load_scheme("deck-11")
    by_class = dict(zip(eleven.classes, shares(eleven, votes)[0], strict=True))
    assert by_class["E0"] == pytest.approx(0.5 * 0.6 / included)
    assert by_class["SBa"] == pytest.approx(disc * 0.2 * 0.4 / included)
    assert by_class["Sd"] == pytest.approx(disc * 0.8 * 0.1 / included)
    seven = dict(zip(load_scheme("deck-7").classes, shares(load_scheme("deck-7"), votes)[0], strict=True))
    assert seven["E"] == pytest.approx(0.5 / (0.5 + disc * 0.9))
    assert "Sd" not in seven


@settings(max_examples=20)
@given(seed=st.integers(0, 1 << 30))
def test_a_coarser_scheme_sums_the_classes_of_a_finer_one(seed: int) -> None:
    votes = drawn_votes(5, seed)
    three, eleven = load_scheme("deck-3"), load_scheme("deck-11")
    fine = shares(eleven, votes)
    kind = ["E" if name.startswith("E") else "SB" if name.startswith("SB") else "S" for name in eleven.classes]
    summed = np.stack([fine[:, [one == name for one in kind]].sum(axis=1) for name in three.classes], axis=1)
    np.testing.assert_allclose(summed, shares(three, votes), atol=1e-6)


def test_a_question_that_nobody_was_asked_matters_only_where_somebody_would_be() -> None:
    votes = drawn_votes(3, 1)
    for answer in QUESTIONS["t03_bar"]:
        votes[f"t03_bar_{answer}_debiased"][:2] = (0.0, np.nan)
    votes["t01_smooth_or_features_a02_features_or_disk_debiased"][0] = 0.0
    found = shares(load_scheme("deck-3"), votes)
    np.testing.assert_allclose(found[0], [1, 0, 0])
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[2]).all()


def test_a_row_of_which_all_is_excluded_is_unknown() -> None:
    votes = drawn_votes(1, 2)
    for answer, fraction in zip(QUESTIONS["t01_smooth_or_features"], (0, 0, 1), strict=True):
        votes[f"t01_smooth_or_features_{answer}_debiased"][0] = fraction
    assert np.isnan(shares(load_scheme("deck-3"), votes)).all()


def test_without_the_votes_or_the_questions_there_are_no_soft_labels() -> None:
    votes = drawn_votes(2, 3)
    assert soft_labels(load_scheme("gz1-2class"), table(votes)) is None
    del votes["t03_bar_a06_bar_debiased"]
    assert soft_labels(load_scheme("deck-3"), table(votes)) is None
    assert not [name for name in label_rows(load_scheme("deck-3"), table(votes)).column_names if FRACTION in name]


def test_a_label_table_has_the_shares_of_labelled_rows_alone() -> None:
    scheme = load_scheme("deck-3")
    votes = drawn_votes(2, 4)
    rows = pa.concat_tables([table(votes).slice(0, 1), table(votes, "Ser").slice(1, 1)])
    labels = label_rows(scheme, rows)
    names = [f"{FRACTION}{name}" for name in scheme.classes]
    assert labels.column_names[-3:] == names
    assert {str(labels[name].type) for name in names} == {"float"}
    assert sum(labels[name][0].as_py() for name in names) == pytest.approx(1)
    assert [labels[name][1].as_py() for name in names] == [None] * 3


@pytest.mark.parametrize(("name", "count"), [("deck-3", 3), ("deck-7", 7), ("deck-11", 11)])
def test_the_tree_is_cut_behind_the_last_question_that_a_scheme_tests(name: str, count: int) -> None:
    leaves = class_leaves(load_scheme(name))
    assert len(leaves) == count
    assert sorted(leaves.values()) == list(range(count))
