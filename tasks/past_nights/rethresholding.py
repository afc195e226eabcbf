"""New decisions from the logits of a scored night: no model is run.

The first model's discarding stays that of the scoring: what the full model scored keeps its logit, what was discarded
stays discarded. So a threshold below the one for which the loss of reals was bounded is refused.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from realbogus.records import REAL
from tasks.night.first_model import FirstModel
from tasks.night.models import REGISTERED, NightError, NightModel, ScoringRule, describe_model
from tasks.night.pipeline import Scoring, conclude
from tasks.night.report import SHOWN
from tasks.night.request import NightRequest
from tasks.night.score_files import NightFiles, ScoredFile, find_night
from tasks.night.score_table import ScoredNight, decide, decided_threshold, raw_scores
from tasks.night.scoring import NightLock
from tasks.night.scoring_record import ModelRecord, ScoringRecord, finite_or_none, record_first
from tasks.night.sources import BLOCK_ROWS, NightSource, RecordNight
from tasks.past_nights.staleness import (
    TodaysModels,
    examine_nights,
    first_of,
    is_bounded,
    is_changed,
    open_recorded,
    rule_of,
)
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_bool
from tasks.store.errors import DiskFullError, StoreError
from tasks.store.files import sha256_of_file

_ROWS_A_PART = 65_536
_RULES = ("threshold", "tpr", "max_candidates", "detector")


class RethresholdRequest(BaseModel):
    """The night to decide anew, and its new rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    night: str | None = None
    """None: every night whose own rule has another threshold or calibration today."""
    threshold: float | None = None
    tpr: float | None = None
    max_candidates: int | None = None
    """At most one of threshold, tpr and max_candidates; without any, and no detector, the night keeps its own rule."""
    detector: str | None = None
    """Detector whose own operating point sets the threshold."""
    model: str = "champion"
    """Today's model, whose card gives operating points and calibration if it is the one that scored."""

    @model_validator(mode="after")
    def _rule_has_a_night(self) -> "RethresholdRequest":
        if self.night is None and self.rule:
            raise ValueError(f"{' and '.join(self.rule)} without a night: name the night with night=NAME")
        NightRequest(**self.rule)
        return self

    @property
    def rule(self) -> dict[str, Any]:
        """The rule that is asked for, empty if none is."""
        return {name: getattr(self, name) for name in _RULES if getattr(self, name) is not None}


def rethreshold(workspace: Workspace, request: RethresholdRequest) -> dict[str, Any]:
    """Decide nights anew, and return the entries of the summary; one of several that fails is named and costs itself.

    Raises
    ------
    NightError
        The named night has no scores, or cannot be decided so.
    UnknownModelError
        There is no model of that address.
    """
    today = TodaysModels(workspace, request.model)
    if request.night is None:
        states = examine_nights(workspace, today)
        nights = [
            state.file.night
            for state in states
            if state.remedy == "rethreshold" or (state.current and state.file.files.untold.exists())
        ]
    else:
        nights = [find_night(workspace, request.night).night]
    entries = [_rethreshold_or_tell(workspace, night, request, today) for night in nights]
    counts = {state: sum(entry["state"] == state for entry in entries) for state in ("rethresholded", "current")}
    failed = [entry["night"] for entry in entries if entry["state"] == "failed"]
    return {
        "nights": entries,
        "state": "failed" if failed else "done",
        **counts,
        "failed": failed,
        "champion": today.full.name,
    }


def _rethreshold_or_tell(
    workspace: Workspace, night: str, request: RethresholdRequest, today: TodaysModels
) -> dict[str, Any]:
    try:
        with NightLock(workspace.root / "scoring", night):
            return {"night": night, **rethreshold_night(workspace, find_night(workspace, night), request, today)}
    except (ValueError, LookupError, StoreError) as error:  # of this night, its source or model
        if request.night is not None or isinstance(error, DiskFullError):
            raise
        run_logger().error("night %s keeps its decisions: %s", night, error)
        return {"night": night, "state": "failed", "message": str(error)}


def rethreshold_night(
    workspace: Workspace, file: ScoredFile, request: RethresholdRequest, today: TodaysModels
) -> dict[str, Any]:
    """Decide a night anew and return its entry of the summary; a night that is decided so already is left alone.

    One whose page or run in MLflow is missing, because the process that decided it died, gets them.

    The caller holds the night's lock.

    Raises
    ------
    NightError
        The table is not as it was written, or its candidates have to be scored for such a threshold.
    """
    record = file.intact()
    asked = asked_request(workspace, record, request)
    full, first = models_of(record, today)
    rule = rule_of(record, asked, full, first)
    with TemporaryDirectory(dir=workspace.root / "scoring", prefix=f"{file.night}.") as folder:
        parts = write_parts(file.files.scores, Path(folder))
        threshold = decided_threshold(parts, rule)
        version = rule.threshold_version(threshold)
        if version == record.threshold_version and not file.files.untold.exists():
            return {"state": "current", "threshold": finite_or_none(threshold), "threshold_version": version}
        if not is_bounded(record, rule, threshold):
            raise NightError(unbounded_message(record, asked, threshold))
        before = _selected(file.files.scores)
        with file.files.replaced() as beside:
            scored = replace(decide(parts, rule, beside, SHOWN), path=file.files.scores)
            changed = record_decisions(record, asked, rule, scored, sha256_of_file(beside))
        file.files.write_record(changed)
    after = _selected(file.files.scores)
    return {
        "state": "rethresholded",
        "threshold_before": record.threshold,
        "threshold": finite_or_none(threshold),
        "threshold_version_before": record.threshold_version,
        "threshold_version": version,
        "selected_before": int(before.sum()),
        "selected": scored.selected,
        "gained": int((after & ~before).sum()),
        "lost": int((before & ~after).sum()),
        **_conclude(workspace, changed, asked, rule, scored),
    }


def asked_request(workspace: Workspace, record: ScoringRecord, request: RethresholdRequest) -> NightRequest:
    """Return the request of a record with the rule that is asked for, or its own if none is."""
    rule = {**dict.fromkeys(_RULES), **request.rule} if request.rule else {}
    return record.night_request(workspace, **rule)


def models_of(record: ScoringRecord, today: TodaysModels) -> tuple[NightModel, NightModel | None]:
    """Return the models that scored, by their cards: today's if they are the same files, else the recorded versions.

    Raises
    ------
    NightError
        A version is no longer the model that scored.
    UnknownModelError
        A version is no longer registered.
    """
    full = _scored_by(today, record.model, today.full)
    return full, None if record.first is None else _scored_by(today, record.first, first_of(record, today))


def _scored_by(today: TodaysModels, recorded: ModelRecord, now: NightModel | None) -> NightModel:
    if now is not None and now.sha256 == recorded.sha256:
        return now
    model = describe_model(today.workspace, recorded.address, REGISTERED)
    if model.sha256 != recorded.sha256:
        raise NightError(
            f"{recorded.address} has sha256 {model.sha256[:8]}, {recorded.sha256[:8]} scored the night: its logits "
            "are of a model that is no longer there; score the night again"
        )
    return model


def unbounded_message(record: ScoringRecord, asked: NightRequest, threshold: float) -> str:
    """Return why a threshold cannot be applied to what the first model of a record kept, and what to do."""
    assert record.first is not None
    limit, source = float(record.first.discard["full_threshold"]), record.source.dataset or record.source.path
    rule = "".join(f" -p {name}={getattr(asked, name)}" for name in _RULES if getattr(asked, name) is not None)
    return (
        f"a threshold at logit {threshold:.3f} is below {limit:.3f}, down to which the loss of {record.first.name} is "
        f"bounded: what it discarded has to be scored, by `starloom run score-night -p path={source} "
        f"-p night={record.night}{rule}`"
    )


def write_parts(scores: Path, folder: Path) -> list[Path]:
    """Write the raw scores behind a scores file into part files in `folder` and return them in order.

    Blocks are those of a source without repeated candidates and batches of its own, see `locate_blocks`.
    """
    parts, first = list[Path](), 0
    with pq.ParquetFile(scores) as file:
        for batch in file.iter_batches(_ROWS_A_PART):
            blocks = np.arange(first, first + batch.num_rows, dtype=np.int32) // BLOCK_ROWS
            parts.append(folder / f"part-{len(parts):06d}.parquet")
            pq.write_table(raw_scores(pa.Table.from_batches([batch]), blocks), parts[-1], compression="zstd")
            first += batch.num_rows
    return parts


def record_decisions(
    record: ScoringRecord, asked: NightRequest, rule: ScoringRule, scored: ScoredNight, scores_sha256: str
) -> ScoringRecord:
    """Return the record of a night with other decisions of the same logits."""
    return record.model_copy(
        update={
            "request": asked.model_dump(mode="json", exclude={"path", "night"}),
            "model": ModelRecord.of(rule.full),
            "first": record_first(rule, record.discard),
            "threshold": finite_or_none(scored.threshold),
            "threshold_version": scored.threshold_version,
            "scores_sha256": scores_sha256,
            "decided_at": datetime.now(UTC),
            "decided_with": code_version(),
        }
    )


def _selected(scores: Path) -> NDArray[np.bool_]:
    return to_bool(pc.equal(pq.read_table(scores, columns=["decision"])["decision"], REAL))


def _conclude(
    workspace: Workspace, record: ScoringRecord, asked: NightRequest, rule: ScoringRule, scored: ScoredNight
) -> dict[str, Any]:
    """Write the night's page anew and return the entries that need its source, if that is there unchanged."""
    source, fault = open_recorded(workspace, record.source)
    if source is None or is_changed(workspace, record.source, source):
        run_logger().warning("the page of night %s stays: %s", record.night, fault or "its source has changed")
        NightFiles(workspace, record.night).untold.unlink(missing_ok=True)
        return {"overlap_with_training": None, "report": None, "run_id": None}
    first = FirstModel(rule.first, record.discard, record.no_first)
    located = replace(scored, best=locate_blocks(source, scored.best))
    summary = conclude(workspace, Scoring(asked, source, rule, first, located, record.found))
    return {name: summary[name] for name in ("overlap_with_training", "report", "run_id")}


def locate_blocks(source: NightSource, best: pa.Table) -> pa.Table:
    """Return candidates (columns ``id``, ``block``) with the number of the block of the source that holds each.

    The blocks of records are read for it, up to the last of these candidates.
    """
    if not isinstance(source, RecordNight):
        return best
    ids = best["id"].to_pylist()
    waiting, number_of = set(ids), dict[str, int]()
    blocks = enumerate(source.blocks()) if waiting else iter(())
    for number, block in blocks:
        found = waiting.intersection(block.ids)
        number_of |= dict.fromkeys(found, number)
        waiting -= found
        if not waiting:
            break
    numbers = pa.array([number_of[name] for name in ids], pa.int32())
    return best.set_column(best.column_names.index("block"), "block", numbers)
