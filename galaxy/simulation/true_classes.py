"""The class of a scheme that a simulated galaxy truly has."""

from collections.abc import Sequence

from galaxy.labels.schemes import Scheme

_TEXTS = {"E0": "Er", "E3": "Ei", "E7": "Ec", "edge_on": "Ser", "artifact": "A"}
"""Class string of a word of the truth table; the discs are written alike."""


def true_classes(scheme: Scheme, truth: Sequence[str | None]) -> list[str | None]:
    """Return the class of each word of a synthetic sky's column ``truth``; None where the scheme leaves it out."""
    classes = {word: None if word is None else scheme.assign(_TEXTS.get(word, word)).label for word in set(truth)}
    return [classes[word] for word in truth]
