"""The class string's grammar and its derivation from votes."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.labels.votes import LETTERS, QUESTIONS, STEMS, derive_classes, every_class, parse_class

ALL = {str(item): item for item in every_class()}


def votes_table(rows: list[dict[str, float]]) -> pa.Table:
    """A table of debiased fractions: what a row does not name is 0."""
    return pa.table({f"{stem}_debiased": [row.get(stem, 0.0) for row in rows] for stem in STEMS})


def votes_for(text: str) -> dict[str, float]:
    """Fractions whose plurality at every question is the answer that `text` names; unasked questions get no votes."""
    path = ALL[text].answers(frozenset(("barred", "arms", "odd", *LETTERS)))
    shares = {}
    for question, answer in path.items():
        answers = QUESTIONS[question]
        shares |= {f"{question}_{name}": 0.5 / len(answers) for name in answers}
        shares[f"{question}_{answers[answer]}"] = 0.6
    return shares


def test_tree_has_37_answers_and_1265_classes() -> None:
    assert len(STEMS) == len(set(STEMS)) == 37
    assert len(ALL) == 1265


@given(st.sampled_from(sorted(ALL)), st.sampled_from(["", " ", "   "]))
def test_parsing_inverts_writing(text: str, blanks: str) -> None:
    assert parse_class(f"{blanks}{text}{blanks}") == ALL[text]
    assert str(parse_class(text)) == text


@given(st.text(alphabet="AESBeabcdrin1234+?tml(lou)", max_size=8))
def test_text_outside_the_grammar_is_refused(text: str) -> None:
    if text in ALL:
        return
    with pytest.raises(ValueError, match="is not a gz2_class string"):
        parse_class(text)


@pytest.mark.parametrize("text", ["sbb", "SbB", "Sb2", "Sbt", "A(r)", "Se", "E", "", "Sc5m", "SBb(rd)"])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="gz2_class"):
        parse_class(text)


@given(st.lists(st.sampled_from(sorted(ALL)), min_size=1, max_size=20))
def test_votes_for_a_class_give_that_class(texts: list[str]) -> None:
    assert derive_classes(votes_table([votes_for(text) for text in texts])).to_pylist() == texts


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"t02_edgeon_a04_yes": 0.5, "t02_edgeon_a05_no": 0.5, "t09_bulge_shape_a27_no_bulge": 0.9}, "Sen"),
        ({"t03_bar_a06_bar": 0.5, "t03_bar_a07_no_bar": 0.5}, "Sb2m"),
        ({"t04_spiral_a08_spiral": 0.5, "t04_spiral_a09_no_spiral": 0.5}, "Sb"),
        ({"t06_odd_a14_yes": 0.5, "t06_odd_a15_no": 0.5, "t08_odd_feature_a24_merger": 0.7}, "Sb2m(m)"),
        ({"t05_bulge_prominence_a13_dominant": 0.6}, "Sb2m"),
    ],
)
def test_ties_go_as_the_producers_decide_them(changes: dict[str, float], expected: str) -> None:
    assert derive_classes(votes_table([votes_for("Sb2m") | changes])).to_pylist() == [expected]


def test_a_missing_fraction_cannot_win_and_a_question_without_any_leaves_the_class_unknown() -> None:
    one_missing = votes_for("Er") | {"t07_rounded_a16_completely_round": np.nan}
    none_known = votes_for("Er") | {f"t07_rounded_{answer}": np.nan for answer in QUESTIONS["t07_rounded"]}
    not_asked = votes_for("Er") | {f"t09_bulge_shape_{answer}": np.nan for answer in QUESTIONS["t09_bulge_shape"]}
    assert derive_classes(votes_table([one_missing, none_known, not_asked])).to_pylist() == ["Ei", None, "Er"]


def test_raw_fractions_change_the_class_of_a_fifth_of_the_real_table(shared_data) -> None:
    table = pa.csv.read_csv(shared_data / "gz_tables" / "willett13_table5.csv.gz")
    eleven = ("kind", "shape", "edge_bulge", "barred", "bulge")
    coarse = {text: tuple(getattr(item, name) for name in eleven) for text, item in ALL.items()}
    debiased, raw = (derive_classes(table, measure).to_pylist() for measure in ("debiased", "fraction"))
    changed = np.mean([coarse[one] != coarse[other] for one, other in zip(debiased, raw, strict=True)])
    assert changed == pytest.approx(0.216, abs=0.0005)


@pytest.mark.parametrize(
    ("text", "fields", "answers"),
    [
        ("Er", (), {"t01_smooth_or_features": 0}),
        ("A", ("odd",), {"t01_smooth_or_features": 2}),
        ("Sen", (), {"t01_smooth_or_features": 1, "t02_edgeon": 0}),
        ("Sb", (), {"t01_smooth_or_features": 1, "t02_edgeon": 1}),
        ("Er", ("shape",), {"t01_smooth_or_features": 0, "t07_rounded": 0}),
        ("Ec", ("shape",), {"t01_smooth_or_features": 0, "t07_rounded": 2}),
        ("Seb", ("edge_bulge",), {"t01_smooth_or_features": 1, "t02_edgeon": 0, "t09_bulge_shape": 1}),
        ("SBa", ("barred",), {"t01_smooth_or_features": 1, "t02_edgeon": 1, "t03_bar": 0}),
        (
            "Sa",
            ("barred", "bulge"),
            {"t01_smooth_or_features": 1, "t02_edgeon": 1, "t03_bar": 1, "t05_bulge_prominence": 3},
        ),
        ("Sd", ("arms",), {"t01_smooth_or_features": 1, "t02_edgeon": 1, "t04_spiral": 1}),
        (
            "Sd2m",
            ("arms", "winding"),
            {
                "t01_smooth_or_features": 1,
                "t02_edgeon": 1,
                "t04_spiral": 0,
                "t10_arms_winding": 1,
                "t11_arms_number": 1,
            },
        ),
        ("Er(l)", ("odd",), {"t01_smooth_or_features": 0, "t06_odd": 0, "t08_odd_feature": 1}),
        ("Er", ("odd",), {"t01_smooth_or_features": 0, "t06_odd": 1}),
    ],
)
def test_the_path_of_a_class_holds_the_answers_behind_its_fields(text, fields, answers) -> None:
    assert parse_class(text).answers(frozenset(fields)) == answers
