"""The baselines that stand beside a model in its report, fitted on the part that the model was trained on.

What a baseline is belongs to the problem: its ``baselines`` module is entered in ``PROBLEMS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy.models import baselines as galaxy_baselines
from tasks.learning import measures
from tasks.learning.measures import Interval
from tasks.learning.predictions import SEED, Predictions
from tasks.learning.scoring import Scorer, image_blocks, score
from tasks.learning.split_parts import SplitPart, part_rows
from tasks.store.columns import align_column, to_float
from tasks.store.dataset import Dataset

BLOCK_IMAGES = 64


class Problem(Protocol):
    """What a problem's ``baselines`` module offers."""

    CATALOGUE_SCALARS: dict[str, str]
    """Ledger columns that describe a sample without its pixels, with their axis titles."""
    FOREST_ROWS: int
    """Training rows that a forest is fitted on at most."""
    ALTERED_VIEWS: dict[str, Callable[[NDArray], NDArray]]
    """Pixels with something taken away, to see how much the model lived on it."""

    def majority(self, train_labels: NDArray, count: int, classes: int) -> NDArray:
        """Return the training part's class shares, ``count`` times."""

    def forest(
        self, train_scalars: NDArray, train_labels: NDArray, scalars: NDArray, classes: int, seed: int
    ) -> NDArray:
        """Return a random forest's class probabilities."""

    def image_scalars(self, images: NDArray) -> NDArray:
        """Return a few scalars of each image."""


PROBLEMS: dict[str, Problem] = {"galaxy": galaxy_baselines}


@dataclass(frozen=True)
class Baseline:
    """A line of the table of models; ``model_over_this`` is the paired difference in accuracy."""

    name: str
    count: int
    accuracy: Interval
    macro_f1: float | None = None
    auc: float | None = None
    model_over_this: Interval | None = None


def rival(name: str, judged: Predictions, model: Predictions | None = None) -> Baseline:
    """Return the line of what was ``judged``, compared with the model where one is given."""
    return Baseline(
        name,
        len(judged.part),
        judged.accuracy,
        measures.macro_f1(judged.confusion),
        measures.auc(judged.probabilities[:, 1], judged.part.labels == 1) if len(judged.classes) == 2 else None,
        model.accuracy_over(judged) if model else None,
    )


def baselines(
    problem: Problem, trained_on: Dataset, dataset: Dataset, scheme: str, model: Predictions
) -> list[Baseline]:
    """Return majority class and forests, fitted on ``trained_on``'s training part, on the model's rows."""
    train = part_rows(trained_on, scheme, "train")
    few = train.take(np.sort(np.random.default_rng(SEED).permutation(len(train))[: problem.FOREST_ROWS]))
    classes = len(model.classes)

    def line(name: str, probabilities: NDArray) -> Baseline:
        return rival(name, Predictions(model.part, model.classes, probabilities), model)

    lines = [line("majority class", problem.majority(train.labels, len(model.part), classes))]
    names, known, asked = _shared_scalars(problem, trained_on, few, dataset, model.part)
    if names:
        title = f"forest on {', '.join(names)}"
        lines.append(line(title, problem.forest(known, few.labels, asked, classes, SEED)))
    known, asked = _image_scalars(problem, trained_on, few), _image_scalars(problem, dataset, model.part)
    lines.append(line("forest on image scalars", problem.forest(known, few.labels, asked, classes, SEED)))
    return lines


def altered_views(
    problem: Problem, model: Scorer, dataset: Dataset, judged: Predictions, batch_size: int
) -> list[Baseline]:
    """Return the model's own lines on altered pixels."""
    return [
        rival(
            f"this model, {name}",
            Predictions(judged.part, judged.classes, score(model, dataset.pixels, judged.part.rows, batch_size, alter)),
            judged,
        )
        for name, alter in problem.ALTERED_VIEWS.items()
    ]


def covariates(problem: Problem, dataset: Dataset, scheme: str, part: SplitPart) -> dict[str, NDArray]:
    """Return what an error may depend on, by axis title: ledger scalars and the label's vote fraction."""
    known = _columns(dataset.samples(), list(problem.CATALOGUE_SCALARS), part)
    titled = {problem.CATALOGUE_SCALARS[name]: values for name, values in known.items()}
    for values in _columns(dataset.labels(scheme), ["vote_fraction"], part).values():
        titled["vote fraction of the label"] = values
    return titled


def _shared_scalars(
    problem: Problem, trained_on: Dataset, train: SplitPart, dataset: Dataset, part: SplitPart
) -> tuple[list[str], NDArray, NDArray]:
    """Return the scalars that both ledgers know, for training rows and for judged rows."""
    wanted = list(problem.CATALOGUE_SCALARS)
    known, asked = _columns(trained_on.samples(), wanted, train), _columns(dataset.samples(), wanted, part)
    names = [name for name in known if name in asked]
    if not names:
        return [], np.empty((len(train), 0)), np.empty((len(part), 0))
    train_scalars, scalars = (np.stack([table[name] for name in names], axis=1) for table in (known, asked))
    return names, train_scalars, scalars


def _columns(table: pa.Table, names: list[str], part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return those columns that have any value, in the part's order; NaN where a value is missing."""
    found = {}
    for name in names:
        if name in table.column_names:
            values = to_float(align_column(table, name, part.ids))
            if np.isfinite(values).any():
                found[name] = values
    return found


def _image_scalars(problem: Problem, dataset: Dataset, part: SplitPart) -> NDArray:
    """Return the image scalars of the part's rows, which ascend."""
    blocks = image_blocks(dataset.pixels, part.rows, BLOCK_IMAGES)
    return np.concatenate([problem.image_scalars(images) for images in blocks])
