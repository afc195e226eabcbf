"""Judging a real/bogus model at its operating point: counts, intervals, baselines on the same rows, a report.

Training, which has the model in memory, and ``evaluate-holdout`` call the same ``evaluate_candidates``.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from realbogus.models.baselines import FOREST_ROWS, forest_scores
from realbogus.models.label_errors import VERDICTS, WRONG
from realbogus.models.preprocessing import PREPROCESSING_VERSION
from realbogus.records import BOGUS
from tasks.candidates import baselines
from tasks.candidates.label_reviews import read_verdicts, write_verdict_table
from tasks.candidates.metrics import CandidateEvaluation, summarise
from tasks.candidates.report import candidate_blocks
from tasks.candidates.rows import EvaluationRows, choose, passed_bogus, unseen
from tasks.learning import measures, operating_points
from tasks.learning.scoring import Scorer, score
from tasks.learning.split_parts import part_rows
from tasks.learning.training_overlap import training_members
from tasks.reports.page import page
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.tracking.mlflow_runs import TrackedRun
from tasks.training.evaluation_record import EvaluationError

BATCH_SIZE = 256
SHOWN, MOST_ASKED = 32, 200
"""Triplets on a sheet of the report; at most, where people are asked about them."""
TRUTH = "truth"


def evaluate_candidates(
    workspace: Workspace,
    dataset: Dataset,
    model: Scorer,
    card: Mapping[str, Any],
    part: str,
    scheme: str,
    history: Mapping[str, Sequence[float]] | None = None,
    run: TrackedRun | None = None,
    *,
    members: pa.Table | None = None,
    best_epoch: int | None = None,
    against: tuple[str, Scorer] | None = None,
    verdicts: Path | None = None,
) -> dict[str, Any]:
    """Judge a model on a part of a dataset, write the report, and return the summary.

    Parameters
    ----------
    model
        Takes triplets as they are stored, gives logits (n, 2).
    card
        The content of its ``model.json``.
    part
        train, validation, test or all. What the model has seen in training or validation is left out.
    history
        Values by epoch.
    run
        Where numbers, tables and figures are recorded too.
    members
        What the model has seen; told from the card's dataset where it is None.
    against
        Name of a second model, and the model, judged on the same rows.
    verdicts
        Table that says of every bogus above the threshold of TPR 0.9 whether its label is right; where labels are not
        the hidden truth, one to fill in is written beside the report.

    Raises
    ------
    EvaluationError
        Problem, classes or stamp shape are not the model's, or a class is absent.
    VerdictError
        The table of verdicts lacks a row or has a word that is no verdict.
    """
    _require_fit(dataset, scheme, card)
    trained_on, notes = _trained_on(workspace, card)
    if members is None and trained_on is not None:
        members = training_members(trained_on)
    chosen, overlap = unseen(choose(dataset, scheme, part, card.get("detector")), members, part)
    logits = operating_points.logit_of(score(model, dataset.pixels, chosen.part.rows, BATCH_SIZE))
    untrained = baselines.untrained_scores(dataset, chosen.part)
    rivals = untrained | _forests(dataset, scheme, trained_on, chosen)
    if against is not None:
        rivals[against[0]] = operating_points.logit_of(score(against[1], dataset.pixels, chosen.part.rows, BATCH_SIZE))
    evaluation = CandidateEvaluation(
        title=f"Real/bogus on {dataset.name}, {part} part",
        origin=f"{dataset.manifest['pixels']} pixels, {_label_word(dataset)} labels",
        facts=_facts(dataset, scheme, part, card),
        chosen=chosen,
        logits=logits,
        temperature=float(card["temperature"] or 1),
        training_share=float(card["training_real_share"]),
        card_points=dict(card["operating_points"]),
        rivals=rivals,
        untrained=list(untrained),
        against=None if against is None else against[0],
        worst=_worst(dataset, chosen, logits),
        ledger=dataset.samples(),
        history=dict(history or {}),
        best_epoch=best_epoch,
        notes=[*notes, *chosen.notes, *_unknown_overlap(overlap)],
    )
    summary = summarise(evaluation, overlap)
    report = _report_path(workspace, dataset, part, card)
    summary["verdicts"] = _verdicts(evaluation, report.with_suffix(".verdicts.csv"), verdicts)
    blocks, figures = candidate_blocks(evaluation, summary)
    with whole_file(report) as path:
        path.write_text(page(evaluation.title, blocks, evaluation.origin), encoding="utf-8")
    if run is not None:
        _record(run, summary, figures, evaluation, report, part)
    return summary | {"report": str(report)}


def _label_word(dataset: Dataset) -> str:
    return TRUTH if dataset.truth() is not None else str(dataset.manifest["label_kind"])


def _require_fit(dataset: Dataset, scheme: str, card: Mapping[str, Any]) -> None:
    for what, has, takes in (
        ("is of problem", dataset.manifest["problem"], card["problem"]),
        (f"has, under {scheme!r}, the classes", dataset.classes(scheme), list(card["classes"])),
        ("is read here by the preprocessing", PREPROCESSING_VERSION, card["preprocessing_version"]),
        ("has stamps of shape", list(dataset.pixels.shape[1:]), list(card["input_shape"])),
    ):
        if has != takes:
            raise EvaluationError(f"dataset {dataset.name!r} {what} {has}, the model's is {takes}")


def _trained_on(workspace: Workspace, card: Mapping[str, Any]) -> tuple[Dataset | None, list[str]]:
    reference = f"{card['dataset']}@{card['dataset_version']}"
    try:
        found = Dataset.open(workspace, reference)
    except StoreError as error:
        return None, [f"No baselines that are fitted: the model was trained on {reference}, and there is {error}."]
    if found.digest != card["dataset_digest"]:
        return None, [f"No baselines that are fitted: {reference} here is not the dataset the model was trained on."]
    return found, []


def _unknown_overlap(overlap: int | None) -> list[str]:
    return ["What the model was trained on could not be told, so nothing was left out."] if overlap is None else []


def _forests(
    dataset: Dataset, scheme: str, trained_on: Dataset | None, chosen: EvaluationRows
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of forests on few scalars, fitted to what the model was trained on."""
    if trained_on is None:
        return {}
    scores = {}
    train = part_rows(trained_on, scheme, "train")
    few = train.take(np.sort(np.random.default_rng(0).permutation(len(train))[:FOREST_ROWS]))
    fitted_on = baselines.scalar_tables(trained_on, few)
    for name, table in baselines.scalar_tables(dataset, chosen.part).items():
        if name in fitted_on:
            scores[name] = forest_scores(fitted_on[name], few.labels == 1, table, 0)
    return scores


def _worst(dataset: Dataset, chosen: EvaluationRows, logits: NDArray) -> dict[str, tuple[NDArray, NDArray]]:
    """Return the bogus scored highest and the reals scored lowest: positions and triplets.

    Where people are asked about the bogus that pass, all of those are shown, up to `MOST_ASKED`.
    """
    found = {}
    shown = {"bogus": SHOWN, "real": SHOWN}
    if _label_word(dataset) != TRUTH:
        shown["bogus"] = min(max(SHOWN, len(passed_bogus(chosen, logits))), MOST_ASKED)
    for name, wanted, sign in (("bogus", False, -1), ("real", True, 1)):
        rows = np.flatnonzero((chosen.real == wanted) & chosen.headline)
        rows = rows[np.argsort(sign * logits[rows], kind="stable")][: shown[name]]
        found[name] = (rows, np.array([dataset.pixels[int(chosen.part.rows[row])] for row in rows]))
    return found


def _facts(dataset: Dataset, scheme: str, part: str, card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset digest": dataset.digest,
        "part": part,
        "pixels": dataset.manifest["pixels"],
        "labels": _label_word(dataset),
        "split hash": dataset.manifest["split_hash"],
        "code": code_version(),
    } | {f"model: {name.replace('_', ' ')}": value for name, value in card.items()}


def _report_path(workspace: Workspace, dataset: Dataset, part: str, card: Mapping[str, Any]) -> Path:
    words = (dataset.name, f"{dataset.version:06d}", str(card["scheme"]), part, str(card["sha256"])[:8])
    return workspace.reports / f"evaluation-{'-'.join(re.sub(r'[^a-zA-Z0-9.-]+', '_', word) for word in words)}.html"


def _verdicts(evaluation: CandidateEvaluation, table: Path, filled: Path | None) -> dict[str, Any] | None:
    """Write what asks people about the bogus above the threshold, or count their answers; None where the truth rules.

    A bogus that is judged to be real leaves the bogus; one that nobody is sure of stays.
    """
    chosen = evaluation.chosen
    if evaluation.facts["labels"] == TRUTH:
        if filled is not None:
            raise EvaluationError(f"verdicts={filled}: the labels are the simulation's truth, which needs none")
        return None
    passed = passed_bogus(chosen, evaluation.logits)
    ids = [chosen.part.ids[row] for row in passed]
    if filled is None:
        write_verdict_table(table, zip(ids, [BOGUS] * len(ids), evaluation.logits[passed], strict=True))
        return {"table": str(table), "asked": len(ids)}
    said = Counter(read_verdicts(filled, ids))
    left, of = len(ids) - said[WRONG], int((~chosen.real).sum()) - said[WRONG]
    rate = measures.rate(left, of) if of else None
    return {
        "asked": len(ids),
        **{word: said[word] for word in VERDICTS},
        "fpr_at_tpr90": None if rate is None else rate.value,
        "fpr_at_tpr90_low": None if rate is None else rate.low,
        "fpr_at_tpr90_high": None if rate is None else rate.high,
    }


def _record(
    run: TrackedRun,
    summary: Mapping[str, Any],
    figures: Mapping[str, bytes],
    evaluation: CandidateEvaluation,
    report: Path,
    part: str,
) -> None:
    numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
    run.log_metrics({f"{part}_{name}": value for name, value in numbers.items()})
    for name, png in figures.items():
        run.log_figure(png, f"{part}_{name}")
    run.log_file(report, "report")
    chosen = evaluation.chosen
    table = pa.table(
        {
            "id": chosen.part.ids,
            "real": chosen.real,
            "origin": chosen.origins.tolist(),
            "headline": chosen.headline,
            "logit": evaluation.logits,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{part}_predictions.parquet")
        pq.write_table(table, path)
        run.log_file(path, "predictions")
