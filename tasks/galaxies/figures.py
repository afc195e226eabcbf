"""The figures of a galaxy evaluation, by the names under which MLflow records them too."""

from tasks.galaxies.atlas.covariate_bins import covariate_bins
from tasks.galaxies.metrics import GalaxyEvaluation
from tasks.learning import measures
from tasks.learning.predictions import Predictions
from tasks.reports import figures as draw
from tasks.reports import image_figures as images
from tasks.reports.page import Figure


def evaluation_figures(evaluation: GalaxyEvaluation) -> dict[str, Figure]:
    """Return the report's figures by name."""
    model, context = evaluation.model, evaluation.context
    origin = context.origin
    figures = {
        "confusion": Figure(
            f"Labels (rows) against predictions: per cent of the row and counts; {origin}.",
            draw.confusion_figure(model.confusion, model.classes),
            f"confusion matrix of {len(model.classes)} classes",
        ),
        "reliability": _reliability(model, origin),
        "accuracy_coverage": Figure(
            f"Accuracy on the most confident samples; {origin}.",
            draw.coverage_figure({"this model": measures.coverage_curve(model.calibrated.max(axis=1), model.correct)}),
            "curve of accuracy against the share of samples kept",
        ),
    }
    if len(model.classes) == 2:
        figures["roc"] = _roc(model, origin)
    if any(len(values) for values in context.history.values()):
        figures["training"] = Figure(
            f"Accuracy and loss after each epoch, training and validation parts; {origin}.",
            draw.training_figure(context.history, context.best_epoch),
            "curves of accuracy and loss against epoch",
        )
    panels = covariate_bins(evaluation.covariates, model.correct)
    if panels:
        drawn = {title: [(part.median, part.error) for part in bins] for title, bins in panels.items()}
        figures["covariates"] = Figure(
            f"Error rate in bins of equally many samples, with 95 % intervals; {origin}.",
            draw.covariate_figure(drawn),
            f"error rate against {', '.join(panels)}",
        )
    figures |= evaluation.atlas.figures()
    if len(evaluation.mistakes):
        figures["worst_mistakes"] = _worst_mistakes(evaluation)
    return figures


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


def _worst_mistakes(evaluation: GalaxyEvaluation) -> Figure:
    model = evaluation.model
    captions = [
        f"{model.part.ids[position]}\nlabelled {model.classes[model.part.labels[position]]}\n"
        f"{model.classes[model.predicted[position]]} at {model.calibrated[position].max():.3f}"
        for position in evaluation.mistakes
    ]
    return Figure(
        f"Most confident mistakes: id, label, prediction and its confidence; {evaluation.context.origin}.",
        images.image_strip(evaluation.mistake_images, captions),
        "images of the worst mistakes",
    )
