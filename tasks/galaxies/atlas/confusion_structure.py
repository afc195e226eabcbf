"""The structure of a galaxy model's confusions: neighbours on the scales of the Hubble sequence, bars, families.

A scheme whose classes are on no scale, or differ in one way only, has no structure.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.labels.confusions import BAR, KINDS, NEIGHBOURS, UNRELATED, HubbleType, hubble_type, kind_of_confusion
from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.reports.page import Cell, Table

QUESTIONS: dict[str, tuple[Callable[[HubbleType], bool], Callable[[HubbleType], Any]]] = {
    "elliptical or disc": (lambda kind: True, lambda kind: kind.family),
    "roundness, ellipticals": (
        lambda kind: kind.family == "elliptical" and kind.step is not None,
        lambda kind: kind.step,
    ),
    "barred or not, discs": (lambda kind: kind.family == "disc" and kind.barred is not None, lambda kind: kind.barred),
    "bulge, discs": (lambda kind: kind.family == "disc" and kind.step is not None, lambda kind: kind.step),
}
"""Question -> which types it is asked of, and the type's answer."""


@dataclass(frozen=True)
class ConfusionStructure:
    """Confusions by kind, from a confusion matrix with labels along rows.

    Attributes
    ----------
    counts : (classes, classes) int
    classes : list of str
    """

    counts: NDArray[np.int64]
    classes: list[str]

    @cached_property
    def possible(self) -> list[str]:
        """The kinds that two classes of the scheme can differ in."""
        found = {kind_of_confusion(a, b) for a in self.classes for b in self.classes if a != b}
        return [kind for kind in KINDS if kind in found]

    @property
    def is_informative(self) -> bool:
        """Whether classes differ in more than one way along the scales."""
        return len(set(self.possible) - {UNRELATED}) > 1

    @cached_property
    def mistakes(self) -> int:
        """Number of mistakes."""
        return int(self.counts.sum() - np.trace(self.counts))

    @cached_property
    def by_kind(self) -> Counter[str]:
        """Number of mistakes of each kind."""
        found: Counter[str] = Counter()
        for label, predicted in zip(*np.nonzero(self.counts), strict=True):
            if label != predicted:
                kind = kind_of_confusion(self.classes[label], self.classes[predicted])
                found[kind] += int(self.counts[label, predicted])
        return found

    @cached_property
    def without_structure(self) -> dict[str, float]:
        """Expected mistakes of each kind if those of a class fell on the others in proportion to their samples."""
        labelled, expected = self.counts.sum(axis=1), dict.fromkeys(self.possible, 0.0)
        for label, name in enumerate(self.classes):
            others = np.delete(np.arange(len(self.classes)), label)
            wrong, samples = labelled[label] - self.counts[label, label], labelled[others].sum()
            for other in others if samples else ():
                expected[kind_of_confusion(name, self.classes[other])] += wrong * labelled[other] / samples
        return expected

    def accuracy_within(self, *kinds: str) -> Interval:
        """Return the share of samples that are right or wrong by one of `kinds` only; Wilson's interval."""
        right = int(np.trace(self.counts)) + sum(self.by_kind[kind] for kind in kinds)
        return measures.rate(right, int(self.counts.sum()))

    @cached_property
    def within_one_step(self) -> Interval:
        """Share of samples that are right or off by one step of roundness or bulge."""
        return self.accuracy_within(*NEIGHBOURS)

    @cached_property
    def within_one_step_or_bar(self) -> Interval:
        """Share of samples that are right, off by one step, or off by the bar alone."""
        return self.accuracy_within(*NEIGHBOURS, BAR)

    def summary(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            **self.within_one_step.to_summary("within_one_step"),
            **self.within_one_step_or_bar.to_summary("within_one_step_or_bar"),
            "mistakes": {kind: self.by_kind[kind] for kind in self.possible},
        }

    def tables(self) -> dict[str, Table]:
        """Return the tables by name."""
        steps = self._bulge_steps()
        return {"confusion_kinds": self._kinds(), "questions": self._questions()} | (
            {"bulge_steps": steps} if steps else {}
        )

    def _kinds(self) -> Table:
        rows: list[list[Cell]] = []
        for kind in self.possible:
            expected = self.without_structure[kind] / max(self.mistakes, 1)
            wrong = self.by_kind[kind]
            rows.append([kind, wrong, *_rate_cells(wrong, self.mistakes), f"{expected:.3f}"])
        caption = (
            f"The {self.mistakes} mistakes by what separates label and prediction. {_percent(self.within_one_step)} of "
            f"all {int(self.counts.sum())} samples are right or off by one step, "
            f"{_percent(self.within_one_step_or_bar)} with those off by the bar alone. The last column is the share if "
            "mistakes fell on the other classes in proportion to their samples"
        )
        return Table(
            caption, ["label and prediction differ by", "mistakes", "share", "95 %", "without structure"], rows
        )

    def _questions(self) -> Table:
        rows: list[list[Cell]] = []
        for question, (is_asked, answer) in QUESTIONS.items():
            asked, right = self._answers(is_asked, answer)
            if len({answer(kind) for kind in self._types if kind and is_asked(kind)}) > 1:
                rows.append([question, asked, right, *_rate_cells(right, asked)])
        caption = "Questions apart, among samples of which both label and prediction answer the question"
        return Table(caption, ["question", "samples", "right", "accuracy", "95 %"], rows)

    @cached_property
    def _types(self) -> list[HubbleType | None]:
        """The type of each class."""
        return [hubble_type(name) for name in self.classes]

    def _answers(self, is_asked: Callable[[HubbleType], bool], answer: Callable[[HubbleType], Any]) -> tuple[int, int]:
        """Return how many samples a question is asked of, and how many have the right answer."""
        kinds = self._types
        asked = np.array([kind is not None and is_asked(kind) for kind in kinds])
        answers = [answer(kind) if kind else None for kind in kinds]
        same = np.array([[one == other for other in answers] for one in answers])
        both = np.outer(asked, asked)
        return int(self.counts[both].sum()), int(self.counts[both & same].sum())

    def _bulge_steps(self) -> Table | None:
        """Return how far predictions of discs are from their labels along the bulge scale, or None without letters."""
        letters = {at: kind.step for at, kind in enumerate(self._types) if kind and kind.family == "disc"}
        steps_of = {at: step for at, step in letters.items() if step is not None}
        if len(set(steps_of.values())) < 2:
            return None
        found: dict[bool, Counter[int]] = {False: Counter(), True: Counter()}
        for label, step in steps_of.items():
            for predicted, other in steps_of.items():
                found["B" in self.classes[label]][other - step] += int(self.counts[label, predicted])
        whole = sum(found[False].values()) + sum(found[True].values())
        rows: list[list[Cell]] = []
        for step in sorted(set(found[False]) | set(found[True])):
            unbarred, barred = found[False][step], found[True][step]
            rows.append(
                [
                    f"{step:+d}".replace("-", "−") if step else "0",
                    unbarred,
                    barred,
                    *_rate_cells(unbarred + barred, whole),
                ]
            )
        caption = "Discs predicted as discs: steps from the labelled to the predicted bulge, positive for a smaller one"
        return Table(caption, ["steps", "labelled unbarred", "labelled barred", "share", "95 %"], rows)


def _rate_cells(count: int, of: int) -> list[str]:
    """Return a rate and its interval as the texts of two cells."""
    rate = measures.rate(count, of)
    return [f"{rate.value:.3f}", rate.ends(".3f", "–")] if of else ["–", ""]


def _percent(interval: Interval) -> str:
    return f"{interval.value:.1%} [{interval.ends('.1%', ', ')}]".replace("%", " %")
