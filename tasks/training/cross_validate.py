"""Cross-validation over a whole dataset: every labelled sample is judged once, by a network that never saw its group.

Each fold keeps a tenth of the other folds' groups aside to choose the epoch and the temperature on, so the fold
that is judged decides nothing.
"""

import hashlib
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.learning import measures
from tasks.learning.predictions import figures_of
from tasks.learning.split_parts import ALL, SplitPart, draw_folds, fold_sides
from tasks.reports.figures import confusion_figure
from tasks.reports.page import Figure, Headline, Headlines, Table, page
from tasks.runtime.run_log import run_logger
from tasks.store.files import whole_file, write_table
from tasks.training.training_task import SCORE_BATCH, TrainingTask, alone, fit_parts, quiet_tensorflow, tracked

if TYPE_CHECKING:
    from tasks.learning.devices import Device

PROBABILITY = "probability_"


@dataclass(frozen=True)
class Folds:
    """A training repeated over folds, and where it keeps what is finished."""

    training: TrainingTask
    part: SplitPart
    count: int

    @cached_property
    def fold_of(self) -> NDArray[np.int32]:
        """The fold of every sample."""
        return draw_folds(self.part, self.count, self.training.request.seed)

    @cached_property
    def folder(self) -> Path:
        """Where scores of finished folds and the state of the present one lie."""
        # Ids, pixels and labels stand in the dataset's digest; the split plays no part here, the folds do.
        folds = hashlib.sha256(self.fold_of.tobytes()).hexdigest()
        return self.training.folder(folds=folds, dataset=self.training.dataset.name, split_hash=None)

    def sides(self, fold: int) -> tuple[SplitPart, SplitPart, SplitPart]:
        """Return train, validation and the samples to judge of one fold."""
        return fold_sides(self.part, self.fold_of, fold, self.training.request.seed)

    def scores_path(self, fold: int) -> Path:
        """Where the scores of a finished fold lie."""
        return self.folder / f"fold-{fold + 1}.parquet"

    @property
    def name(self) -> str:
        """What the cross-validation's files are called."""
        training = self.training
        words = [training.dataset.name, training.scheme, *training.words, self.folder.name[:8]]
        return "-".join(["cross-validate", *(word.replace(" ", "-") for word in words)])


@task(name="cross-validate", description="Fit and judge fold after fold", cache_policy=NO_CACHE)
def cross_validate_folds(training: TrainingTask, count: int) -> dict[str, Any]:
    """Run the folds that are not finished and return the pooled summary."""
    quiet_tensorflow()
    from tasks.learning.devices import choose_device

    started = time.monotonic()
    folds = Folds(training, training.part(ALL), count)
    device = choose_device(training.request.device)
    run_logger().info("fitting %d folds on %s", count, device)
    with alone(folds.folder):
        for fold in range(count):
            if not folds.scores_path(fold).exists():
                run_fold(folds, fold, device)
        scores = pa.concat_tables([pq.read_table(folds.scores_path(fold)) for fold in range(count)])
        summary, blocks = _pooled(folds, scores)
        _publish(folds, scores, summary, blocks, device)
    report = training.workspace.reports / f"{folds.name}.html"
    return {**summary, "report": str(report), "seconds": round(time.monotonic() - started, 1)}


def run_fold(folds: Folds, fold: int, device: "Device") -> None:
    """Fit one fold, judge its samples, and keep their scores."""
    from tasks.learning.scoring import score

    training = folds.training
    train_part, validation, judged = folds.sides(fold)
    state = folds.folder / f"fold-{fold + 1}"
    fitted = fit_parts(
        training,
        train_part,
        validation,
        device,
        state,
        lambda record, most: run_logger().info(
            "fold %d/%d, epoch %d/%d: %s", fold + 1, folds.count, record.epoch, most, record
        ),
    )
    model, pixels = training.model(fitted.weights), training.dataset.pixels
    on_validation = training.probabilities(score(model, pixels, validation.rows, SCORE_BATCH))
    temperature = measures.fit_temperature(on_validation, validation.labels)
    probabilities = training.probabilities(score(model, pixels, judged.rows, SCORE_BATCH))
    columns: dict[str, Any] = {
        "id": judged.ids,
        "group": judged.groups,
        "fold": np.full(len(judged), fold + 1, np.int32),
        "label": [training.classes[label] for label in judged.labels],
        **{f"{PROBABILITY}{name}": probabilities[:, at] for at, name in enumerate(training.classes)},
        "temperature": np.full(len(judged), temperature, np.float32),
        "best_epoch": np.full(len(judged), fitted.best_epoch, np.int32),
    }
    write_table(folds.scores_path(fold), pa.table(columns))
    shutil.rmtree(state)


def _pooled(folds: Folds, scores: pa.Table) -> tuple[dict[str, Any], list[Any]]:
    """Return the summary of all folds together and the blocks of its page."""
    classes = folds.training.classes
    labels = np.asarray([classes.index(name) for name in scores["label"].to_pylist()], np.int32)
    probabilities = np.stack([scores[f"{PROBABILITY}{name}"].to_numpy() for name in classes], axis=1)
    fold, temperature = scores["fold"].to_numpy(), scores["temperature"].to_numpy()
    best_epoch = scores["best_epoch"].to_numpy()
    predicted = probabilities.argmax(axis=1)
    accuracy = measures.accuracy(labels, predicted)
    auc = measures.auc(probabilities[:, 1], labels == 1) if len(classes) == 2 else None
    per_fold = [
        {
            "fold": number,
            **figures_of(probabilities[fold == number], labels[fold == number], float(temperature[fold == number][0])),
            "best_epoch": int(best_epoch[fold == number][0]),
        }
        for number in range(1, folds.count + 1)
    ]
    rows = {name: row for row, name in enumerate(folds.part.ids)}
    judged = folds.part.take(np.array([rows[name] for name in scores["id"].to_pylist()]))
    own, own_blocks = folds.training.pooled(judged, probabilities, fold)
    summary = {
        "folds": folds.count,
        "count": len(labels),
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "auc": auc,
        **own,
        "per_fold": per_fold,
    }
    counts = measures.confusion(labels, predicted, len(classes))
    largest = measures.rate(int(np.bincount(labels).max()), len(labels))
    table = [
        ("always the largest class", largest.value, largest.low, largest.high, None),
        ("this network, out of fold", accuracy.value, accuracy.low, accuracy.high, auc),
    ]
    blocks = [
        Headlines(
            [Headline("accuracy", accuracy.value, f"{accuracy.low:.3f} to {accuracy.high:.3f}, {len(labels)} samples")]
        ),
        Table("Pooled over all folds, Wilson's interval", ("", "accuracy", "low", "high", "AUC"), table),
        *own_blocks,
        Table("Fold by fold", tuple(per_fold[0]), [tuple(row.values()) for row in per_fold]),
        Figure("Confusion, out of fold", confusion_figure(counts, classes), "confusion matrix"),
    ]
    return summary, blocks


def _publish(folds: Folds, scores: pa.Table, summary: dict[str, Any], blocks: list[Any], device: "Device") -> None:
    """Write the scores and the page, and record both in MLflow."""
    training = folds.training
    workspace = training.workspace
    write_table(workspace.scores / f"{folds.name}.parquet", scores.sort_by("id"))
    report = workspace.reports / f"{folds.name}.html"
    pixels = training.dataset.manifest["pixels"]
    title = f"Cross-validation of {' '.join(training.words)} on {training.dataset.name}"
    subtitle = f"{training.scheme}, {pixels} pixels, labels from {training.dataset.manifest['label_kind']}"
    with whole_file(report) as path:
        path.write_text(page(title, blocks, subtitle), encoding="utf-8")
    figures = [name for name, value in summary.items() if isinstance(value, float)]
    params, tags = {"folds": folds.count}, {"kind": "cross-validation"}
    with tracked(training, device, folds.folder, folds.name, params, tags) as run:
        run.log_metrics({f"out_of_fold_{name}": summary[name] for name in figures})
        run.log_file(report)
        run.log_file(workspace.scores / f"{folds.name}.parquet", "scores")
