"""What a relabelling of galaxies leaves: the queue of labels, the comparison of both trainings, the page."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.galaxies.baselines import covariates
from tasks.galaxies.relabelling.paired_accuracy import PairedAccuracy, compare_on_test
from tasks.galaxies.relabelling.relabel_page import SHOWN, RelabelResults, relabel_page
from tasks.galaxies.relabelling.truth import true_labels
from tasks.galaxies.training import GalaxyTraining
from tasks.learning.labels.label_queue import label_queue
from tasks.learning.split_parts import SplitPart, part_rows
from tasks.runtime.provenance import code_version
from tasks.store.columns import align_column, positions_of
from tasks.store.files import whole_file, write_table
from tasks.store.schema import GALAXY
from tasks.tracking.mlflow_runs import open_run
from tasks.training.relabel import RelabelRound, RelabelTask
from tasks.training.training_task import TrainingTask, data_tags


def publish_report(relabel: RelabelTask, last: RelabelRound, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Write the queue and the page of a relabelling's last round, record both in MLflow, and return their entries.

    Returns
    -------
    dict
        ``queue, report, evaluation`` (the second training's report), ``estimated_errors`` with its interval, and after
        a second training ``compared``.
    """
    training = relabel.open(dataset=relabel.dataset, labels=None)
    assert isinstance(training, GalaxyTraining)
    results = relabel_results(relabel, training, last, summary)
    workspace, stem = relabel.workspace, _stem(training, last)
    queue, report = workspace.scores / f"{stem}.parquet", workspace.reports / f"{stem}.html"
    write_table(queue, results.queue)
    with whole_file(report) as path:
        path.write_text(relabel_page(results, f"../{queue.parent.name}/{queue.name}"), encoding="utf-8")
    errors = results.estimated_errors.to_summary("estimated_errors")
    compared = {against: paired.to_summary() for against, paired in results.compared.items()}
    _record(training, relabel, last, {"suspects": int(last.suspect.sum()), **errors}, queue, report)
    return {
        **errors,
        **({"evaluation": summary["report"], "compared": compared} if "first" in summary else {}),
        "queue": str(queue),
        "report": str(report),
    }


def relabel_results(
    relabel: RelabelTask, training: GalaxyTraining, last: RelabelRound, summary: Mapping[str, Any]
) -> RelabelResults:
    """Return what the page shows; `training` is that on the original labels, `summary` that of the trainings."""
    scores, dataset, classes = last.scores, training.dataset, training.classes
    part = scored_part(training, scores)
    probabilities, ids = relabel.probabilities(scores), scores["id"].to_pylist()
    queue = label_queue(ids, probabilities, part.labels, relabel.suggest(scores), classes)
    labels = dataset.labels(training.scheme)
    votes = (
        align_column(labels, "vote_fraction", queue["id"])
        if "vote_fraction" in labels.column_names
        else pa.nulls(queue.num_rows, pa.float32())
    )
    queue = queue.append_column("vote_fraction", votes)
    truth = true_labels(dataset, training.scheme, ids)
    compared: dict[str, PairedAccuracy] = {}
    if "first" in summary:
        addresses = (summary["first"]["model_uri"], summary["model_uri"])
        compared = compare_on_test(training, addresses)
    rows = part.rows[positions_of(queue["id"].slice(0, SHOWN), part.ids)]
    return RelabelResults(
        name=f"{dataset.name}@{dataset.version}",
        scheme=training.scheme,
        origin=f"{dataset.manifest['pixels']} pixels, {dataset.manifest['label_kind']} labels",
        classes=classes,
        request=relabel.request.model_dump(mode="json"),
        part=part,
        probabilities=probabilities,
        suspect=last.suspect,
        queue=queue,
        covariates=covariates(dataset, training.scheme, part),
        truth=truth,
        compared=compared,
        images=np.array([dataset.pixels[int(row)] for row in rows]),
        facts=_facts(training, relabel, last),
    )


def scored_part(training: TrainingTask, scores: pa.Table) -> SplitPart:
    """Return the scored galaxies of the training part with the labels that were scored, in the order of `scores`.

    Parameters
    ----------
    training : TrainingTask
        Names the dataset and the scheme.
    scores : Table
        Columns id and label (position of the class).
    """
    whole = part_rows(training.dataset, training.scheme, "train", unlabelled=True)
    part = whole.take(positions_of(scores["id"], whole.ids))
    return replace(part, labels=scores["label"].to_numpy().astype(np.int32))


def _stem(training: GalaxyTraining, last: RelabelRound) -> str:
    return f"suspects-{training.dataset.name}-{training.scheme}-{last.labels}"


def _facts(training: GalaxyTraining, relabel: RelabelTask, last: RelabelRound) -> dict[str, str]:
    dataset, request = training.dataset, relabel.request
    settings = ("rule", "suspect_threshold", "handling", "suspect_weight", "folds", "rounds", "seed")
    return {
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset digest": dataset.digest,
        "split hash": str(dataset.manifest["split_hash"]),
        "relabelling": last.labels,
        "relabelling sha256": dataset.labels_sha256(training.scheme, last.labels),
        "scored labels": request.labels or "original",
        "training": " ".join(training.description.words),
        **{name.replace("_", " "): str(getattr(request, name)) for name in settings},
        "code": code_version(),
    }


def _record(
    training: GalaxyTraining,
    relabel: RelabelTask,
    last: RelabelRound,
    metrics: Mapping[str, float | None],
    queue: Path,
    report: Path,
) -> None:
    """Record the page and the queue in an MLflow run of their own."""
    dataset = training.dataset
    tags = {
        **data_tags(dataset),
        "kind": "relabelling",
        "scheme": training.scheme,
        "seed": str(relabel.request.seed),
        "relabelling": last.labels,
        "relabelling_sha256": dataset.labels_sha256(training.scheme, last.labels),
    }
    with open_run(
        relabel.workspace,
        problem=GALAXY,
        run_name=f"relabel {dataset.name} {last.labels}",
        params=relabel.request.model_dump(exclude={"device"}),
        tags=tags,
        dataset=dataset,
    ) as run:
        run.log_metrics(metrics)
        run.log_file(queue)
        run.log_report(report)
