"""Scoring a night with the registered models: which threshold, which first model, what is shown and recorded.

TensorFlow and MLflow take long to import; MLflow is imported inside the task, TensorFlow only if a model has yet to be
exported.
"""

import math
import os
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, model_validator

from realbogus.models.preprocessing import PREPROCESSING_VERSION, PROBLEM
from tasks.learning import cascade, saved_models
from tasks.learning.cascade import CascadeError, Discard
from tasks.learning.inference import Engine, open_outputs
from tasks.learning.scoring import image_blocks
from tasks.learning.split_parts import part_rows
from tasks.night.decisions import Scored, decide
from tasks.night.operations import NightScores, known_of, operations
from tasks.night.report import SHOWN, write_night_page
from tasks.night.scoring import NightError, NightModel, OneScorer, ScoringRule, score_into_parts
from tasks.night.sources import BLOCK_ROWS, DatasetNight, NightSource, open_night
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tasks.store.files import write_json
from tasks.tracking.mlflow_runs import UnknownModelError, open_run, resolve_model

REGISTERED, REGISTERED_FIRST = "realbogus", "realbogus-first"
DEFAULT_TPR = 0.9
DISCARD_MARGIN = 2.0
"""Logits by which the first model's threshold lies below the lowest real of the validation part: those are injections,
and the faintest true transients lie somewhat lower. Half of it lost 0.13 % of made reals, of 0.2 % that may be lost."""
MOST_LOST_LIMIT = 0.02
"""A first model whose loss cannot be shown to be below this, as the validation part has too few reals, is not used."""


class NightRequest(BaseModel):
    """What to score, and from where on a candidate is one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    model: str = "champion"
    first: str | None = "champion"
    """The cheap model that goes before; None: none."""
    threshold: float | None = None
    """Logit; or
    """
    tpr: float | None = Field(default=None, gt=0, lt=1)
    """one of the model's operating points; or
    """
    max_candidates: int | None = Field(default=None, ge=1)
    """the best so many of the night. None of the three: tpr=0.9."""
    night_prior: float = Field(default=1e-3, gt=0, lt=1)
    """Share of reals among a night's detections, for the probability at that prior."""
    night: str | None = None
    """Name of the scores file; None: the source's."""
    against: str | None = None
    """Model that was in use before: it scores the night too, for the counts at equal recovery."""
    engine: Engine = "auto"
    """What runs the models; tensorflow for a graphics processor."""

    @model_validator(mode="after")
    def _one_rule(self) -> "NightRequest":
        given = [name for name in ("threshold", "tpr", "max_candidates") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given: choose one of threshold, tpr, max_candidates")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ValueError(f"threshold={self.threshold} is no finite logit")
        for name in ("model", "first", "against"):
            if str(getattr(self, name)).lower().endswith((".h5", ".hdf5")):
                raise ValueError(
                    f"{name}={getattr(self, name)}: HDF5 models of the public code are not supported, as their layers "
                    "have no configuration; train the network here with profile=published, or give a registered model"
                )
        return self


@task(
    name="score-night", description="Stream candidates through the models, decide, show the best", cache_policy=NO_CACHE
)
def score_candidates(workspace: Workspace, request: NightRequest) -> dict[str, Any]:
    """Score a night and return the account; a killed scoring goes on with the next call."""
    started = time.monotonic()
    full = open_judge(workspace, request.model, REGISTERED, request.engine)
    source = open_night(workspace, request.path, _stamp_px(full))
    threshold, most, version = choose_threshold(request, full)
    first, discard, why = _first(workspace, request, full, threshold)
    below = -math.inf if discard is None else discard.threshold
    rule = ScoringRule(full, first, below, threshold, most, version, request.night_prior)
    night = re.sub(r"[^A-Za-z0-9._-]+", "_", request.night or source.name)
    with OneScorer(workspace.root / "scoring", night) as scorer:
        scored = _score(workspace, scorer, source, rule, night)
        seconds = time.monotonic() - started
        other = None
        if request.against is not None:
            against = open_judge(workspace, request.against, REGISTERED, request.engine)
            alone = ScoringRule(
                against, None, -math.inf, 0.0, None, f"{against.name} for comparison", request.night_prior
            )
            _score(workspace, scorer, source, alone, f"{night}.against")
            other = NightScores.read(workspace.scores / f"{night}.against.parquet"), against.name
    summary = _summary(source, scored, rule, seconds) | {
        "cascade": _told_cascade(first, discard, why, scored),
        "against": other and other[1],
        "operations": operations(NightScores.read(scored.path), known_of(source), other and other[0]),
    }
    report = workspace.reports / f"night-{night}.html"
    write_night_page(report, f"Night {night}", source, scored, rule, summary)
    run_id = _record(workspace, request, source, rule, summary, report)
    return summary | {"report": str(report), "run_id": run_id, "seconds": round(time.monotonic() - started, 1)}


def open_judge(workspace: Workspace, model: str, registered: str, engine: Engine) -> NightModel:
    """Open a registered model, checked, in its fastest form.

    Raises
    ------
    NightError
        It is of another problem, or its preprocessing is another version's.
    """
    ref = resolve_model(workspace, model, registered)
    card = saved_models.checked_card(ref.folder)
    name = f"{ref.name}/{ref.version}"
    if card["problem"] != PROBLEM:
        raise NightError(f"model {name} is of problem {card['problem']!r}, not {PROBLEM}")
    if card["preprocessing_version"] != PREPROCESSING_VERSION:
        raise NightError(
            f"model {name} was trained with preprocessing {card['preprocessing_version']!r}, this code has "
            f"{PREPROCESSING_VERSION!r}: train it anew, or score with the code that trained it"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    outputs = open_outputs(card, lambda: saved_models.load_model(ref.folder)[0], workspace.root / "onnx", engine)
    if engine == "auto" and outputs.engine == "tensorflow":
        run_logger().warning("%s is run by TensorFlow: what was exported does not answer as it does", name)
    return NightModel(name, card, outputs)


def choose_threshold(request: NightRequest, full: NightModel) -> tuple[float | None, int | None, str]:
    """Return the threshold, or how many are wanted, and what it is called."""
    told = f"{full.name} {full.sha256[:8]}"
    if request.max_candidates is not None:
        return None, request.max_candidates, f"{told} best {request.max_candidates}"
    if request.threshold is not None:
        return request.threshold, None, f"{told} threshold {request.threshold:g}"
    tpr, points = request.tpr or DEFAULT_TPR, full.card.get("operating_points") or {}
    name = f"tpr{100 * tpr:.6g}"
    if name not in points:
        known = ", ".join(f"0.{point.removeprefix('tpr')}" for point in points) or "none"
        raise NightError(f"tpr={tpr:g} is no operating point of {full.name}, which has {known}; or give a threshold")
    return float(points[name]["threshold"]), None, f"{told} {name}"


def _first(
    workspace: Workspace, request: NightRequest, full: NightModel, threshold: float | None
) -> tuple[NightModel | None, Discard | None, str | None]:
    """Return the first model and what it may discard, or why none is used."""
    if request.first is None:
        return None, None, "none was asked for"
    try:
        first = open_judge(workspace, request.first, REGISTERED_FIRST, request.engine)
    except UnknownModelError:
        return _without_first("no first model is registered (train-realbogus network=first)")
    if first.card["input_shape"] != full.card["input_shape"]:
        return _without_first(f"{first.name} takes stamps of {_stamp_px(first)} px, {full.name} {_stamp_px(full)} px")
    at = float(full.card["operating_points"]["tpr99"]["threshold"]) if threshold is None else threshold
    try:
        discard = _fitted_discard(workspace, first, full, at)
    except (StoreError, CascadeError) as error:
        return _without_first(f"what {first.name} may discard cannot be set: {error}")
    if discard.lost_limit > MOST_LOST_LIMIT:
        return _without_first(
            f"{first.name} may lose up to {discard.lost_limit:.1%} of the reals, as far as the {discard.kept_by_full} "
            f"of the validation part tell; {MOST_LOST_LIMIT:.1%} is allowed"
        )
    return first, discard, None


def _without_first(why: str) -> tuple[None, None, str]:
    run_logger().info("every candidate is judged in full: %s", why)
    return None, None, why


def _fitted_discard(workspace: Workspace, first: NightModel, full: NightModel, threshold: float) -> Discard:
    """Return what the first model may discard, by the reals of its validation part; found once for a pair of models."""
    name = f"{first.sha256[:16]}-{full.sha256[:16]}-{threshold:.6f}-{DISCARD_MARGIN:g}.json"
    kept = workspace.root / "cascade" / name
    if kept.is_file():
        return Discard.read(kept)
    dataset = Dataset.open(workspace, f"{first.card['dataset']}@{first.card['dataset_version']}")
    part = part_rows(dataset, str(first.card["scheme"]), "validation")
    rows = np.sort(part.rows[part.labels == 1])
    if not len(rows):
        raise CascadeError(f"the validation part of {dataset.name}@{dataset.version} holds no real")
    blocks = [
        [judge.logits(stamps) for judge in (first, full)] for stamps in image_blocks(dataset.pixels, rows, BLOCK_ROWS)
    ]
    by_first, by_full = (np.concatenate(logits) for logits in zip(*blocks, strict=True))
    discard = cascade.fit_discard(by_first, by_full, threshold, DISCARD_MARGIN)
    write_json(kept, discard.told())
    return discard


def _score(workspace: Workspace, scorer: OneScorer, source: NightSource, rule: ScoringRule, night: str) -> Scored:
    state = scorer.folder / rule.identity(source)
    with progress("scoring", source.count) as advance:
        parts = score_into_parts(source, rule, state, advance)
    scored = decide(parts, rule, workspace.scores / f"{night}.parquet", SHOWN)
    scorer.forget(state)
    return scored


def _stamp_px(judge: NightModel) -> int:
    return int(judge.card["input_shape"][0])


def _summary(source: NightSource, scored: Scored, rule: ScoringRule, seconds: float) -> dict[str, Any]:
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


def _told_cascade(first: NightModel | None, discard: Discard | None, why: str | None, scored: Scored) -> dict[str, Any]:
    """Return what the first model did, or why there is none; `beyond` where the threshold fell below the fitted one."""
    if first is None or discard is None:
        return {"first": None, "why": why}
    beyond = scored.threshold < discard.full_threshold
    if beyond:
        run_logger().warning(
            "the best so many reach down to logit %.3f, the loss of the first model is bounded from %.3f on",
            scored.threshold,
            discard.full_threshold,
        )
    return {"first": first.name, "discarded": scored.discarded, **discard.told(), "beyond": beyond}


def _record(
    workspace: Workspace,
    request: NightRequest,
    source: NightSource,
    rule: ScoringRule,
    summary: Mapping[str, Any],
    report: Any,
) -> str:
    """Record the scoring in MLflow and return the run's id."""
    dataset = source.dataset if isinstance(source, DatasetNight) else None
    cascade_told, recovered = summary["cascade"], summary["operations"]["recovered"]
    with open_run(
        workspace,
        problem=PROBLEM,
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
                "discarded": cascade_told.get("discarded"),
                "lost_limit": cascade_told.get("lost_limit"),
                "recovered": None if recovered is None else recovered["share"],
            }
        )
        run.log_file(report, "report")
        return run.id
