"""The report of an evaluation: which tables and figures it has and how they read.

The same tables and figures go to MLflow, so both come from here by name.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.galaxies.baselines import Baseline
from tasks.learning import measures
from tasks.learning.measures import Interval
from tasks.learning.predictions import Predictions
from tasks.reports import figures as draw
from tasks.reports.page import Block, Cell, Figure, Heading, Headline, Headlines, Table, Text, page

COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)
RESOLVED_FROM = 10
"""A rate of fewer events is not printed as a number: its counts say all that there is."""

LEAST_IN_A_BIN = 20
BINS = 6


@dataclass(frozen=True)
class Evaluation:
    """All that a report shows.

    Attributes
    ----------
    title, subtitle : str
    facts : dict
        Where the numbers come from: dataset, digest, scheme, split hash, model, seed, code.
    origin : str
        Such as ``real pixels, votes labels``; it stands beside every headline.
    model : Predictions
    baselines, views : list of Baseline
        Other models, and this model on altered pixels, all on the same rows.
    covariates : dict of axis title to (n,) float
        NaN where unknown.
    worst : (m, height, width, channel) uint8
        Images of ``worst_positions``, the mistakes that the model was surest of.
    history : dict of name to values by epoch
        As `figures.training_figure` takes it; may be empty.
    overlap : int, optional
        Samples left out because the model has seen them; None where that could not be told.
    """

    title: str
    subtitle: str
    facts: Mapping[str, Cell]
    origin: str
    model: Predictions
    baselines: Sequence[Baseline]
    this: Baseline
    views: Sequence[Baseline]
    covariates: Mapping[str, NDArray]
    worst: NDArray
    worst_positions: NDArray
    overlap: int | None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    best_epoch: int | None = None
    notes: Sequence[str] = ()


def evaluation_page(evaluation: Evaluation, tables: Mapping[str, Table], figures: Mapping[str, Figure]) -> str:
    """Return the report as HTML, of the tables and figures that `evaluation_tables` and `_figures` give."""
    blocks: list[Block] = [_headlines(evaluation), *(Text(note, quiet=True) for note in evaluation.notes)]
    for heading, names in (
        ("Models compared", ["models"]),
        ("Classes", ["classes", "confusion"]),
        ("Calibration", ["calibration", "reliability"]),
        ("Accuracy against coverage", ["coverage", "accuracy_coverage"]),
        ("Receiver operating characteristic", ["roc"]),
        ("Training", ["training"]),
        ("Where it errs", ["covariates"]),
        ("Worst mistakes", ["worst_mistakes"]),
        ("Where these numbers come from", ["provenance"]),
    ):
        shown = [block for name in names for block in (tables.get(name), figures.get(name)) if block]
        blocks += [Heading(heading), *shown] if shown else []
    return page(evaluation.title, blocks, evaluation.subtitle)


def evaluation_tables(evaluation: Evaluation) -> dict[str, Table]:
    """Return the report's tables by name."""
    return {
        "models": _models_table(evaluation),
        "classes": _classes_table(evaluation.model),
        "calibration": _calibration_table(evaluation.model),
        "coverage": _coverage_table(evaluation.model),
        "provenance": Table(
            "What was judged, by what, and how",
            ["what", "value"],
            [
                [name, value if isinstance(value, str) else json.dumps(value)]
                for name, value in evaluation.facts.items()
            ],
        ),
    }


def evaluation_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Return the report's figures by name."""
    model, origin = evaluation.model, evaluation.origin
    found = {
        "confusion": Figure(
            f"Labels (rows) against predictions: per cent of the row and counts; {origin}.",
            draw.confusion_figure(model.confusion, model.classes),
            f"confusion matrix of {len(model.classes)} classes",
        ),
        "reliability": _reliability(model, origin),
        "accuracy_coverage": Figure(
            f"Accuracy on the samples that the model is surest of; {origin}.",
            draw.coverage_figure({"this model": measures.coverage_curve(model.calibrated.max(axis=1), model.correct)}),
            "curve of accuracy against the share of samples kept",
        ),
    }
    if len(model.classes) == 2:
        found["roc"] = _roc(model, origin)
    if any(len(values) for values in evaluation.history.values()):
        found["training"] = Figure(
            f"Accuracy and loss after each epoch, training and validation parts; {origin}.",
            draw.training_figure(evaluation.history, evaluation.best_epoch),
            "curves of accuracy and loss against epoch",
        )
    panels = _covariate_bins(evaluation)
    if panels:
        found["covariates"] = Figure(
            f"Accuracy in bins of equally many samples, with 95 % intervals; {origin}.",
            draw.covariate_figure(panels),
            f"accuracy against {', '.join(panels)}",
        )
    if len(evaluation.worst):
        found["worst_mistakes"] = _worst(evaluation)
    return found


def _headlines(evaluation: Evaluation) -> Headlines:
    model, origin = evaluation.model, evaluation.origin
    right = f"{int(model.correct.sum())} of {len(model.part)}"
    perfect = model.perfect_ece
    shown = [
        _headline("Accuracy", model.accuracy, f"{right}; {origin}"),
        _headline("Macro-F1", model.macro_f1, f"{len(model.classes)} classes; {origin}"),
        Headline(
            "Calibration error (ECE)",
            f"{measures.ece(model.calibrated, model.part.labels):.3f}",
            f"a perfect model would show {perfect.value:.3f}, at most {perfect.high:.3f}; {origin}",
        ),
    ]
    if model.auc:
        shown.insert(2, _headline("AUC", model.auc, f"{model.classes[1]} against {model.classes[0]}; {origin}"))
    return Headlines(shown)


def _headline(label: str, interval: Interval, detail: str) -> Headline:
    return Headline(label, f"{interval.value:.3f}", f"{_ends(interval)}; {detail}")


def _models_table(evaluation: Evaluation) -> Table:
    two = evaluation.this.auc is not None
    columns = ["model", "accuracy", "95 % interval", "right", "of", "macro-F1", *(["AUC"] if two else [])]
    rows = []
    for line in (*evaluation.baselines, evaluation.this, *evaluation.views):
        over = line.model_over_this
        rows.append(
            [
                line.name,
                f"{line.accuracy.value:.3f}",
                _ends(line.accuracy),
                round(line.accuracy.value * line.count),
                line.count,
                None if line.macro_f1 is None else f"{line.macro_f1:.3f}",
                *([None if line.auc is None else f"{line.auc:.3f}"] if two else []),
                None if over is None else f"{over.value:+.3f} [{over.low:+.3f}, {over.high:+.3f}]".replace("-", "−"),
            ]
        )
    caption = (
        f"All on the same {len(evaluation.model.part)} samples; {evaluation.origin}. The last column is the paired "
        "difference in accuracy, groups resampled."
    )
    return Table(caption, [*columns, "this model's lead"], rows)


def _classes_table(model: Predictions) -> Table:
    rows = [
        [
            name,
            score.labelled,
            score.predicted,
            score.correct,
            *_rate(score.recall, score.labelled),
            *_rate(score.precision, score.predicted),
            None if np.isnan(score.f1) else f"{score.f1:.3f}",
        ]
        for name, score in model.per_class.items()
    ]
    columns = [
        "class",
        "labelled",
        "predicted",
        "right",
        "recall",
        "95 % of recall",
        "precision",
        "95 % of precision",
        "F1",
    ]
    return Table(f"Rates of fewer than {RESOLVED_FROM} samples are not resolved", columns, rows)


def _calibration_table(model: Predictions) -> Table:
    labels, rng = model.part.labels, np.random.default_rng(0)
    rows = []
    for name, probabilities in (("as trained", model.probabilities), ("after temperature", model.calibrated)):
        perfect = measures.perfect_ece(probabilities, rng)
        rows.append(
            [
                name,
                f"{1.0 if name == 'as trained' else model.temperature:.3f}",
                f"{measures.ece(probabilities, labels):.4f}",
                f"{perfect.value:.4f} [{perfect.low:.4f}, {perfect.high:.4f}]",
                f"{measures.nll(probabilities, labels):.4f}",
                f"{measures.brier(probabilities, labels):.4f}",
            ]
        )
    caption = "The temperature was fitted on the validation part; the ECE is over bins of equally many samples"
    columns = ["probabilities", "temperature", "ECE", "ECE of a perfect model", "NLL", "Brier score"]
    return Table(caption, columns, rows)


def _coverage_table(model: Predictions) -> Table:
    order = np.argsort(-model.calibrated.max(axis=1), kind="stable")
    rows: list[list[Cell]] = []
    for share in COVERAGES:
        kept = order[: max(1, round(share * len(order)))]
        rate = measures.rate(int(model.correct[kept].sum()), len(kept))
        confidence = float(model.calibrated[kept[-1]].max())
        rows.append([f"{share:.0%}", len(kept), f"{confidence:.3f}", f"{rate.value:.3f}", _ends(rate)])
    columns = ["share kept", "samples", "confidence from", "accuracy", "95 % interval"]
    return Table("Accuracy when only the surest predictions are kept", columns, rows)


def _reliability(model: Predictions, origin: str) -> Figure:
    curves = {"as trained": measures.reliability(model.probabilities, model.part.labels)}
    if model.temperature != 1:
        name = f"after temperature {model.temperature:.2f}"
        curves[name] = measures.reliability(model.calibrated, model.part.labels)
    return Figure(
        f"Accuracy against confidence in bins of equally many samples; {origin}.",
        draw.reliability_figure(curves),
        "reliability diagram",
    )


def _roc(model: Predictions, origin: str) -> Figure:
    curve = measures.roc_curve(model.probabilities[:, 1], model.part.labels == 1)
    area = model.auc.value if model.auc else float("nan")
    return Figure(
        f"{model.classes[1]} against {model.classes[0]}; {origin}.",
        draw.roc_figure({f"this model, AUC {area:.3f}": curve}),
        "ROC curve",
    )


def _covariate_bins(evaluation: Evaluation) -> dict[str, list[tuple[float, Interval, int]]]:
    """Return bins of equally many samples of each covariate that has enough different values."""
    panels = {}
    for title, values in evaluation.covariates.items():
        known = np.flatnonzero(np.isfinite(values))
        bins = min(BINS, len(known) // LEAST_IN_A_BIN)
        if bins < 2 or np.ptp(values[known]) == 0:
            continue
        order = known[np.argsort(values[known], kind="stable")]
        panels[title] = [
            (
                float(np.median(values[rows])),
                measures.rate(int(evaluation.model.correct[rows].sum()), len(rows)),
                len(rows),
            )
            for rows in np.array_split(order, bins)
        ]
    return panels


def _worst(evaluation: Evaluation) -> Figure:
    model = evaluation.model
    captions = [
        f"{model.part.ids[at]}\nlabelled {model.classes[model.part.labels[at]]}\n"
        f"{model.classes[model.predicted[at]]} at {model.calibrated[at].max():.3f}"
        for at in evaluation.worst_positions
    ]
    return Figure(
        f"The mistakes that the model was surest of: id, label, prediction and its confidence; {evaluation.origin}.",
        draw.image_strip(evaluation.worst, captions),
        "images of the worst mistakes",
    )


def _rate(interval: Interval, count: int) -> list[str]:
    return [f"{interval.value:.3f}", _ends(interval)] if count >= RESOLVED_FROM else ["not resolved", ""]


def _ends(interval: Interval) -> str:
    return f"{interval.low:.3f}–{interval.high:.3f}"
