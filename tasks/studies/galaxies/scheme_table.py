"""The numbers of a study of schemes: baselines, arms and sums of the finest scheme, paired on the same galaxies.

A value is the mean over seeds. Intervals resample groups of the tested galaxies: they say how much another sample of
galaxies would change the value, not how much another seed would, which ``per_seed`` shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.labels.scheme_sums import summed_probabilities
from tasks.galaxies.baselines import fit_baselines
from tasks.galaxies.relabelling.truth import true_labels
from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.predictions import Predictions
from tasks.learning.split_parts import UNLABELLED, SplitPart
from tasks.studies.galaxies.scheme_study import SchemeStudy
from tasks.studies.galaxies.scheme_training import saved_probabilities
from tasks.studies.resumable_rows import run_study
from tasks.training.evaluation_record import none_for_nan

REPEATS = 500
SEED = 0
"""Of resampling: a table repeats to the digit."""


@dataclass(frozen=True)
class Answers:
    """The classes that one way to answer gives to the tested galaxies.

    Attributes
    ----------
    part : SplitPart
        The n tested galaxies.
    classes : int
    predicted : (seeds, n) int
    """

    part: SplitPart
    classes: int
    predicted: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.float64]:
        """Share of the seeds that are right, (n,)."""
        return np.asarray((self.predicted == self.part.labels).mean(axis=0))

    def measure(self) -> dict[str, Any]:
        """Return accuracy and macro-F1 with intervals, and the accuracy of every seed."""
        labels = self.part.labels

        def macro_f1(rows: NDArray[np.int64]) -> float:
            counts = (measures.pair_counts(labels[rows], of[rows], self.classes) for of in self.predicted)
            return float(np.mean([measures.macro_f1(table) for table in counts]))

        return {
            **self.accuracy(),
            **self.resample(macro_f1).to_summary("macro_f1"),
            "per_seed": [float((of == labels).mean()) for of in self.predicted],
        }

    def accuracy(self) -> dict[str, float | None]:
        """Return the accuracy with its interval."""
        right = self.correct
        return self.resample(lambda rows: float(right[rows].mean())).to_summary("accuracy")

    def accuracy_over(self, other: "Answers") -> dict[str, float | None]:
        """Return this accuracy minus the other's on the same galaxies, paired."""
        mine, its = self.correct, other.correct
        return self.resample(lambda rows: float((mine[rows] - its[rows]).mean())).to_summary("difference")

    def error_ratio(self, other: "Answers") -> dict[str, float | None]:
        """Return this error rate divided by the other's on the same galaxies; None where the other makes no error."""
        mine, its = 1 - self.correct, 1 - other.correct

        def ratio(rows: NDArray[np.int64]) -> float:
            wrong = its[rows].sum()
            return float(mine[rows].sum() / wrong) if wrong else float("nan")

        return self.resample(ratio).to_summary("error_ratio")

    def resample(self, statistic: Any) -> Interval:
        """Return a statistic of row numbers (m,) with its interval, groups resampled."""
        return measures.group_bootstrap(self.part.groups, statistic, np.random.default_rng(SEED), REPEATS)


def compare_schemes(study: SchemeStudy, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the numbers of every scheme.

    Parameters
    ----------
    study : SchemeStudy
    results : sequence of mapping
        As `scheme_training.train_schemes` returns them.

    Returns
    -------
    dict
        By scheme: ``classes``, ``count``, ``overlap_with_training``; ``baselines`` by name; ``truth_agreement`` of the
        labels with the hidden truth, or None; ``arms`` by name, each with ``own`` (a model of this scheme), ``summed``
        (the finest scheme's model, or None) and their differences, and ``against_truth`` where there is a hidden truth.
    """
    return {scheme: none_for_nan(_compare(study, scheme, results)) for scheme in study.schemes}


def _compare(study: SchemeStudy, scheme: str, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    part, overlap = study.tests[scheme]
    names = [arm.name for arm in study.request.arms]
    own = {name: _own_answers(study, scheme, _rows_of(results, name, scheme)) for name in names}
    first = own[names[0]]
    truth = true_labels(study.test_dataset, scheme, part.ids)
    arms: dict[str, Any] = {}
    for name in names:
        arms[name] = {"own": own[name].measure(), "summed": None}
        if name != names[0]:
            arms[name] |= {"over_first": own[name].accuracy_over(first), **own[name].error_ratio(first)}
        if truth is not None:
            true = _against(truth, own[name])
            arms[name]["against_truth"] = true.accuracy()
            if name != names[0]:
                arms[name]["against_truth"] |= true.error_ratio(_against(truth, first))
        if scheme in study.sums:
            summed = _summed_answers(study, scheme, _rows_of(results, name, study.finest))
            arms[name] |= {"summed": summed.measure(), "summed_over_own": summed.accuracy_over(own[name])}
    return {
        "classes": first.classes,
        "count": len(part),
        "overlap_with_training": overlap,
        "baselines": _baselines(study, scheme, first),
        "truth_agreement": None if truth is None else _agreement(truth, part),
        "arms": arms,
    }


def _rows_of(results: Sequence[Mapping[str, Any]], arm: str, scheme: str) -> list[Mapping[str, Any]]:
    return [row for row in results if (row["arm"], row["scheme"]) == (arm, scheme)]


def _own_answers(study: SchemeStudy, scheme: str, rows: Sequence[Mapping[str, Any]]) -> Answers:
    """Return what models of the scheme itself answer."""
    part, _ = study.tests[scheme]
    predicted = [saved_probabilities(study, row, part).argmax(axis=1) for row in rows]
    return Answers(part, len(study.dataset.classes(scheme)), np.stack(predicted))


def _summed_answers(study: SchemeStudy, scheme: str, rows: Sequence[Mapping[str, Any]]) -> Answers:
    """Return what models of the finest scheme answer by the sums of their calibrated probabilities."""
    part, _ = study.tests[scheme]
    predicted = []
    for row in rows:
        calibrated = measures.apply_temperature(saved_probabilities(study, row, part), row["temperature"])
        predicted.append(summed_probabilities(calibrated, study.sums[scheme]).argmax(axis=1))
    return Answers(part, len(study.dataset.classes(scheme)), np.stack(predicted))


def _baselines(study: SchemeStudy, scheme: str, answers: Answers) -> dict[str, Any]:
    """Return accuracy and macro-F1 of baselines by name, measured once a study."""
    part = answers.part
    model = Predictions(part, study.dataset.classes(scheme), np.eye(answers.classes)[answers.predicted[0]])

    def measure(settings: Mapping[str, Any]) -> dict[str, Any]:
        lines = fit_baselines(study.dataset, study.test_dataset, scheme, model)
        return {
            "lines": {line.name: line.accuracy.to_summary("accuracy") | {"macro_f1": line.macro_f1} for line in lines}
        }

    [row] = run_study(study.folder / "baselines", [{"scheme": scheme}], measure, lambda message: None)
    return dict(row["lines"])


def _against(truth: NDArray[np.int64], answers: Answers) -> Answers:
    """Return the answers of galaxies whose truth (n,) is known, with the hidden class as label."""
    known = np.flatnonzero(truth != UNLABELLED)
    part = replace(answers.part.take(known), labels=truth[known].astype(np.int32))
    return Answers(part, answers.classes, answers.predicted[:, known])


def _agreement(truth: NDArray[np.int64], part: SplitPart) -> dict[str, float | None]:
    """Return the share of the tested labels that are those of the hidden class (n,), of galaxies whose truth is known.

    A label whose hidden class the scheme leaves out is wrong.
    """
    is_known = truth != UNLABELLED
    return measures.rate(int((truth == part.labels)[is_known].sum()), int(is_known.sum())).to_summary("accuracy")
