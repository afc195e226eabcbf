"""Classes of a coarse scheme as sums of the classes of a finer one, whose model then answers for both.

A probability of E is the sum over E0, E3 and E7. A class that the coarse scheme leaves out (Sd and SBd of deck-7) takes
no part: the answer is the probability given that the galaxy is of none such.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxy.labels.schemes import Scheme, SchemeError
from galaxy.labels.votes import every_class


@dataclass(frozen=True)
class SchemeSums:
    """Which classes of a finer scheme add up to each class of a coarse one.

    Attributes
    ----------
    fine, coarse : str
        Names of the schemes.
    classes : tuple of str
        The coarse scheme's classes, in its order.
    leads_to : dict
        By class of the finer scheme, in its order: the coarse class that it is a part of, None where it is left out.
    unlearned : tuple of str
        Coarse classes that hold class texts which the finer scheme leaves out, so that its model never saw them.
    """

    fine: str
    coarse: str
    classes: tuple[str, ...]
    leads_to: Mapping[str, str | None]
    unlearned: tuple[str, ...]

    @property
    def left_out(self) -> list[str]:
        """The finer scheme's classes that the coarse one leaves out."""
        return [name for name, coarse in self.leads_to.items() if coarse is None]


def find_sums(fine: Scheme, coarse: Scheme) -> SchemeSums:
    """Return the classes of `fine` that add up to each class of `coarse`, compared on every possible class text.

    Raises
    ------
    SchemeError
        The schemes read other columns or another grammar, a class of `fine` belongs to several classes of `coarse` or
        in part to none, or a class of `coarse` has no part.
    """
    if (fine.columns, fine.grammar) != (coarse.columns, coarse.grammar):
        raise SchemeError(
            f"classes of scheme {fine.name} do not add up to those of {coarse.name}: it reads "
            f"{' or '.join(fine.columns)} by grammar {fine.grammar}, the other {' or '.join(coarse.columns)} by "
            f"grammar {coarse.grammar}"
        )
    labels = [(text, fine.assign(text).label, coarse.assign(text).label) for text in _texts(fine, coarse)]
    leads_to = _wholes_of_parts(fine, coarse, labels)
    for name in coarse.classes:
        if name not in leads_to.values():
            raise SchemeError(f"class {name!r} of scheme {coarse.name} has no part among the classes of {fine.name}")
    unlearned = {whole for _, part, whole in labels if part is None and whole is not None}
    ordered = tuple(name for name in coarse.classes if name in unlearned)
    return SchemeSums(fine.name, coarse.name, coarse.classes, leads_to, ordered)


def _wholes_of_parts(
    fine: Scheme, coarse: Scheme, labels: Sequence[tuple[str, str | None, str | None]]
) -> dict[str, str | None]:
    """Return the class of `coarse` that each class of `fine` is a part of, from (text, part, whole) of every text.

    Raises
    ------
    SchemeError
        A class of `fine` belongs to several, or in part to none.
    """
    examples: dict[str, dict[str | None, str]] = {name: {} for name in fine.classes}
    for text, part, whole in labels:
        if part is not None:
            examples[part].setdefault(whole, text)
    for name, wholes in examples.items():
        if len(wholes) > 1:
            shown = ", ".join(f"{text!r} {_words(whole)}" for whole, text in list(wholes.items())[:2])
            raise SchemeError(
                f"class {name!r} of scheme {fine.name} is not a part of one class of {coarse.name}: there {shown}; "
                "sums need a finer scheme"
            )
    return {name: next(iter(wholes)) for name, wholes in examples.items()}


def summed_probabilities(probabilities: NDArray, sums: SchemeSums) -> NDArray[np.float64]:
    """Return the probabilities of the coarse classes, each row of sum 1.

    Parameters
    ----------
    probabilities : (n, finer classes)
        In the order of the finer scheme's classes.
    sums : SchemeSums

    Returns
    -------
    (n, classes)
        A row whose whole probability is on classes that are left out has no answer: all classes are equal there.

    Raises
    ------
    ValueError
        There are more or fewer columns than classes of the finer scheme.
    """
    if probabilities.shape[1] != len(sums.leads_to):
        raise ValueError(
            f"scheme {sums.fine} has {len(sums.leads_to)} classes, the probabilities {probabilities.shape[1]} columns"
        )
    is_part = np.array([[whole == name for name in sums.classes] for whole in sums.leads_to.values()], float)
    added = probabilities.astype(float) @ is_part  # (n, classes)
    total = added.sum(axis=1, keepdims=True)
    return np.divide(added, total, out=np.full_like(added, 1 / len(sums.classes)), where=total > 0)


def _texts(fine: Scheme, coarse: Scheme) -> Iterator[str]:
    """Yield every possible class text of the schemes' grammar, or the texts that they name."""
    if fine.grammar == "gz2":
        yield from map(str, every_class())
        return
    conditions = [rule.when for scheme in (fine, coarse) for rule in scheme.rules]
    conditions += [item.when for scheme in (fine, coarse) for item in scheme.exclude]
    yield from dict.fromkeys(text for when in conditions for text in when.text or ())


def _words(label: str | None) -> str:
    return "is left out" if label is None else f"is {label}"
