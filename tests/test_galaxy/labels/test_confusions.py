"""Kinds of confusion, of every pair of classes of the shipped schemes."""

from itertools import combinations

import pytest

from galaxy.labels import confusions
from galaxy.labels.confusions import hubble_type, kind_of_confusion
from galaxy.labels.schemes import SHIPPED, load_scheme


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("E0", "E3", confusions.ONE_ROUNDNESS),
        ("E3", "E7", confusions.ONE_ROUNDNESS),
        ("E0", "E7", confusions.MORE_ROUNDNESS),
        ("Sa", "Sb", confusions.ONE_BULGE),
        ("SBc", "SBd", confusions.ONE_BULGE),
        ("Sa", "Sd", confusions.MORE_BULGE),
        ("Sb", "SBb", confusions.BAR),
        ("S", "SB", confusions.BAR),
        ("Sb", "SBc", confusions.BAR_ONE_BULGE),
        ("SBa", "Sd", confusions.BAR_MORE_BULGE),
        ("E7", "Sa", confusions.OTHER_FAMILY),
        ("E", "SBc", confusions.OTHER_FAMILY),
        ("elliptical", "spiral", confusions.OTHER_FAMILY),
        ("E", "E3", confusions.UNRELATED),
        ("S", "Sb", confusions.UNRELATED),
        ("edge-on", "Sb", confusions.UNRELATED),
    ],
)
def test_a_kind_is_the_same_both_ways(first, second, kind):
    assert kind_of_confusion(first, second) == kind_of_confusion(second, first) == kind


@pytest.mark.parametrize("name", ["SBB", "Se", "sb", "E5", "SBb ", ""])
def test_other_names_are_on_no_scale(name):
    assert hubble_type(name) is None


@pytest.mark.parametrize("scheme", SHIPPED)
def test_no_two_classes_of_a_shipped_scheme_are_unrelated(scheme):
    pairs = combinations(load_scheme(scheme).classes, 2)
    assert confusions.UNRELATED not in {kind_of_confusion(*pair) for pair in pairs}
