"""The scoring of a night from its request to its page: models, threshold, scores, operations figure, MLflow run."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.night.default_night import newest_night
from tasks.night.first_model import FirstModel, choose_first
from tasks.night.models import REGISTERED, NightError, NightModel, ScoringRule, open_model
from tasks.night.operations import NightScores, ground_truth, operations
from tasks.night.overlap import trained_on
from tasks.night.repetitions import unique_parts
from tasks.night.report import SHOWN, write_night_page
from tasks.night.request import NightRequest, choose_threshold
from tasks.night.score_table import ScoredNight, decide
from tasks.night.scoring import NightLock, read_readings, score_into_parts
from tasks.night.sources import DatasetNight, NightSource, RecordNight, open_night
from tasks.records.repetitions import log_repeated
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.files import file_stem
from tasks.store.schema import REALBOGUS
from tasks.tracking.mlflow_runs import open_run


def score_night(workspace: Workspace, request: NightRequest) -> dict[str, Any]:
    """Score a night, write its scores and page, and return the summary; an interrupted scoring is resumed.

    Raises
    ------
    NightError
        The models or the threshold cannot be used, another process scores the same night, there is no night, or none
        of its candidates can be scored.
    SourceError
        The source cannot be read.
    """
    started = time.monotonic()
    full = open_model(workspace, request.model, REGISTERED, request.engine)
    path = newest_night(workspace) if request.path is None else request.path
    request = request.model_copy(update={"path": path})
    source = open_night(workspace, path, full.stamp_px)
    threshold, max_candidates, version = choose_threshold(request, full)
    first = choose_first(workspace, request, full, threshold)
    below = -math.inf if first.discard is None else first.discard.threshold
    rule = ScoringRule(full, first.model, below, threshold, max_candidates, version, request.night_prior)
    night = file_stem(request.night or source.name)
    with NightLock(workspace.root / "scoring", night) as lock:
        scored, found = _score(workspace, lock, source, rule, night)
        require_scored(source, path, scored)
        seconds = time.monotonic() - started
        against, other_scores, models = None, None, [full]
        if request.against is not None:
            other = open_model(workspace, request.against, REGISTERED, request.engine)
            against = other.name
            version = f"{against} for comparison"
            alone = ScoringRule(other, None, -math.inf, 0.0, None, version, request.night_prior)
            other_scores = NightScores.read(_score(workspace, lock, source, alone, f"{night}.against")[0].path)
            models.append(other)
    seen = _trained_on(models, source, scored.path)
    summary = summarise(source, scored, rule, seconds) | {
        "cascade": summarise_cascade(first, scored),
        "against": against,
        "overlap_with_training": None if seen is None else int(seen.sum()),
        "operations": operations(NightScores.read(scored.path), ground_truth(source), other_scores, seen),
        **found,
    }
    report = workspace.reports / f"night-{night}.html"
    write_night_page(report, f"Night {night}", source, scored, rule, summary)
    run_id = _record(workspace, request, source, rule, summary, report)
    return summary | {"report": str(report), "run_id": run_id, "seconds": round(time.monotonic() - started, 1)}


def _score(
    workspace: Workspace, lock: NightLock, source: NightSource, rule: ScoringRule, night: str
) -> tuple[ScoredNight, dict[str, Any]]:
    """Score a night into its scores file; return it with the summary's entries on what was found in the source."""
    state = lock.folder / rule.identity(source)
    with progress("scoring", source.count) as advance:
        parts = score_into_parts(source, rule, state, advance)
    reading, repeated_ids = read_readings(parts), list[str]()
    if isinstance(source, RecordNight):
        parts, repeated_ids = unique_parts(parts, source.places)
    scored = decide(parts, rule, workspace.scores / f"{night}.parquet", SHOWN)
    lock.forget(state)
    for note in reading.notes:
        run_logger().warning("%s", note)
    log_repeated(repeated_ids, "are scored once")
    return scored, {"repeated": len(repeated_ids), **reading.to_summary()}


def require_scored(source: NightSource, path: str, scored: ScoredNight) -> None:
    """Refuse a night of which no candidate has a score.

    Raises
    ------
    NightError
        Says what was found: the number of candidates by reason, and the first that cannot be decoded.
    """
    if scored.scored:
        return
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in scored.not_scored.items()) or "it holds none"
    fault = source.first_fault() if isinstance(source, RecordNight) else None
    raise NightError(
        f"path={path}: none of {scored.count:,} candidates could be scored ({reasons})"
        + ("" if fault is None else f"; the first, {fault}")
    )


def _trained_on(models: Sequence[NightModel], source: NightSource, scores: Path) -> NDArray[np.bool_] | None:
    """Return which candidates one of the models was trained on, (n,); None where a model's samples are unknown."""
    seen = [trained_on(model, source, scores) for model in models]
    known = [rows for rows in seen if rows is not None]
    for model, rows in zip(models, seen, strict=True):
        if rows is None:
            run_logger().warning("the samples that %s was trained on are unknown: they may be in rates", model.name)
        elif rows.any():
            run_logger().warning(
                "%d of %d candidates are ones that %s was trained on: they are left out of rates",
                *(rows.sum(), len(rows), model.name),
            )
    return np.logical_or.reduce(known) if len(known) == len(models) else None


def summarise(source: NightSource, scored: ScoredNight, rule: ScoringRule, seconds: float) -> dict[str, Any]:
    """Return the summary's entries on counts, model and threshold; the threshold is None if nothing was selectable."""
    return {
        "path": str(scored.path),
        "count": scored.count,
        "scored": scored.scored,
        "not_scored": scored.not_scored,
        "selected": scored.selected,
        "stamps_per_second": round(scored.count / seconds, 1),
        "model": rule.full.name,
        "engine": rule.full.outputs.engine,
        "threshold": scored.threshold if math.isfinite(scored.threshold) else None,
        "threshold_version": rule.threshold_version,
        "night_prior": rule.night_prior,
        "pixels": source.pixels,
    }


def summarise_cascade(first: FirstModel, scored: ScoredNight) -> dict[str, Any]:
    """Return the summary's entry on the first model.

    ``beyond`` is true if the night's threshold is below the one for which the loss of reals is bounded.
    """
    if first.model is None or first.discard is None:
        return {"first": None, "why": first.reason}
    is_beyond = scored.threshold < first.discard.full_threshold
    if is_beyond:
        run_logger().warning(
            "the selected candidates reach down to logit %.3f; the first model's loss is bounded from logit %.3f up",
            scored.threshold,
            first.discard.full_threshold,
        )
    return {
        "first": first.model.name,
        "discarded": scored.discarded,
        **first.discard.to_summary(),
        "beyond": is_beyond,
    }


def _record(
    workspace: Workspace,
    request: NightRequest,
    source: NightSource,
    rule: ScoringRule,
    summary: Mapping[str, Any],
    report: Path,
) -> str:
    """Record the scoring in MLflow and return the run's id."""
    dataset = source.dataset if isinstance(source, DatasetNight) else None
    cascade, recovered = summary["cascade"], summary["operations"]["recovered"]
    with open_run(
        workspace,
        problem=REALBOGUS,
        run_name=f"score {source.name} by {rule.full.name}",
        params={name: value for name, value in request.model_dump().items() if value is not None},
        tags={
            "kind": "scoring",
            "model": rule.full.name,
            "model_sha256": rule.full.sha256,
            "threshold_version": rule.threshold_version,
            "pixels": summary["pixels"] or "unknown",
            "code_version": code_version(),
        },
        dataset=dataset,
    ) as run:
        run.log_metrics(
            {
                **{name: summary[name] for name in ("count", "scored", "selected", "stamps_per_second", "threshold")},
                "not_scored": sum(summary["not_scored"].values()),
                "discarded": cascade.get("discarded"),
                "lost_limit": cascade.get("lost_limit"),
                "recovered": None if recovered is None else recovered["share"],
            }
        )
        run.log_file(report, "report")
        return run.id
