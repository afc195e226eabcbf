"""The deck's study of E7 galaxies: circularity and aspect ratio of those that a model recognises and of the others.

The deck finds that missed E7 are rounder, and that those of a circularity above 0.65 go to E3.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.images.shapes import Shapes
from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.predictions import BOOTSTRAPS, SEED, Predictions
from tasks.reports import figures as draw
from tasks.reports.page import Cell, Figure, Table, Text

ELONGATED = "E7"
CIRCULARITY_LIMIT = 0.65
"""Of the deck."""
RESOLVED_FROM = 10
"""Fewest samples of a share that is printed, and fewest right and wrong E7 of an AUC."""
SHOWN = 6
"""Images of each kind."""
_IDEAL = {"E0": (1.0, 1.0), "E3": (0.954, 1.43), "E7": (0.616, 3.33)}
"""Circularity and aspect ratio of ellipses of axis ratio 1, 0.7 and 0.3."""


@dataclass(frozen=True)
class E7Study:
    """The galaxies labelled E7, with their shapes.

    Attributes
    ----------
    model : Predictions
    shapes : Shapes
        Of all n samples of the model's predictions.
    origin : str
    """

    model: Predictions
    shapes: Shapes
    origin: str

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """Positions of the E7 whose shape is measured."""
        return np.flatnonzero(self._is_labelled & (self.shapes.reason == ""))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each of `positions` is predicted as E7."""
        return self.model.correct[self.positions]

    @cached_property
    def circularity(self) -> NDArray[np.float64]:
        """Of each of `positions`."""
        return self.shapes.circularity[self.positions]

    @cached_property
    def aspect_ratio(self) -> NDArray[np.float64]:
        """Of each of `positions`."""
        return self.shapes.aspect_ratio[self.positions]

    @cached_property
    def is_round(self) -> NDArray[np.bool_]:
        """Whether the circularity of each of `positions` is above `CIRCULARITY_LIMIT`."""
        return self.circularity > CIRCULARITY_LIMIT

    @cached_property
    def aucs(self) -> dict[str, Interval]:
        """The chance that a wrong E7 is rounder than a right one, by measure; groups resampled, NaN if not resolved."""
        groups = [self.model.part.groups[position] for position in self.positions]
        scores = {"circularity": self.circularity, "aspect_ratio": -self.aspect_ratio}
        if min(self.correct.sum(), (~self.correct).sum()) < RESOLVED_FROM:
            return dict.fromkeys(scores, Interval(math.nan, math.nan, math.nan))
        return {
            name: measures.auc_interval(values, ~self.correct, groups, np.random.default_rng(SEED), BOOTSTRAPS)
            for name, values in scores.items()
        }

    @cached_property
    def goes_to(self) -> dict[str, tuple[int, int]]:
        """Wrong E7 by predicted class: those above `CIRCULARITY_LIMIT`, and the others; the most frequent first."""
        predicted = self.model.predicted[self.positions]
        found = Counter(predicted[~self.correct].tolist())
        return {
            self.model.classes[at]: (
                int(((predicted == at) & self.is_round).sum()),
                int(((predicted == at) & ~self.is_round).sum()),
            )
            for at, _ in found.most_common()
        }

    @cached_property
    def not_measured(self) -> dict[str, int]:
        """E7 without a shape by reason."""
        reasons = self.shapes.reason[self._is_labelled]
        return dict(sorted(Counter(reasons[reasons != ""].tolist()).items()))

    @property
    def _is_labelled(self) -> NDArray[np.bool_]:
        return np.asarray(self.model.part.labels == self.model.classes.index(ELONGATED))

    def summary(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        right, wrong = self.correct, ~self.correct
        above = {
            "right_above_limit_count": int((right & self.is_round).sum()),
            **_share(right & self.is_round, right).to_summary("right_above_limit"),
            "wrong_above_limit_count": int((wrong & self.is_round).sum()),
            **_share(wrong & self.is_round, wrong).to_summary("wrong_above_limit"),
        }
        aucs = [interval.to_summary(f"auc_{name}") for name, interval in self.aucs.items()]
        return {
            "labelled": int(self._is_labelled.sum()),
            "not_measured": self.not_measured,
            "right": int(right.sum()),
            "wrong": int(wrong.sum()),
            "circularity_limit": CIRCULARITY_LIMIT,
            **above,
            **{name: value for entries in aucs for name, value in entries.items()},
            "goes_to": {name: sum(counts) for name, counts in self.goes_to.items()},
            "above_limit_goes_to": {name: counts[0] for name, counts in self.goes_to.items() if counts[0]},
        }

    def tables(self) -> dict[str, Table]:
        """Return the tables by name."""
        return {
            "e7_shapes": self._shapes_table(),
            "e7_errors": self._errors_table(),
            "e7_goes_to": self._goes_to_table(),
        }

    def figures(self) -> dict[str, Figure]:
        """Return the two histograms, if there is a shape to draw."""
        if not len(self.positions):
            return {}
        kinds = {"right": self.correct, "wrong": ~self.correct}
        panels = {
            "circularity": {name: self.circularity[chosen] for name, chosen in kinds.items()},
            "aspect ratio": {name: self.aspect_ratio[chosen] for name, chosen in kinds.items()},
        }
        marks = {
            "circularity": {name: ideal[0] for name, ideal in _IDEAL.items()},
            "aspect ratio": {name: ideal[1] for name, ideal in _IDEAL.items()},
        }
        return {
            "e7_histograms": Figure(
                f"E7 that are recognised and E7 that are not: share of each against circularity and aspect ratio. "
                f"Dotted: ideal ellipses; dashed: the deck's circularity of {CIRCULARITY_LIMIT}; {self.origin}.",
                draw.histogram_panels(panels, marks, {"circularity": CIRCULARITY_LIMIT}),
                "two histograms, circularity and aspect ratio of right and wrong E7",
            )
        }

    def chosen(self) -> dict[str, NDArray[np.int64]]:
        """Return positions of E7 to show, the most confident predictions first, by what they are."""
        limit = CIRCULARITY_LIMIT
        kinds = {
            "right": self.correct,
            f"wrong, circularity\nabove {limit}": ~self.correct & self.is_round,
            f"wrong, circularity\nup to {limit}": ~self.correct & ~self.is_round,
        }
        confidence = self.model.calibrated.max(axis=1)
        ordered = {name: self.positions[chosen] for name, chosen in kinds.items()}
        return {
            name: rows[np.argsort(-confidence[rows], kind="stable")][:SHOWN]
            for name, rows in ordered.items()
            if len(rows)
        }

    def notes(self) -> list[Text]:
        """Return what has to be said beside the numbers."""
        texts = [
            "Circularity is 4πA/P² of an outline without the bias of pixel steps, the aspect ratio that of its "
            "second moments. Estimators that walk along pixels show 5 to 25 % less for the same galaxy, so the deck's "
            f"{CIRCULARITY_LIMIT}, whose estimator is not known, may be another line here."
        ]
        if self.not_measured:
            reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in self.not_measured.items())
            texts.append(f"E7 without a shape: {reasons}.")
        if self.origin.startswith("simulated"):
            texts.append(
                "These pixels are simulated: shapes and labels come from the simulator, so this is a test of the "
                "measurement. What the deck finds on real E7 is not verified by it."
            )
        return [Text(text, quiet=True) for text in texts]

    def _shapes_table(self) -> Table:
        rows = []
        for name, values, spec in (
            ("circularity", self.circularity, ".3f"),
            ("aspect ratio", self.aspect_ratio, ".2f"),
        ):
            auc = self.aucs[name.replace(" ", "_")]
            area = ["not resolved", ""] if math.isnan(auc.value) else [f"{auc.value:.3f}", auc.ends(".3f", "–")]
            medians = [_quartiles(values[chosen], spec) for chosen in (self.correct, ~self.correct)]
            rows.append([name, *medians, *area])
        caption = (
            f"Median and quartiles of {int(self.correct.sum())} right and {int((~self.correct).sum())} wrong E7; "
            "AUC: the chance that a wrong one is the rounder of a pair, groups resampled"
        )
        return Table(caption, ["measure", "right", "wrong", "AUC", "95 % of AUC"], rows)

    def _errors_table(self) -> Table:
        rows = []
        for name, chosen in (
            (f"circularity above {CIRCULARITY_LIMIT}", self.is_round),
            (f"circularity up to {CIRCULARITY_LIMIT}", ~self.is_round),
        ):
            row: list[Cell] = [name]
            for kind in (self.correct, ~self.correct):
                row += [int((kind & chosen).sum()), _share_text(kind & chosen, kind)]
            rows.append([*row, _share_text(~self.correct & chosen, chosen)])
        columns = ["E7 with", "right", "share of the right", "wrong", "share of the wrong", "error rate"]
        return Table("E7 on both sides of the deck's line, with 95 % intervals", columns, rows)

    def _goes_to_table(self) -> Table:
        columns = ["predicted as", f"circularity above {CIRCULARITY_LIMIT}", f"up to {CIRCULARITY_LIMIT}", "all"]
        rows: list[list[Cell]] = [[name, *counts, sum(counts)] for name, counts in self.goes_to.items()]
        return Table("Where wrong E7 go", columns, rows)


def study_e7(model: Predictions, shapes: Shapes, origin: str) -> E7Study | None:
    """Return the study, or None where the model has no class E7 or no sample has that label."""
    if ELONGATED not in model.classes or not (model.part.labels == model.classes.index(ELONGATED)).any():
        return None
    return E7Study(model, shapes, origin)


def _share(chosen: NDArray[np.bool_], of: NDArray[np.bool_]) -> Interval:
    """Return the share of ``chosen`` (n,) among ``of`` (n,), Wilson's interval."""
    return measures.rate(int(chosen.sum()), int(of.sum()))


def _share_text(chosen: NDArray[np.bool_], of: NDArray[np.bool_]) -> str:
    """Return the share with its interval, or that too few samples decide it."""
    share = _share(chosen, of)
    return f"{share.value:.3f} [{share.ends('.3f', ', ')}]" if of.sum() >= RESOLVED_FROM else "not resolved"


def _quartiles(values: NDArray[np.float64], spec: str) -> str:
    if not len(values):
        return "–"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:{spec}} [{low:{spec}}, {high:{spec}}]"
