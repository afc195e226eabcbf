"""The report of a galaxy evaluation: its page and its tables, which MLflow records too under the same names."""

from collections.abc import Mapping

import numpy as np

from tasks.galaxies.answer import evaluation_answer
from tasks.galaxies.atlas.covariate_bins import covariate_bins, covariate_table
from tasks.galaxies.metrics import GalaxyEvaluation
from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.predictions import Predictions
from tasks.reports.page import Block, Cell, Figure, Heading, Headline, Headlines, Table, Text, page
from tasks.reports.sufficiency import LEAST_OF_A_CLASS

COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)


def evaluation_page(evaluation: GalaxyEvaluation, tables: Mapping[str, Table], figures: Mapping[str, Figure]) -> str:
    """Return the report as HTML; `tables` and `figures` are those of `evaluation_tables` and `evaluation_figures`."""
    context, notes = evaluation.context, evaluation.atlas.notes()
    blocks: list[Block] = [
        evaluation_answer(evaluation),
        _headlines(evaluation),
        *(Text(note, quiet=True) for note in context.notes),
    ]
    for heading, names in (
        ("Models compared", ["models"]),
        ("Classes", ["classes", "confusion"]),
        ("Calibration", ["calibration", "reliability"]),
        ("Accuracy against coverage", ["coverage", "accuracy_coverage"]),
        ("Receiver operating characteristic", ["roc"]),
        ("Training", ["training"]),
        ("Structure of the confusions", ["confusion_kinds", "questions", "bulge_steps", "pairs"]),
        ("Error rate by quantity", ["covariates", "covariate_bins"]),
        ("E7 galaxies", ["e7_histograms", "e7_shapes", "e7_errors", "e7_goes_to", "e7_images", "e7"]),
        ("Worst mistakes", ["worst_mistakes", "heat_maps"]),
        ("Provenance", ["provenance"]),
    ):
        section: list[Block] = [
            block for name in names for block in (tables.get(name), figures.get(name), *notes.get(name, ())) if block
        ]
        blocks += [Heading(heading), *section] if section else []
    subtitle = f"{len(evaluation.model.part)} samples of version {context.version}, {context.origin}"
    return page(context.title, blocks, subtitle)


def evaluation_tables(evaluation: GalaxyEvaluation) -> dict[str, Table]:
    """Return the report's tables by name."""
    panels = covariate_bins(evaluation.covariates, evaluation.model.correct)
    return {
        "models": _models_table(evaluation),
        "classes": _classes_table(evaluation.model),
        "calibration": _calibration_table(evaluation.model),
        "coverage": _coverage_table(evaluation.model),
        **evaluation.atlas.tables(),
        **({"covariate_bins": covariate_table(panels)} if panels else {}),
        "provenance": evaluation.context.provenance,
    }


def _headlines(evaluation: GalaxyEvaluation) -> Headlines:
    model, origin = evaluation.model, evaluation.context.origin
    correct = f"{int(model.correct.sum())} of {len(model.part)}"
    perfect = model.perfect_ece
    headlines = [
        _headline("Accuracy", model.accuracy, f"{correct}; {origin}"),
        _headline("Macro-F1", model.macro_f1, f"{len(model.classes)} classes; {origin}"),
        Headline(
            "Calibration error (ECE)",
            f"{measures.ece(model.calibrated, model.part.labels):.3f}",
            f"a perfect model would show {perfect.value:.3f}, at most {perfect.high:.3f}; {origin}",
        ),
    ]
    if model.auc:
        headlines.insert(2, _headline("AUC", model.auc, f"{model.classes[1]} against {model.classes[0]}; {origin}"))
    return Headlines(headlines)


def _headline(label: str, interval: Interval, detail: str) -> Headline:
    return Headline(label, f"{interval.value:.3f}", f"{_ends(interval)}; {detail}")


def _models_table(evaluation: GalaxyEvaluation) -> Table:
    has_auc = evaluation.this_model.auc is not None
    columns = ["model", "accuracy", "95 % interval", "right", "of", "macro-F1", *(["AUC"] if has_auc else [])]
    rows = []
    for line in (*evaluation.baselines, evaluation.this_model, *evaluation.views):
        lead = line.model_over_this
        rows.append(
            [
                line.name,
                f"{line.accuracy.value:.3f}",
                _ends(line.accuracy),
                round(line.accuracy.value * line.count),
                line.count,
                None if line.macro_f1 is None else f"{line.macro_f1:.3f}",
                *([None if line.auc is None else f"{line.auc:.3f}"] if has_auc else []),
                None if lead is None else f"{lead.value:+.3f} [{lead.ends('+.3f', ', ')}]".replace("-", "−"),
            ]
        )
    caption = (
        f"All on the same {len(evaluation.model.part)} samples; {evaluation.context.origin}. The last column is the "
        "paired difference in accuracy, groups resampled."
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
    return Table(f"Rates of fewer than {LEAST_OF_A_CLASS} samples are not resolved", columns, rows)


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
        confident = order[: max(1, round(share * len(order)))]
        rate = measures.rate(int(model.correct[confident].sum()), len(confident))
        confidence = float(model.calibrated[confident[-1]].max())
        rows.append([f"{share:.0%}", len(confident), f"{confidence:.3f}", f"{rate.value:.3f}", _ends(rate)])
    columns = ["share kept", "samples", "confidence from", "accuracy", "95 % interval"]
    return Table("Accuracy of the most confident predictions", columns, rows)


def _rate(interval: Interval, count: int) -> list[str]:
    return [f"{interval.value:.3f}", _ends(interval)] if count >= LEAST_OF_A_CLASS else ["not resolved", ""]


def _ends(interval: Interval) -> str:
    return interval.ends(".3f", "–")
