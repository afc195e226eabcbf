"""Baselines of a galaxy model, fitted on the samples that it was trained on and evaluated on the same rows."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy.models import baselines as galaxy_baselines
from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.predictions import SEED, Predictions
from tasks.learning.scoring import Scorer, image_blocks, score
from tasks.learning.split_parts import SplitPart, part_rows
from tasks.store.columns import align_column, to_float
from tasks.store.dataset import Dataset

BLOCK_IMAGES = 64


@dataclass(frozen=True)
class Baseline:
    """A line of the table of models.

    Attributes
    ----------
    name : str
    count : int
        Evaluated samples.
    accuracy : Interval
    macro_f1, auc : float, optional
    model_over_this : Interval, optional
        Paired difference in accuracy: the evaluated model's minus this one's.
    """

    name: str
    count: int
    accuracy: Interval
    macro_f1: float | None = None
    auc: float | None = None
    model_over_this: Interval | None = None


def baseline_of(name: str, predictions: Predictions, model: Predictions | None = None) -> Baseline:
    """Return the line of `predictions`, compared with the evaluated model's predictions if they are given."""
    probabilities, labels = predictions.probabilities, predictions.part.labels
    return Baseline(
        name,
        len(predictions.part),
        predictions.accuracy,
        measures.macro_f1(predictions.confusion),
        measures.auc(probabilities[:, 1], labels == 1) if len(predictions.classes) == 2 else None,
        model.accuracy_over(predictions) if model else None,
    )


def fit_baselines(trained_on: Dataset, dataset: Dataset, scheme: str, model: Predictions) -> list[Baseline]:
    """Return the majority class and two random forests on the evaluated rows.

    Parameters
    ----------
    trained_on : Dataset
        Its training part is what the baselines are fitted to.
    dataset : Dataset
        Holds the evaluated rows.
    scheme : str
    model : Predictions
        Of the evaluated model.
    """
    train = part_rows(trained_on, scheme, "train")
    drawn = np.random.default_rng(SEED).permutation(len(train))[: galaxy_baselines.FOREST_ROWS]
    sample = train.take(np.sort(drawn))
    classes = len(model.classes)

    def line(name: str, probabilities: NDArray) -> Baseline:
        """Return the line of probabilities (n, classes)."""
        return baseline_of(name, Predictions(model.part, model.classes, probabilities), model)

    def forest(name: str, train_scalars: NDArray, scalars: NDArray) -> Baseline:
        """Return the line of a forest fitted to scalars (m, k), on scalars (n, k)."""
        return line(name, galaxy_baselines.forest(train_scalars, sample.labels, scalars, classes, SEED))

    lines = [line("majority class", galaxy_baselines.majority(train.labels, len(model.part), classes))]
    names, train_scalars, scalars = _shared_scalars(trained_on, sample, dataset, model.part)
    if names:
        lines.append(forest(f"forest on {', '.join(names)}", train_scalars, scalars))
    images = image_scalars_of(trained_on, sample), image_scalars_of(dataset, model.part)
    return [*lines, forest("forest on image scalars", *images)]


def altered_views(model: Scorer, dataset: Dataset, predictions: Predictions, batch_size: int) -> list[Baseline]:
    """Return the model's lines on altered pixels, such as images without colour."""
    part, classes = predictions.part, predictions.classes
    return [
        baseline_of(
            f"this model, {name}",
            Predictions(part, classes, score(model, dataset.pixels, part.rows, batch_size, alter)),
            predictions,
        )
        for name, alter in galaxy_baselines.ALTERED_VIEWS.items()
    ]


def covariates(dataset: Dataset, scheme: str, part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return quantities (n,) that errors may depend on, by axis title: ledger scalars and the label's vote fraction."""
    titles = galaxy_baselines.CATALOGUE_SCALARS
    columns = _columns(dataset.samples(), list(titles), part)
    titled = {titles[name]: values for name, values in columns.items()}
    for values in _columns(dataset.labels(scheme), ["vote_fraction"], part).values():
        titled["vote fraction of the label"] = values
    return titled


def _shared_scalars(
    trained_on: Dataset, train: SplitPart, dataset: Dataset, part: SplitPart
) -> tuple[list[str], NDArray, NDArray]:
    """Return the k catalogue scalars that both ledgers have: names, (training rows, k) and (evaluated rows, k)."""
    scalars = list(galaxy_baselines.CATALOGUE_SCALARS)
    trained, evaluated = _columns(trained_on.samples(), scalars, train), _columns(dataset.samples(), scalars, part)
    names = [name for name in trained if name in evaluated]
    if not names:
        return [], np.empty((len(train), 0)), np.empty((len(part), 0))
    return (
        names,
        np.stack([trained[name] for name in names], axis=1),
        np.stack([evaluated[name] for name in names], axis=1),
    )


def _columns(table: pa.Table, names: list[str], part: SplitPart) -> dict[str, NDArray[np.float64]]:
    """Return those columns that have any value, in the part's order; NaN where a value is missing."""
    columns = {name: to_float(align_column(table, name, part.ids)) for name in names if name in table.column_names}
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def image_scalars_of(dataset: Dataset, part: SplitPart) -> NDArray:
    """Return the image scalars (n, k) of the part's rows, which ascend."""
    blocks = image_blocks(dataset.pixels, part.rows, BLOCK_IMAGES)
    return np.concatenate([galaxy_baselines.image_scalars(images) for images in blocks])
