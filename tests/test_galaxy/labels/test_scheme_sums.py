"""Classes of a coarse scheme as sums of a finer one's."""

import contextlib
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galaxy.labels.scheme_sums import find_sums, summed_probabilities
from galaxy.labels.schemes import SHIPPED, SchemeError, load_scheme
from galaxy.labels.votes import every_class

ELEVEN = load_scheme("deck-11")
COARSE = ("gz2-2class", "deck-3", "deck-7", "deck-9", "barchi-9")


@cache
def sums_of(coarse: str, fine: str = "deck-11"):
    return find_sums(load_scheme(fine), load_scheme(coarse))


@pytest.mark.parametrize("coarse", COARSE)
def test_every_class_text_has_the_coarse_label_that_its_fine_label_leads_to(coarse: str) -> None:
    sums, scheme = sums_of(coarse), load_scheme(coarse)
    assert sums.classes == scheme.classes
    for text in map(str, every_class()):
        fine = ELEVEN.assign(text).label
        assert scheme.assign(text).label == (None if fine is None else sums.leads_to[fine])
    assert sums.unlearned == ()


@pytest.mark.parametrize(
    ("coarse", "left_out"),
    [("gz2-2class", []), ("deck-3", []), ("deck-7", ["Sd", "SBd"]), ("deck-9", ["Sd", "SBd"]), ("barchi-9", [])],
)
def test_seven_and_nine_classes_leave_out_the_bulgeless_discs(coarse: str, left_out: list[str]) -> None:
    assert sums_of(coarse).left_out == left_out


def test_the_sums_of_three_classes_are_those_of_the_letters() -> None:
    one = np.arange(1, 12) / 66  # E0 E3 E7 Sa Sb Sc Sd SBa SBb SBc SBd
    assert summed_probabilities(one[None], sums_of("deck-3"))[0] * 66 == pytest.approx([6, 22, 38])
    assert summed_probabilities(one[None], sums_of("gz2-2class"))[0] * 66 == pytest.approx([6, 60])
    seven = summed_probabilities(one[None], sums_of("deck-7"))[0]
    assert seven * (66 - 7 - 11) == pytest.approx([6, 4, 5, 6, 8, 9, 10])


@pytest.mark.parametrize("coarse", COARSE)
@given(
    logits=arrays(float, (3, 11), elements=st.floats(-60, 60)),
    order=st.permutations(range(3)),
)
def test_sums_are_probabilities_given_that_no_left_out_class_is_true(coarse: str, logits, order) -> None:
    fine = np.exp(logits - logits.max(axis=1, keepdims=True))
    fine /= fine.sum(axis=1, keepdims=True)
    sums = sums_of(coarse)
    summed = summed_probabilities(fine, sums)
    assert summed.sum(axis=1) == pytest.approx(1)
    assert (summed >= 0).all()
    assert (summed_probabilities(fine[order], sums) == summed[order]).all()
    kept = [position for position, name in enumerate(sums.leads_to) if name not in sums.left_out]
    certain = fine[:, kept].sum(axis=1) > 1e-6
    for row in np.flatnonzero(certain):
        odds = fine[row, kept] / fine[row, kept].sum()
        wholes = [list(sums.leads_to.values())[position] for position in kept]
        by_hand = [sum(odds[at] for at, whole in enumerate(wholes) if whole == name) for name in sums.classes]
        assert summed[row] == pytest.approx(by_hand)


def test_two_steps_are_one() -> None:
    fine = np.random.default_rng(0).dirichlet(np.ones(11), 20)
    through_nine = summed_probabilities(summed_probabilities(fine, sums_of("deck-9")), sums_of("deck-7", "deck-9"))
    assert summed_probabilities(fine, sums_of("deck-7")) == pytest.approx(through_nine)


def test_a_row_of_left_out_classes_alone_has_no_answer() -> None:
    sd = np.eye(11)[[6]]
    assert (summed_probabilities(sd, sums_of("deck-7")) == 1 / 7).all()
    assert summed_probabilities(sd, sums_of("deck-3")).tolist() == [[0, 1, 0]]


def test_a_model_that_never_saw_part_of_a_class_is_known_by_it() -> None:
    assert sums_of("deck-3", "deck-9").unlearned == ("S", "SB")
    assert sums_of("deck-7", "deck-9").unlearned == ()


def test_the_other_way_round_and_another_catalogue_are_refused() -> None:
    with pytest.raises(SchemeError, match=r"class 'E' of scheme deck-7 .* of deck-9: there 'Er' is E0, 'Ei' is E3"):
        sums_of("deck-9", "deck-7")
    with pytest.raises(SchemeError, match="class 'Sd' of scheme deck-11 has no part among the classes of deck-9"):
        sums_of("deck-11", "deck-9")
    with pytest.raises(SchemeError, match=r"class 'S' of scheme deck-3 .* 'Sa' is Sa"):
        sums_of("deck-7", "deck-3")
    for gz1 in ("gz1-2class", "gz1-majority-2class"):
        with pytest.raises(SchemeError, match=f"deck-11 do not add up to those of {gz1}.*gz2_class.*the other gz1_"):
            sums_of(gz1)


def test_a_class_that_a_scheme_leaves_out_in_part_is_refused(tmp_path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "odd"\ndescription = "Odd ones left out."\ncolumns = ["gz2_class", "gz2_class_derived"]\n'
        'grammar = "gz2"\nclasses = ["E", "S"]\n'
        'rules = [{ label = "E", when = { kind = "smooth", shape = ["r", "i"] } },'
        ' { label = "S", when = { kind = "face_on", barred = true } },'
        ' { label = "S", when = { kind = "face_on", barred = false, bulge = ["a", "b"] } }]\n'
    )
    sums = find_sums(ELEVEN, load_scheme(str(path)))
    assert sums.left_out == ["E7", "Sc", "Sd"]
    with pytest.raises(SchemeError, match=r"class 'E' of scheme deck-3 .* of odd: there 'Er' is E, 'Ec' is left out"):
        find_sums(load_scheme("deck-3"), load_scheme(str(path)))


def test_texts_of_a_scheme_without_a_grammar_are_those_that_it_names(tmp_path) -> None:
    path = tmp_path / "buttons.toml"
    path.write_text(
        'name = "buttons"\ndescription = "Winding."\ncolumns = ["gz1_majority"]\ngrammar = "text"\n'
        'classes = ["smooth", "left", "right", "edge"]\n'
        'rules = [{ label = "smooth", when = { text = "elliptical" } },'
        ' { label = "left", when = { text = "clockwise" } },'
        ' { label = "right", when = { text = "anticlockwise" } },'
        ' { label = "edge", when = { text = "edge_on" } }]\n'
    )
    sums = find_sums(load_scheme(str(path)), load_scheme("gz1-majority-2class"))
    assert sums.leads_to == {"smooth": "elliptical", "left": "spiral", "right": "spiral", "edge": "spiral"}
    assert summed_probabilities(np.array([[0.1, 0.2, 0.3, 0.4]]), sums)[0] == pytest.approx([0.1, 0.9])


def test_the_shipped_schemes_that_add_up_are_these() -> None:
    found = {fine: [] for fine in SHIPPED}
    for fine, coarse in permutations(SHIPPED, 2):
        with contextlib.suppress(SchemeError):
            found[fine].append(sums_of(coarse, fine).coarse)
    assert {fine: set(coarse) for fine, coarse in found.items() if coarse} == {
        "deck-3": {"gz2-2class"},
        "deck-7": {"gz2-2class", "deck-3"},
        "deck-9": {"gz2-2class", "deck-3", "deck-7"},
        "deck-11": set(COARSE),
        "barchi-9": {"gz2-2class", "deck-3", "deck-7"},
    }


def test_columns_that_are_not_the_finer_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="deck-11 has 11 classes, the probabilities 9 columns"):
        summed_probabilities(np.ones((2, 9)) / 9, sums_of("deck-3"))
