"""Galaxy Zoo 2's decision tree: 11 questions, 37 answers, and the `gz2_class` string that they make.

Sources: Willett et al. 2013 (tree, class string), Hart et al. 2016 (column names). Vote fractions are dimensionless.

The class string::

    smooth      E (r|i|c)                        r completely round, i in between, c cigar
    edge-on     S e (r|b|n)                      bulge rounded, boxy, none
    face-on     S [B] (a|b|c|d) [(1|2|3|4|+|?) (t|m|l)]
                                                 B barred; bulge dominant, obvious, just noticeable, none;
                                                 number of arms; tight, medium, loose
    odd         a trailing (r|l|d|i|o|m|u)       ring, lens or arc, disturbed, irregular, other, merger, dust lane
    star        A
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa

Kind = Literal["smooth", "edge_on", "face_on", "star"]

# Answers in the published column order; a38 sits inside t08 and there is no a35.
QUESTIONS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "t01_smooth_or_features": ("a01_smooth", "a02_features_or_disk", "a03_star_or_artifact"),
        "t02_edgeon": ("a04_yes", "a05_no"),
        "t03_bar": ("a06_bar", "a07_no_bar"),
        "t04_spiral": ("a08_spiral", "a09_no_spiral"),
        "t05_bulge_prominence": ("a10_no_bulge", "a11_just_noticeable", "a12_obvious", "a13_dominant"),
        "t06_odd": ("a14_yes", "a15_no"),
        "t07_rounded": ("a16_completely_round", "a17_in_between", "a18_cigar_shaped"),
        "t08_odd_feature": (
            "a19_ring",
            "a20_lens_or_arc",
            "a21_disturbed",
            "a22_irregular",
            "a23_other",
            "a24_merger",
            "a38_dust_lane",
        ),
        "t09_bulge_shape": ("a25_rounded", "a26_boxy", "a27_no_bulge"),
        "t10_arms_winding": ("a28_tight", "a29_medium", "a30_loose"),
        "t11_arms_number": ("a31_1", "a32_2", "a33_3", "a34_4", "a36_more_than_4", "a37_cant_tell"),
    }
)
STEMS: tuple[str, ...] = tuple(f"{question}_{answer}" for question in QUESTIONS for answer in QUESTIONS[question])
MEASURES: tuple[str, ...] = ("count", "weight", "fraction", "weighted_fraction", "debiased", "flag")

# Field -> its question, and one letter for each answer in the order of the answers.
LETTERS: MappingProxyType[str, tuple[str, str]] = MappingProxyType(
    {
        "shape": ("t07_rounded", "ric"),
        "edge_bulge": ("t09_bulge_shape", "rbn"),
        "bulge": ("t05_bulge_prominence", "dcba"),
        "arms": ("t11_arms_number", "1234+?"),
        "winding": ("t10_arms_winding", "tml"),
        "odd": ("t08_odd_feature", "rldiomu"),
    }
)
# Kind -> the first questions of the tree and the answers that lead to the kind.
_KIND_ANSWERS = {
    "smooth": {"t01_smooth_or_features": 0},
    "edge_on": {"t01_smooth_or_features": 1, "t02_edgeon": 0},
    "face_on": {"t01_smooth_or_features": 1, "t02_edgeon": 1},
    "star": {"t01_smooth_or_features": 2},
}
_GRAMMAR = re.compile(
    r"(?P<star>A)"
    r"|(?:E(?P<shape>[ric])"
    r"|Se(?P<edge_bulge>[rbn])"
    r"|S(?P<bar>B?)(?P<bulge>[a-d])(?:(?P<arms>[1234+?])(?P<winding>[tml]))?)"
    r"(?:\((?P<odd>[rldiomu])\))?"
)


@dataclass(frozen=True)
class GalaxyClass:
    """One parsed class string; fields outside its branch of the tree are None."""

    kind: Kind
    shape: str | None = None
    edge_bulge: str | None = None
    barred: bool | None = None
    bulge: str | None = None
    arms: str | None = None
    winding: str | None = None
    odd: str | None = None

    def __str__(self) -> str:
        odd = f"({self.odd})" if self.odd else ""
        if self.kind == "star":
            return "A"
        if self.kind == "smooth":
            return f"E{self.shape}{odd}"
        if self.kind == "edge_on":
            return f"Se{self.edge_bulge}{odd}"
        return f"S{'B' if self.barred else ''}{self.bulge}{self.arms or ''}{self.winding or ''}{odd}"

    def answers(self, fields: frozenset[str]) -> dict[str, int]:
        """Return the answers on the tree's path that decide `fields`, as question -> index of the answer.

        The path always holds the questions that lead to the kind; ``fields`` adds those of the other fields.
        """
        path = dict(_KIND_ANSWERS[self.kind])
        path |= {question: 0 if yes else 1 for question, yes in self._yes_or_no(fields)}
        for field, (question, letters) in LETTERS.items():
            letter = getattr(self, field)
            if field in fields and letter is not None:
                path[question] = letters.index(letter)
        return path

    def _yes_or_no(self, fields: frozenset[str]) -> Iterator[tuple[str, bool]]:
        """Yield the questions with the answers yes (index 0) and no (1) that decide `fields`, in the tree's order."""
        if "barred" in fields and self.barred is not None:
            yield "t03_bar", self.barred
        if fields & {"arms", "winding"} and self.kind == "face_on":
            yield "t04_spiral", self.arms is not None
        if "odd" in fields and self.kind != "star":
            yield "t06_odd", self.odd is not None


def parse_class(text: str) -> GalaxyClass:
    """Parse one class string; surrounding blanks (fixed-width FITS text) are allowed, case matters (SBb is not Sbb).

    Raises
    ------
    ValueError
        The text is not of the grammar.
    """
    parsed = _GRAMMAR.fullmatch(text.strip())
    if parsed is None:
        raise ValueError(f"{text!r} is not a gz2_class string (such as Er, Sen, SBc2m, Sb(r) or A)")
    part = parsed.groupdict()
    if part["star"]:
        return GalaxyClass("star")
    if part["shape"]:
        return GalaxyClass("smooth", shape=part["shape"], odd=part["odd"])
    if part["edge_bulge"]:
        return GalaxyClass("edge_on", edge_bulge=part["edge_bulge"], odd=part["odd"])
    return GalaxyClass(
        "face_on",
        barred=bool(part["bar"]),
        bulge=part["bulge"],
        arms=part["arms"],
        winding=part["winding"],
        odd=part["odd"],
    )


def every_class() -> Iterator[GalaxyClass]:
    """Yield each of the 1,265 classes of the grammar."""
    odds = (None, *LETTERS["odd"][1])
    spirals = ((None, None), *product(LETTERS["arms"][1], LETTERS["winding"][1]))
    yield GalaxyClass("star")
    for shape, odd in product(LETTERS["shape"][1], odds):
        yield GalaxyClass("smooth", shape=shape, odd=odd)
    for edge_bulge, odd in product(LETTERS["edge_bulge"][1], odds):
        yield GalaxyClass("edge_on", edge_bulge=edge_bulge, odd=odd)
    for barred, bulge, (arms, winding), odd in product((False, True), "abcd", spirals, odds):
        yield GalaxyClass("face_on", None, None, barred, bulge, arms, winding, odd)


def question_values(table: pa.Table | pa.RecordBatch, question: str, measure: str) -> np.ndarray:
    """Return one measure of a question's answers, float32 (rows, answers); NaN where missing.

    All is NaN where the table lacks the column of an answer: the others' shares say nothing without it.
    """
    names = [f"{question}_{answer}_{measure}" for answer in QUESTIONS[question]]
    if not set(names) <= set(table.schema.names):
        return np.full((table.num_rows, len(names)), np.nan, np.float32)
    return np.stack([_numbers(table.column(name)) for name in names], axis=1)  # (rows, answers)


def derive_classes(table: pa.Table | pa.RecordBatch, measure: str = "debiased") -> pa.Array:
    """Derive the class string of each row from its vote fractions, by the rules of the tables' producers.

    Plurality at every question; edge-on and odd win a tie with "no", bar and spiral lose it, other ties go to the
    first answer. A missing fraction cannot win. A row is null where all fractions of a question it needs are missing.

    Parameters
    ----------
    table
        Rows with the 37 answers' columns of `measure`.
    measure
        ``debiased`` as the producers do; ``fraction`` (raw) changes a fifth of the classes.
    """
    best, has_votes = {}, {}
    for question, answers in QUESTIONS.items():
        columns = (table.column(f"{question}_{answer}_{measure}") for answer in answers)
        best[question], has_votes[question] = _plurality([_numbers(column) for column in columns])
    for question in ("t03_bar", "t04_spiral"):
        yes, no = (_numbers(table.column(f"{question}_{answer}_{measure}")) for answer in QUESTIONS[question])
        best[question] = np.where((yes > no) | (np.isnan(no) & ~np.isnan(yes)), 0, 1)
    return _spell(best, has_votes)


def _numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float32()).to_numpy(zero_copy_only=False)


def _plurality(shares: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the (first) largest share, int64 (rows,), and whether any is finite, bool (rows,)."""
    best = np.zeros(len(shares[0]), np.int64)
    top = np.where(np.isnan(shares[0]), -np.inf, shares[0])
    for number, share in enumerate(shares[1:], 1):
        larger = share > top  # never true of NaN
        best[larger] = number
        top = np.where(larger, share, top)
    return best, top > -np.inf


# Every class string, at the index that `_spell` computes: 159 forms (star, smooth, edge-on, face-on by bar and bulge
# with no arms or one of 18 kinds) times 8 for nothing odd or one of seven.
_SPIRALS = ("", *(f"{arms}{winding}" for arms, winding in product(LETTERS["arms"][1], LETTERS["winding"][1])))
_FACE_ON = tuple(f"S{bar}{bulge}{arms}" for bar, bulge, arms in product(("", "B"), LETTERS["bulge"][1], _SPIRALS))
_FORMS = ("A", "Er", "Ei", "Ec", "Ser", "Seb", "Sen", *_FACE_ON)
_TEXTS = pa.array([form + odd for form in _FORMS for odd in ("", *(f"({letter})" for letter in LETTERS["odd"][1]))])


def _spell(best: dict[str, np.ndarray], has_votes: dict[str, np.ndarray]) -> pa.Array:
    """Return the class string of the winning answers (question -> (rows,) index); null where one has no votes."""
    smooth, star = best["t01_smooth_or_features"] == 0, best["t01_smooth_or_features"] == 2
    edge_on, face_on = (~smooth & ~star & (best["t02_edgeon"] == answer) for answer in (0, 1))
    spiral, odd = face_on & (best["t04_spiral"] == 0), ~star & (best["t06_odd"] == 0)

    arms = np.where(spiral, 1 + 3 * best["t11_arms_number"] + best["t10_arms_winding"], 0)
    bar_and_bulge = 4 * (best["t03_bar"] == 0) + best["t05_bulge_prominence"]
    form = np.where(face_on, 7 + len(_SPIRALS) * bar_and_bulge + arms, 0)
    form = np.where(smooth, 1 + best["t07_rounded"], np.where(edge_on, 4 + best["t09_bulge_shape"], form))
    place = 8 * form + np.where(odd, 1 + best["t08_odd_feature"], 0)

    needs = {
        "t02_edgeon": edge_on | face_on,
        "t03_bar": face_on,
        "t04_spiral": face_on,
        "t05_bulge_prominence": face_on,
        "t06_odd": ~star,
        "t07_rounded": smooth,
        "t08_odd_feature": odd,
        "t09_bulge_shape": edge_on,
        "t10_arms_winding": spiral,
        "t11_arms_number": spiral,
    }
    unknown = ~has_votes["t01_smooth_or_features"]
    for question, need in needs.items():
        unknown |= need & ~has_votes[question]
    return _TEXTS.take(pa.array(place, mask=unknown))
