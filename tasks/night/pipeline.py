"""The scoring of a night from its request to its page: models, threshold, scores, operations figure, MLflow run."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.night.counted_reals import count_reals
from tasks.night.default_night import newest_night
from tasks.night.first_model import FirstModel, choose_first
from tasks.night.known_truth import known_truth
from tasks.night.models import REGISTERED, NightError, NightModel, ScoringRule, open_model
from tasks.night.operations import NightScores, ground_truth, operations
from tasks.night.overlap import trained_on_any
from tasks.night.repetitions import unique_parts
from tasks.night.report import SHOWN, write_night_page
from tasks.night.request import NightRequest, choose_threshold
from tasks.night.score_files import COMPARISON, NightFiles
from tasks.night.score_table import ScoredNight, decide
from tasks.night.scoring import NightLock, read_readings, score_into_parts
from tasks.night.scoring_record import (
    ModelRecord,
    ScoringRecord,
    SourceRecord,
    finite_or_none,
    record_first,
    record_source,
)
from tasks.night.sources import DatasetNight, NightSource, RecordNight, open_night
from tasks.records.repetitions import log_repeated
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.files import file_stem, sha256_of_file
from tasks.store.schema import REALBOGUS
from tasks.tracking.mlflow_runs import open_run


@dataclass(frozen=True)
class Scoring:
    """A night that was scored, and what its summary, page and record need.

    Attributes
    ----------
    request : NightRequest
        With the path of the source.
    source : NightSource
    rule : ScoringRule
    first : FirstModel
    scored : ScoredNight
    found : dict
        The summary's entries on what was found in the source.
    """

    request: NightRequest
    source: NightSource
    rule: ScoringRule
    first: FirstModel
    scored: ScoredNight
    found: dict[str, Any]


def score_night(workspace: Workspace, request: NightRequest) -> dict[str, Any]:
    """Score a night, write its scores, record and page, and return the summary; an interrupted scoring is resumed.

    Scores that the night had before are kept, see `tasks.night.score_files`.

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
    threshold, max_candidates, name = choose_threshold(request, full)
    first = choose_first(workspace, request, full, threshold)
    below = -math.inf if first.discard is None else first.discard.threshold
    rule = ScoringRule(full, first.model, below, threshold, max_candidates, name, request.night_prior)
    files = NightFiles(workspace, name_night(request, source))
    with NightLock(workspace.root / "scoring", files.night) as lock:
        scoring = _score(workspace, lock, request, source, rule, first, files)
        seconds = time.monotonic() - started
        other = None if request.against is None else _score_against(workspace, lock, request, source, files.night)
    summary = conclude(workspace, scoring, other, seconds)
    return summary | {"seconds": round(time.monotonic() - started, 1)}


def name_night(request: NightRequest, source: NightSource) -> str:
    """Return the name of a night's scores.

    Raises
    ------
    NightError
        The name is that of a second model's scores.
    """
    night = file_stem(request.night or source.name)
    if night.endswith(COMPARISON):
        raise NightError(f"night={night} ends in {COMPARISON}, as the scores of a second model do: give another name")
    return night


def _score(
    workspace: Workspace,
    lock: NightLock,
    request: NightRequest,
    source: NightSource,
    rule: ScoringRule,
    first: FirstModel,
    files: NightFiles,
) -> Scoring:
    """Score a night into its files; its part files are removed when its record is written."""
    parts, found = _score_parts(lock, source, rule)
    path = str(request.path)
    with files.replaced() as beside:
        scored = decide(parts, rule, beside, SHOWN)
        try:
            require_scored(source, path, scored)
        except NightError:
            lock.forget(lock.folder / rule.identity(source))
            raise
        recorded = record_source(workspace, source, path, rule.full.stamp_px, beside)
        scoring = Scoring(request, source, rule, first, replace(scored, path=files.scores), found)
        record = record_scoring(scoring, recorded, files.night, sha256_of_file(beside))
    files.write_record(record)
    lock.forget(lock.folder / rule.identity(source))
    return scoring


def _score_parts(lock: NightLock, source: NightSource, rule: ScoringRule) -> tuple[list[Path], dict[str, Any]]:
    """Score a source into part files; return them with the summary's entries on what was found in the source."""
    with progress("scoring", source.count) as advance:
        parts = score_into_parts(source, rule, lock.folder / rule.identity(source), advance)
    reading, repeated_ids = read_readings(parts), list[str]()
    if isinstance(source, RecordNight):
        parts, repeated_ids = unique_parts(parts, source.places)
    for note in reading.notes:
        run_logger().warning("%s", note)
    log_repeated(repeated_ids, "are scored once")
    return parts, {"repeated": len(repeated_ids), **reading.to_summary()}


def _score_against(
    workspace: Workspace, lock: NightLock, request: NightRequest, source: NightSource, night: str
) -> tuple[NightModel, NightScores]:
    """Score a night by the request's second model alone."""
    other = open_model(workspace, str(request.against), REGISTERED, request.engine)
    rule = ScoringRule(other, None, -math.inf, 0.0, None, f"{other.name} for comparison", request.night_prior)
    parts, _ = _score_parts(lock, source, rule)
    scored = decide(parts, rule, workspace.scores / f"{night}{COMPARISON}.parquet", SHOWN)
    lock.forget(lock.folder / rule.identity(source))
    return other, NightScores.read(scored.path)


def record_scoring(scoring: Scoring, source: SourceRecord, night: str, scores_sha256: str) -> ScoringRecord:
    """Return the record of a scoring that has just been made."""
    first, moment = scoring.first, datetime.now(UTC)
    return ScoringRecord(
        night=night,
        source=source,
        request=scoring.request.model_dump(mode="json", exclude={"path", "night"}),
        model=ModelRecord.of(scoring.rule.full),
        first=record_first(scoring.rule, first.discard),
        no_first=first.reason,
        threshold=finite_or_none(scoring.scored.threshold),
        threshold_version=scoring.scored.threshold_version,
        found=scoring.found,
        rows=scoring.scored.count,
        scores_sha256=scores_sha256,
        scored_at=moment,
        scored_with=code_version(),
        decided_at=moment,
        decided_with=code_version(),
    )


def conclude(
    workspace: Workspace,
    scoring: Scoring,
    other: tuple[NightModel, NightScores] | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Write the page of a night and its MLflow run, and return its summary.

    Parameters
    ----------
    workspace : Workspace
    scoring : Scoring
    other : tuple, optional
        A second model and its scores of the night.
    seconds : float, optional
        Time that the scoring took; None if the logits were there before.
    """
    source, rule, scored = scoring.source, scoring.rule, scoring.scored
    models = [rule.full] if other is None else [rule.full, other[0]]
    seen = trained_on_any(models, source, scored.path)
    other_scores = None if other is None else other[1]
    summary = summarise(source, scored, rule, seconds) | {
        "cascade": summarise_cascade(scoring.first, scored),
        "against": None if other is None else other[0].name,
        "overlap_with_training": None if seen is None else int(seen.sum()),
        "operations": operations(NightScores.read(scored.path), ground_truth(source), other_scores, seen),
        "probabilities": count_reals(scored.path, known_truth(source), rule.night_prior, seen),
        **scoring.found,
    }
    night = scored.path.stem
    report = workspace.reports / f"night-{night}.html"
    write_night_page(report, f"Night {night}", source, scored, rule, summary)
    run_id = _record(workspace, scoring, summary, report)
    NightFiles(workspace, night).untold.unlink(missing_ok=True)
    return summary | {"report": str(report), "run_id": run_id}


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


def summarise(source: NightSource, scored: ScoredNight, rule: ScoringRule, seconds: float | None) -> dict[str, Any]:
    """Return the summary's entries on counts, model and threshold; the threshold is None if nothing was selectable."""
    return {
        "path": str(scored.path),
        "count": scored.count,
        "scored": scored.scored,
        "not_scored": scored.not_scored,
        "selected": scored.selected,
        "stamps_per_second": None if seconds is None else round(scored.count / seconds, 1),
        "model": rule.full.name,
        "engine": rule.full.outputs.engine,
        "threshold": finite_or_none(scored.threshold),
        "threshold_version": scored.threshold_version,
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


def _record(workspace: Workspace, scoring: Scoring, summary: Mapping[str, Any], report: Path) -> str:
    """Record the scoring in MLflow and return the run's id."""
    source, rule = scoring.source, scoring.rule
    dataset = source.dataset if isinstance(source, DatasetNight) else None
    cascade, recovered = summary["cascade"], summary["operations"]["recovered"]
    with open_run(
        workspace,
        problem=REALBOGUS,
        run_name=f"score {source.name} by {rule.full.name}",
        params={name: value for name, value in scoring.request.model_dump().items() if value is not None},
        tags={
            "kind": "scoring",
            "model": rule.full.name,
            "model_sha256": rule.full.sha256,
            "threshold_version": scoring.scored.threshold_version,
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
        run.log_report(report)
        return run.id
