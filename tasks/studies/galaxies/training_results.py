"""What a study of trainings found: rates of every arm at every size, and differences between arms on the same galaxies.

Every measure is taken seed by seed and averaged over the seeds. An interval resamples groups of galaxies: a galaxy that
several seeds score is drawn with all of them, and all arms of a size are measured on the same draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.predictions import SEED
from tasks.learning.resampling import percentile_interval, resampled_rows
from tasks.learning.split_parts import ALL
from tasks.store.columns import positions_of
from tasks.store.files import read_table
from tasks.studies.galaxies.training_fits import fit_path
from tasks.studies.galaxies.training_study import TrainingStudy
from tasks.training.cross_validate import OUTPUT, PROBABILITY, stacked

REPEATS = 500
COVERAGE = 0.8
COMPARED = ("accuracy", "auc")
"""Measures whose differences between arms are given."""
OF_CURVES = ("epoch_to_95pct", "generalisation_gap")
"""Figures of the epoch curves, averaged over an arm's fits."""


@dataclass(frozen=True)
class ScoredRows:
    """Probabilities of the galaxies that the seeds of a study score: one row a galaxy and seed.

    Attributes
    ----------
    labels : (n,) int32
    seeds : (n,) int64
    groups : (n,) str
    probabilities : (n, classes)
        Calibrated.
    """

    labels: NDArray[np.int32]
    seeds: NDArray[np.int64]
    groups: NDArray[np.str_]
    probabilities: NDArray[np.float64]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Positions of the predicted classes, (n,)."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the label, (n,)."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the predicted class, (n,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Negative log likelihood of the label, nats, (n,)."""
        likelihood = self.probabilities[np.arange(len(self.labels)), self.labels]
        return -np.log(np.maximum(likelihood, np.finfo(np.float32).tiny))

    def measure(self, rows: NDArray[np.int64]) -> dict[str, float]:
        """Return the measures of rows (m,) of one seed; ``auc`` only of two classes."""
        classes = self.probabilities.shape[1]
        values = {
            "accuracy": float(self.correct[rows].mean()),
            "macro_f1": measures.macro_f1(measures.pair_counts(self.labels[rows], self.predicted[rows], classes)),
            "nll": float(self.losses[rows].mean()),
            "accuracy_at_80": measures.coverage_accuracy(self.confidence[rows], self.correct[rows], COVERAGE),
        }
        if classes == 2:
            values["auc"] = measures.rank_auc(self.probabilities[rows, 1], self.labels[rows] == 1)
        return values

    def by_seed(self, rows: NDArray[np.int64]) -> dict[int, dict[str, float]]:
        """Return `measure` of the rows (m,) of every seed that is among them."""
        seeds = self.seeds[rows]
        return {int(seed): self.measure(rows[seeds == seed]) for seed in np.unique(seeds)}

    def mean(self, rows: NDArray[np.int64]) -> dict[str, float]:
        """Return the mean over seeds of each measure of rows (m,)."""
        by_seed = list(self.by_seed(rows).values())
        return {name: float(np.mean([values[name] for values in by_seed])) for name in by_seed[0]}


def compare_scores(scores: Mapping[str, ScoredRows], references: Mapping[str, str]) -> dict[str, dict[str, Interval]]:
    """Return the measures of several arms on the same rows, and their differences, with intervals.

    Parameters
    ----------
    scores : mapping of str to ScoredRows
        By arm; all have the same galaxies and seeds in the same order.
    references : mapping of str to str
        The arm that an arm is compared with.

    Returns
    -------
    dict of str to dict
        By arm, ``accuracy, macro_f1, nll, accuracy_at_80`` and, of two classes, ``auc``; of an arm with a reference
        also ``accuracy_difference`` and ``auc_difference``: its measure minus the reference's.
    """
    groups = next(iter(scores.values())).groups
    everything = np.arange(len(groups))
    values = {name: of.mean(everything) for name, of in scores.items()}
    draws = [
        {name: of.mean(rows) for name, of in scores.items()}
        for rows in resampled_rows(groups, np.random.default_rng(SEED), REPEATS)
    ]
    found: dict[str, dict[str, Interval]] = {}
    for name, of in values.items():
        found[name] = {
            what: percentile_interval(value, [draw[name][what] for draw in draws]) for what, value in of.items()
        }
        other = references.get(name)
        if other is None:
            continue
        for what in (what for what in COMPARED if what in of):
            differences = [draw[name][what] - draw[other][what] for draw in draws]
            found[name][f"{what}_difference"] = percentile_interval(of[what] - values[other][what], differences)
    return found


def summarise_study(
    study: TrainingStudy, results: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], pa.Table]:
    """Return one line for every size and arm, baselines first, and the table of all scored probabilities.

    Parameters
    ----------
    study : TrainingStudy
    results : sequence of mapping
        As `training_fits.run_fits` returns them.
    """
    tables = read_scores(study, results)
    references = study.references | dict.fromkeys(study.names[:2], study.arms[0].name)
    lines = []
    for size in study.sizes:
        scores = {name: scored_rows(study, tables[name, size]) for name in study.names}
        compared = compare_scores(scores, references)
        for name in study.names:
            line = {"name": name, "size": size or ALL, "compared_with": references.get(name)}
            own = [result for result in results if (result["name"], result["size"]) == (name, line["size"])]
            lines.append(line | _account(own) | _figures(scores[name], compared[name]))
    return lines, pa.concat_tables(tables.values())


def read_scores(study: TrainingStudy, results: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int | None], pa.Table]:
    """Return the scored samples of every arm and size.

    Columns: ``arm, size`` (null: all), ``seed, fold`` (from 1), ``trained_on, id, group, label``, calibrated
    ``probability_CLASS`` of each class, ``temperature``.
    """
    found: dict[tuple[str, int | None], list[pa.Table]] = {}
    for fit, result in zip(study.fits, results, strict=True):
        table = read_table(fit_path(study, fit))
        count = table.num_rows
        probabilities = study.plain.probabilities(stacked(table, OUTPUT, study.classes))
        calibrated = measures.apply_temperature(probabilities, float(table["temperature"][0].as_py()))
        columns: dict[str, Any] = {
            "arm": pa.array([fit.name] * count, pa.string()),
            "size": pa.array([fit.size] * count, pa.int32()),
            "seed": pa.array([fit.seed] * count, pa.int64()),
            "fold": table["fold"],
            "trained_on": pa.array([result["trained_on"]] * count, pa.int32()),
            **{name: table[name] for name in ("id", "group", "label")},
            **{f"{PROBABILITY}{name}": calibrated[:, position] for position, name in enumerate(study.classes)},
            "temperature": table["temperature"],
        }
        found.setdefault((fit.name, fit.size), []).append(pa.table(columns))
    return {
        key: pa.concat_tables(tables).sort_by([("seed", "ascending"), ("id", "ascending")])
        for key, tables in found.items()
    }


def scored_rows(study: TrainingStudy, table: pa.Table) -> ScoredRows:
    """Return the rows of a table of `read_scores`."""
    return ScoredRows(
        positions_of(table["label"], study.classes).astype(np.int32),
        table["seed"].to_numpy(),
        np.array(table["group"].to_pylist()),
        stacked(table, PROBABILITY, study.classes),
    )


def _account(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return counts, times and figures of the epoch curves of an arm's fits at one size."""
    seconds = [result["seconds"] for result in results]
    account: dict[str, Any] = {
        "fits": len(results),
        "trained_on": round(float(np.mean([result["trained_on"] for result in results]))),
        "validated_on": round(float(np.mean([result["validated_on"] for result in results]))),
        "scored": sum(result["scored"] for result in results),
        "fit_seconds": round(float(np.mean(seconds)), 1),
    }
    if "history" in results[0]:
        epochs = [result["epochs_seconds"] for result in results]
        account["seconds_beyond_epochs"] = round(float(np.mean(np.subtract(seconds, epochs))), 1)
        account |= {name: float(np.mean([result[name] for result in results])) for name in OF_CURVES}
    return account


def _figures(scores: ScoredRows, compared: Mapping[str, Interval]) -> dict[str, Any]:
    """Return the measures of one arm at one size as entries of its line."""
    by_seed = scores.by_seed(np.arange(len(scores.labels)))
    figures: dict[str, Any] = {}
    for name, interval in compared.items():
        figures |= interval.to_summary(name)
    for name in COMPARED:
        if name in compared:
            values = [of[name] for of in by_seed.values()]
            figures[f"{name}_per_seed"] = values
            figures[f"{name}_sd_over_seeds"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return figures | _calibration(scores)


def _calibration(scores: ScoredRows) -> dict[str, float]:
    """Return the mean ECE over seeds, and that of a perfectly calibrated model with as many samples a seed."""
    eces, perfect = [], []
    for seed in np.unique(scores.seeds):
        rows = scores.seeds == seed
        eces.append(measures.ece(scores.probabilities[rows], scores.labels[rows]))
        perfect.append(measures.perfect_ece(scores.probabilities[rows], np.random.default_rng(SEED)))
    return {
        "ece": float(np.mean(eces)),
        "ece_of_perfect": float(np.mean([one.value for one in perfect])),
        "ece_of_perfect_high": float(np.mean([one.high for one in perfect])),
    }
