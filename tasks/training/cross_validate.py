"""Cross-validation over a whole dataset: every labelled sample is scored once, by a network that never saw its group.

Each fold keeps a tenth of the other folds' groups aside to choose the epoch and the temperature, so the scored fold
decides nothing.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.learning import measures
from tasks.learning.predictions import classification_summary
from tasks.learning.scoring import IMAGE_BATCH
from tasks.learning.split_parts import ALL, PartError, SplitPart, draw_folds
from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.reports.figures import confusion_figure
from tasks.reports.page import Answer, Block, Figure, Table, page
from tasks.reports.sufficiency import share_sufficiency
from tasks.runtime.cluster import InProcess
from tasks.runtime.folder_lock import lock_folder
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.store.columns import align_rows, positions_of
from tasks.store.files import whole_file, write_table
from tasks.training.out_of_fold import FoldFit, FoldJob, run_folds
from tasks.training.training_run import RunDetails, open_training_run
from tasks.training.training_task import TrainingTask

if TYPE_CHECKING:
    from tasks.learning.fits.devices import Device

OUTPUT, PROBABILITY = "output_", "probability_"
OF_FOLD = ("best_epoch", "epoch_to_95pct", "generalisation_gap")
"""Columns that are equal in all rows of a fold, and stand in the summary of the fold."""


@dataclass(frozen=True)
class CrossValidation:
    """A training repeated over folds, and where the finished ones are kept.

    Attributes
    ----------
    training : TrainingTask
    part : SplitPart
        All n labelled samples of the dataset.
    count : int
        Number of folds.
    """

    training: TrainingTask
    part: SplitPart
    count: int

    @cached_property
    def fold_of(self) -> NDArray[np.int32]:
        """The fold of every sample, (n,), each in [0, count)."""
        return draw_folds(self.part, self.count, self.training.request.seed)

    @cached_property
    def folder(self) -> Path:
        """Folder of the finished folds' outputs and of the present fit's state."""
        # Ids, pixels and labels are in the dataset's digest; the folds take the place of the split.
        folds = hashlib.sha256(self.fold_of.tobytes()).hexdigest()
        return self.training.folder(folds=folds, dataset=self.training.dataset.name, split_hash=None)

    def outputs_path(self, fold: int) -> Path:
        """Return the file of a finished fold's outputs."""
        return self.folder / f"fold-{fold + 1}-outputs.parquet"

    @property
    def jobs(self) -> list[FoldJob]:
        """One job per fold."""
        return [
            FoldJob(
                self.training,
                self.part,
                self.fold_of,
                fold,
                self.outputs_path(fold),
                tabulate_outputs,
                IMAGE_BATCH,
            )
            for fold in range(self.count)
        ]

    @property
    def name(self) -> str:
        """Stem of the report, the scores and the MLflow run."""
        training = self.training
        words = [training.dataset.name, training.scheme, *training.description.words, self.folder.name[:8]]
        return "-".join(["cross-validate", *(word.replace(" ", "-") for word in words)])


def cross_validate(training: TrainingTask, count: int) -> dict[str, Any]:
    """Fit the folds that are not finished, publish report and scores, and return the summary over all folds.

    Raises
    ------
    FolderBusyError
        Another process is in the middle of the same cross-validation.
    PartError
        There are fewer groups than folds, a fold lacks a class to fit to, or the initial weights have seen samples.
    """
    quiet_tensorflow()
    started = time.monotonic()
    folds = CrossValidation(training, training.part(ALL), count)
    require_unseen(training, folds.part)
    device = training.choose_device()
    run_logger().info("fitting %d folds on %s", count, device)
    with lock_folder(folds.folder):
        scores = with_probabilities(training, run_folds(folds.jobs, InProcess()))
        summary, blocks = summarise_folds(folds, scores)
        _publish(folds, scores, summary, blocks, device)
    report = training.workspace.reports / f"{folds.name}.html"
    return {**summary, "report": str(report), "seconds": round(time.monotonic() - started, 1)}


def require_unseen(training: TrainingTask, part: SplitPart) -> None:
    """Refuse samples that the initial weights were fitted to: their folds would be scored by what has seen them."""
    earlier = training.earlier_samples
    if earlier is None:
        return
    seen = int(seen_before(align_rows(training.dataset.samples(list(COLUMNS)), part.ids), earlier).sum())
    if seen:
        raise PartError(
            f"{seen} of the {len(part)} samples were in the training or validation part of the model that the weights "
            "come from, so out-of-fold scores would not be; start from weights of another dataset"
        )


def tabulate_outputs(fit: FoldFit) -> pa.Table:
    """Return the table of a fold's samples: `outputs_table`, ``best_epoch`` and the columns of `curve_figures`."""
    parts = fit.validation, fit.held_out
    both = fit.validation.join(fit.held_out)  # one pass over the images
    outputs = fit.outputs(both)
    of_parts = [outputs[np.searchsorted(both.rows, part.rows)] for part in parts]
    table = outputs_table(fit.job.training, parts, of_parts, fit.job.fold)
    for name, value in {"best_epoch": np.int32(fit.fitted.best_epoch), **fit.fitted.curve_figures}.items():
        table = table.append_column(name, pa.array(np.full(table.num_rows, value)))
    return table


def outputs_table(
    training: TrainingTask,
    parts: tuple[SplitPart, SplitPart],
    outputs: Sequence[NDArray],
    fold: int,
) -> pa.Table:
    """Return the table of the samples that a fold leaves out.

    Parameters
    ----------
    training : TrainingTask
    parts : (SplitPart, SplitPart)
        The validation samples, to which the temperature is fitted, and those left out.
    outputs : sequence of (n, classes)
        Of both.
    fold : int
        From 0.

    Returns
    -------
    Table
        ``id, group, fold`` (from 1), ``label``, ``output_CLASS`` of each class, ``temperature``.
    """
    (validation, held_out), (on_validation, of_fold) = parts, outputs
    temperature = measures.fit_temperature(training.probabilities(on_validation), validation.labels)
    columns: dict[str, Any] = {
        "id": held_out.ids,
        "group": held_out.groups,
        "fold": np.full(len(held_out), fold + 1, np.int32),
        "label": [training.classes[label] for label in held_out.labels],
        **{f"{OUTPUT}{name}": of_fold[:, position] for position, name in enumerate(training.classes)},
        "temperature": np.full(len(held_out), temperature, np.float32),
    }
    return pa.table(columns)


def with_probabilities(training: TrainingTask, outputs: pa.Table) -> pa.Table:
    """Return the table with ``probability_CLASS`` beside each ``output_CLASS``."""
    probabilities = training.probabilities(stacked(outputs, OUTPUT, training.classes))
    for position, name in enumerate(training.classes):
        outputs = outputs.append_column(f"{PROBABILITY}{name}", pa.array(probabilities[:, position]))
    return outputs


def summarise_folds(folds: CrossValidation, scores: pa.Table) -> tuple[dict[str, Any], list[Block]]:
    """Return the summary of all folds together and the blocks of its page.

    `scores` holds the columns of `tabulate_outputs` and `with_probabilities`.
    """
    training, classes = folds.training, folds.training.classes
    labels = np.asarray([classes.index(name) for name in scores["label"].to_pylist()], np.int32)
    probabilities, fold = stacked(scores, PROBABILITY, classes), scores["fold"].to_numpy()
    predicted = probabilities.argmax(axis=1)
    accuracy = measures.accuracy(labels, predicted)
    auc = measures.auc(probabilities[:, 1], labels == 1) if len(classes) == 2 else None
    per_fold = [
        _fold_metrics(scores.filter(pa.array(fold == number)), classes, number) for number in range(1, folds.count + 1)
    ]
    part = folds.part.take(positions_of(scores["id"], folds.part.ids))
    own_metrics, own_blocks = training.summarise_folds(part, stacked(scores, OUTPUT, classes), fold)
    summary = {
        "folds": folds.count,
        "count": len(labels),
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "auc": auc,
        **training.description.summary,
        **own_metrics,
        "per_fold": per_fold,
    }
    confusion = measures.confusion(labels, predicted, len(classes))
    largest = measures.rate(int(np.bincount(labels).max()), len(labels))
    table = [
        ("always the largest class", largest.value, largest.low, largest.high, None),
        ("this network, out of fold", accuracy.value, accuracy.low, accuracy.high, auc),
    ]
    return summary, [
        _answer(summary, largest.value),
        Table("Pooled over all folds, Wilson's interval", ("", "accuracy", "low", "high", "AUC"), table),
        *own_blocks,
        Table("Fold by fold", tuple(per_fold[0]), [tuple(row.values()) for row in per_fold]),
        Figure("Confusion, out of fold", confusion_figure(confusion, classes), "confusion matrix"),
    ]


def _answer(summary: Mapping[str, Any], largest: float) -> Answer:
    """Return what a network reaches out of fold beside the share of the largest class."""
    low, high = summary["accuracy_low"], summary["accuracy_high"]
    data, advice = share_sufficiency(summary["count"], low, high, "samples")
    verdict = "is better than" if low > largest else "is not shown to be better than"
    auc = "" if summary["auc"] is None else f"AUC {summary['auc']:.3f}"
    if auc and summary.get("auc_low") is not None:
        auc += f" ({summary['auc_low']:.3f} to {summary['auc_high']:.3f})"
    return Answer(
        f"Out of fold this network is right for {summary['accuracy']:.3f} ({low:.3f} to {high:.3f}), which {verdict} "
        f"always naming the largest class ({largest:.3f}).",
        f"{auc}, each sample scored once by a network that was not trained on its group." if auc else "",
        data,
        advice,
    )


def _fold_metrics(scores: pa.Table, classes: list[str], number: int) -> dict[str, Any]:
    labels = np.asarray([classes.index(name) for name in scores["label"].to_pylist()], np.int32)
    temperature = float(scores["temperature"][0].as_py())
    metrics = classification_summary(stacked(scores, PROBABILITY, classes), labels, temperature)
    return {"fold": number, **metrics, **{name: scores[name][0].as_py() for name in OF_FOLD}}


def stacked(table: pa.Table, prefix: str, classes: list[str]) -> NDArray:
    """Return one column a class, (n, classes)."""
    return np.stack([table[f"{prefix}{name}"].to_numpy() for name in classes], axis=1)


def _publish(
    folds: CrossValidation, scores: pa.Table, summary: dict[str, Any], blocks: list[Block], device: "Device"
) -> None:
    """Write the scores and the page, and record both in MLflow."""
    training, workspace = folds.training, folds.training.workspace
    write_table(workspace.scores / f"{folds.name}.parquet", scores.sort_by("id"))
    report = workspace.reports / f"{folds.name}.html"
    manifest = training.dataset.manifest
    title = f"Cross-validation of {' '.join(training.description.words)} on {training.dataset.name}"
    subtitle = f"{training.scheme}, {manifest['pixels']} pixels, labels from {manifest['label_kind']}"
    with whole_file(report) as path:
        path.write_text(page(title, blocks, subtitle), encoding="utf-8")
    details = RunDetails(folds.name, {"folds": folds.count}, {"kind": "cross-validation"})
    with open_training_run(training, device, folds.folder, details) as run:
        run.log_metrics({f"out_of_fold_{name}": value for name, value in summary.items() if isinstance(value, float)})
        run.log_report(report)
        run.log_file(workspace.scores / f"{folds.name}.parquet", "scores")
