"""Judging a real/bogus model at its operating point: counts, intervals, baselines on the same rows, a report.

What is real is the hidden truth where the survey has one, else the original label. The reals that the headline counts
are those that were not injected; injections are a second figure. Training, which has the model in memory, and
``evaluate-holdout`` call the same ``evaluate_candidates``.
"""

import math
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from realbogus import baselines
from realbogus.known import KNOWN_TRANSIENT
from realbogus.label_errors import VERDICTS, WRONG
from realbogus.preprocessing import PREPROCESSING_VERSION
from realbogus.records import BOGUS, GALAXY_INJECTION, RANDOM_INJECTION, REAL
from tasks import candidate_rivals
from tasks.candidate_page import CandidateEvaluation, candidate_blocks
from tasks.evaluation import EvaluationError
from tasks.learning import measures, operating
from tasks.learning.members import COLUMNS, seen_before, training_members
from tasks.learning.parts import UNLABELLED, Part, part_rows
from tasks.learning.scoring import Scorer, score
from tasks.pages import page
from tasks.provenance import code_version
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import whole_file
from tasks.tracking import TrackedRun
from tasks.verdicts import read_verdicts, write_verdict_table
from tasks.workspace import Workspace

BATCH_SIZE = 256
SHOWN, MOST_ASKED = 32, 200
"""Triplets on a sheet of the report; at most, where people are asked about them."""
TRUTH = "truth"
LEAST_SCENE_REALS = 30
"""With fewer reals that were not injected the injections count too."""
NIGHT_CANDIDATES = 1e6
"""Detections of a night that the figures for a night are for."""
NIGHT_PRIOR = 1e-3
WANTED_A_NIGHT = (40, 400, 4000)
INJECTIONS = (GALAXY_INJECTION, RANDOM_INJECTION)


@dataclass(frozen=True)
class Chosen:
    """The rows that are judged.

    Attributes
    ----------
    part : Part
        Label 1 is real.
    samples : Table
        Their ledger rows, in the same order.
    origins : (n,) str
        What each truly is by the simulation, empty where there is none.
    headline : (n,) bool
        Rows of the headline figure: every bogus, and the reals that count.
    injected : (n,) bool
    left_out : counts by reason
    notes : list of str
    """

    part: Part
    samples: pa.Table
    origins: NDArray[np.str_]
    headline: NDArray[np.bool_]
    injected: NDArray[np.bool_]
    left_out: dict[str, int]
    notes: list[str] = field(default_factory=list)

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which rows are real."""
        return np.asarray(self.part.labels == 1)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a ledger column as numbers, NaN for null."""
        return np.asarray(pc.cast(self.samples[name], pa.float64()).to_numpy(zero_copy_only=False), float)

    def words(self, name: str) -> NDArray[np.str_]:
        """Return a ledger column as text, empty for null."""
        return np.array(pc.fill_null(self.samples[name], "").to_pylist(), str)


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
    chosen, overlap = _unseen(choose(dataset, scheme, part, card.get("detector")), members, part)
    logits = logit_of(score(model, dataset.pixels, chosen.part.rows, BATCH_SIZE))
    untrained = candidate_rivals.untrained_scores(dataset, chosen.part)
    rivals = untrained | _forests(dataset, scheme, trained_on, chosen)
    if against is not None:
        rivals[against[0]] = logit_of(score(against[1], dataset.pixels, chosen.part.rows, BATCH_SIZE))
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
        night_candidates=NIGHT_CANDIDATES,
        night_prior=NIGHT_PRIOR,
        worst=_worst(dataset, chosen, logits),
        ledger=dataset.samples(),
        history=dict(history or {}),
        best_epoch=best_epoch,
        notes=[*notes, *chosen.notes, *_unknown_overlap(overlap)],
    )
    summary = _summary(evaluation, overlap)
    report = _report_path(workspace, dataset, part, card)
    summary["verdicts"] = _verdicts(evaluation, report.with_suffix(".verdicts.csv"), verdicts)
    blocks, figures = candidate_blocks(evaluation, summary)
    with whole_file(report) as path:
        path.write_text(page(evaluation.title, blocks, evaluation.origin), encoding="utf-8")
    if run is not None:
        _record(run, summary, figures, evaluation, report, part)
    return summary | {"report": str(report)}


def choose(dataset: Dataset, scheme: str, part: str, detector: str | None = None) -> Chosen:
    """Return the rows of a part that can be judged, and by what.

    A blend, an injection that something else outshines, and what nobody has labelled stay out, counted.
    """
    rows = part_rows(dataset, scheme, part, unlabelled=True)
    samples = dataset.samples()
    samples = samples.take(pc.index_in(pa.array(rows.ids), samples["id"].combine_chunks()))
    kinds = np.array(samples["kind"].to_pylist(), str)
    injected = np.isin(kinds, INJECTIONS)
    origins, labels = np.full(len(rows), "", object), rows.labels.copy()
    reasons = np.full(len(rows), "", object)
    truth = dataset.truth()
    if truth is None:
        labels[kinds == KNOWN_TRANSIENT] = 1
        reasons[labels == UNLABELLED] = "unlabelled"
    else:
        place = pc.index_in(pa.array(rows.ids), truth["id"].combine_chunks())
        true = truth["truth"].take(place).to_pylist()
        origins = np.array(truth["origin"].take(place).to_pylist(), object)
        labels = np.array([{REAL: 1, BOGUS: 0}.get(word, UNLABELLED) for word in true], np.int32)
        reasons[labels == UNLABELLED] = "blend"
        reasons[injected & (labels == 0)] = "injection_outshone"
    if detector is not None:
        reasons[np.array(pc.fill_null(samples["detector"], "").to_pylist(), str) != detector] = "other_detector"
    kept = np.flatnonzero(reasons == "")
    left_out = Counter(reason for reason in reasons.tolist() if reason)
    part_kept = Part([rows.ids[at] for at in kept], rows.rows[kept], labels[kept], [rows.groups[at] for at in kept])
    return _with_headline(
        part_kept, samples.take(kept), np.array(origins[kept], str), injected[kept], dict(left_out), truth is not None
    )


def _with_headline(
    part: Part, samples: pa.Table, origins: NDArray, injected: NDArray, left_out: dict[str, int], simulated: bool
) -> Chosen:
    real = part.labels == 1
    scene = real & ~injected
    notes = []
    if scene.sum() >= LEAST_SCENE_REALS or not injected.any():
        headline = ~injected | ~real
    else:
        headline = np.ones(len(part), bool)
        which = "true transients that were not injected" if simulated else "reals that were not injected"
        notes.append(f"Only {int(scene.sum())} {which} are here, so the injections count as reals too.")
    return Chosen(part, samples, origins, headline, injected, left_out, notes)


def passed_bogus(chosen: Chosen, logits: NDArray) -> NDArray[np.int64]:
    """Return the positions of the bogus at or above the threshold of TPR 0.9, the highest first."""
    threshold = operating.threshold_for_tpr(logits[chosen.real & chosen.headline], 0.9)
    passed = np.flatnonzero(~chosen.real & (logits >= threshold))
    return passed[np.argsort(-logits[passed], kind="stable")]


def logit_of(outputs: NDArray) -> NDArray[np.float64]:
    """Return the logit of being real from a model's (n, 2) outputs."""
    outputs = np.asarray(outputs, float)
    return np.asarray(outputs[:, 1] - outputs[:, 0])


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


def _unseen(chosen: Chosen, members: pa.Table | None, part: str) -> tuple[Chosen, int | None]:
    """Leave out what the model has seen; count it (None where that is unknown)."""
    if members is None:
        return chosen, None
    seen = seen_before(chosen.samples.select(list(COLUMNS)), members)
    kept = np.flatnonzero(~seen)
    real = chosen.real[kept]
    if real.all() or not real.any():
        raise EvaluationError(
            f"part {part!r} has {int(real.sum())} real and {int((~real).sum())} bogus that the model has not seen "
            f"({int(seen.sum())} were in its training or validation part): both classes are needed"
        )
    left = Chosen(
        chosen.part.take(kept),
        chosen.samples.take(kept),
        chosen.origins[kept],
        chosen.headline[kept],
        chosen.injected[kept],
        chosen.left_out,
        chosen.notes,
    )
    return left, int(seen.sum())


def _unknown_overlap(overlap: int | None) -> list[str]:
    return ["What the model was trained on could not be told, so nothing was left out."] if overlap is None else []


def _forests(
    dataset: Dataset, scheme: str, trained_on: Dataset | None, chosen: Chosen
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of forests on few scalars, fitted to what the model was trained on."""
    if trained_on is None:
        return {}
    scores = {}
    train = part_rows(trained_on, scheme, "train")
    few = train.take(np.sort(np.random.default_rng(0).permutation(len(train))[: baselines.FOREST_ROWS]))
    fitted_on = candidate_rivals.scalar_tables(trained_on, few)
    for name, table in candidate_rivals.scalar_tables(dataset, chosen.part).items():
        if name in fitted_on:
            scores[name] = baselines.forest_scores(fitted_on[name], few.labels == 1, table, 0)
    return scores


def _worst(dataset: Dataset, chosen: Chosen, logits: NDArray) -> dict[str, tuple[NDArray, NDArray]]:
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


def _summary(evaluation: CandidateEvaluation, overlap: int | None) -> dict[str, Any]:
    """Return the numbers as JSON takes them: what is not measurable is None."""
    chosen, rows = evaluation.chosen, np.flatnonzero(evaluation.chosen.headline)
    logits, real = evaluation.logits[rows], chosen.real[rows]
    groups = np.asarray(chosen.part.groups)[rows]
    area = measures.group_bootstrap(
        groups, lambda at: measures.auc(logits[at], real[at]), np.random.default_rng(0), operating.REPEATS
    )
    points = {wanted: operating.at_tpr(logits, real, groups, wanted) for wanted in operating.WANTED_TPR}
    calibrated = _two(operating.probability(logits, evaluation.temperature, 0.5, 0.5))
    perfect = measures.perfect_ece(calibrated, np.random.default_rng(0))
    numbers: dict[str, Any] = {
        "count": len(rows),
        "real": int(real.sum()),
        "bogus": int((~real).sum()),
        "overlap_with_training": overlap,
        "auc": area.value,
        "auc_low": area.low,
        "auc_high": area.high,
        "fpr_at_tpr90": points[0.90].fpr.value,
        "fpr_at_tpr90_low": points[0.90].fpr.low,
        "fpr_at_tpr90_high": points[0.90].fpr.high,
        "fpr_at_tpr95": points[0.95].fpr.value,
        "fpr_at_tpr99": points[0.99].fpr.value,
        "points": {f"tpr{round(100 * wanted)}": operating.told(point) for wanted, point in points.items()},
        "partial_auc_fpr05": operating.partial_auc(logits, real, 0.05),
        "ece": measures.ece(calibrated, real.astype(int)),
        "ece_of_perfect": perfect.value,
        "ece_of_perfect_high": perfect.high,
        "temperature": evaluation.temperature,
        "tpr_at_night_candidates": {
            str(wanted): operating.tpr_at_count(logits, real, wanted, NIGHT_CANDIDATES) for wanted in WANTED_A_NIGHT
        },
        "at_card_thresholds": {
            name: operating.told(operating.at_threshold(logits, real, groups, point["threshold"]))
            for name, point in evaluation.card_points.items()
        },
        "baselines": {
            name: {
                "auc": measures.auc(scores[rows], real),
                "fpr_at_tpr90": operating.fpr_at_tpr(scores[rows], real, 0.9),
            }
            for name, scores in evaluation.rivals.items()
        },
        "best_untrained": _best_untrained(evaluation, rows),
        "injections": _injections(evaluation),
        "left_out": chosen.left_out,
        "pixels": evaluation.facts["pixels"],
        "labels": evaluation.facts["labels"],
        "notes": evaluation.notes,
    }
    if evaluation.against is not None:
        numbers["against"] = _compared(evaluation, rows)
    return {name: _or_none(value) for name, value in numbers.items()}


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


def _best_untrained(evaluation: CandidateEvaluation, rows: NDArray) -> dict[str, Any]:
    """Return what leads of all that needs no training, and how far the model is ahead of it."""
    chosen = evaluation.chosen
    return candidate_rivals.lead_of(
        evaluation.logits[rows],
        {
            name: evaluation.rivals[name][rows]
            for name in evaluation.untrained
            if not candidate_rivals.is_classifier(name)
        },
        chosen.real[rows],
        np.asarray(chosen.part.groups)[rows],
        chosen.words("night")[rows],
    )


def _injections(evaluation: CandidateEvaluation) -> dict[str, Any] | None:
    """Return the second figure: injections as reals, against the same bogus; None where there are none."""
    chosen = evaluation.chosen
    rows = np.flatnonzero((chosen.injected & chosen.real) | ~chosen.real)
    real = chosen.real[rows]
    if not real.any():
        return None
    logits = evaluation.logits[rows]
    return {
        "real": int(real.sum()),
        "auc": measures.auc(logits, real),
        "fpr_at_tpr90": operating.fpr_at_tpr(logits, real, 0.9),
    }


def _compared(evaluation: CandidateEvaluation, rows: NDArray) -> dict[str, Any]:
    name = str(evaluation.against)
    other, logits, real = evaluation.rivals[name][rows], evaluation.logits[rows], evaluation.chosen.real[rows]
    groups = np.asarray(evaluation.chosen.part.groups)[rows]
    ratio = operating.fpr_ratio(other, logits, real, groups, 0.9)
    area = operating.auc_difference(other, logits, real, groups)
    return {
        "model": name,
        "fpr_at_tpr90_ratio": [ratio.value, ratio.low, ratio.high],
        "auc_difference": [area.value, area.low, area.high],
    }


def _two(probability: NDArray) -> NDArray[np.float64]:
    return np.stack([1 - probability, probability], axis=1)


def _or_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _or_none(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


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
