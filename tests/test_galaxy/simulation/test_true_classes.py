"""The true class of a simulated galaxy under the shipped schemes."""

import pytest

from galaxy.labels.schemes import load_scheme
from galaxy.simulation.shapes import CLASS_SHARES
from galaxy.simulation.true_classes import true_classes

LEAVES = [name for name in CLASS_SHARES if name not in ("edge_on", "artifact")]


@pytest.mark.parametrize(
    ("scheme", "class_of"),
    [
        ("deck-11", lambda leaf: leaf),
        ("deck-9", lambda leaf: None if leaf.endswith("d") else leaf),
        ("deck-7", lambda leaf: "E" if leaf[0] == "E" else None if leaf.endswith("d") else leaf),
        ("deck-3", lambda leaf: "E" if leaf[0] == "E" else leaf[:-1]),
    ],
)
def test_every_word_of_the_truth_has_its_class(scheme: str, class_of) -> None:  # type: ignore[no-untyped-def]
    words = [*LEAVES, "edge_on", "artifact", None]
    expected = [*map(class_of, LEAVES), None, None, None]
    assert true_classes(load_scheme(scheme), words) == expected
