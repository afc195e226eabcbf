"""Which nights have scores that today's models would not give, why, and what makes them current."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from realbogus.records import SourceError
from tasks.night.first_model import COUNT_POINT
from tasks.night.models import REGISTERED, REGISTERED_FIRST, NightError, NightModel, ScoringRule, describe_model
from tasks.night.request import NightRequest, choose_threshold
from tasks.night.score_files import ScoredFile, find_night, scored_nights
from tasks.night.scoring_record import ScoringRecord, SourceRecord, digest_identity, digest_source, infinite_if_none
from tasks.night.sources import NightSource, open_night
from tasks.runtime.workspace import Workspace
from tasks.store.errors import StoreError
from tasks.tracking.model_registry import UnknownModelError

Reason = Literal[
    "other_model",
    "other_preprocessing",
    "other_threshold",
    "changed_source",
    "no_record",
    "source_missing",
]
"""other_model: another file of the model, or of the first model, than today's. other_preprocessing: another version of
the steps before it. other_threshold: the night's rule gives today's model another threshold or calibration.
changed_source: its stamps differ now. no_record: the table has no record, or one of another table. source_missing: the
source is gone or cannot be read, so the night cannot be scored again; that alone makes no scores stale."""
Remedy = Literal["rescore", "rethreshold", "none"]
"""What makes a night current: a rescoring; new decisions from the same logits; nothing, as it is current or its source
is unknown or gone."""
_RESCORED = {"other_model", "other_preprocessing", "changed_source", "no_record"}
"""Reasons that only a rescoring removes."""
_OTHER_CANDIDATES = "its candidates are others than those of the record: score it by score-night with its path"


@dataclass
class TodaysModels:
    """The models that would score a night now, by their cards; each is looked up once.

    Attributes
    ----------
    workspace : Workspace
    address : str
        Of the full model.
    """

    workspace: Workspace
    address: str = "champion"
    _first: dict[str, NightModel | None] = field(default_factory=dict)

    @cached_property
    def full(self) -> NightModel:
        """The full model."""
        return describe_model(self.workspace, self.address, REGISTERED)

    def first(self, address: str) -> NightModel | None:
        """Return the first model of an address; None if there is none."""
        if address not in self._first:
            try:
                self._first[address] = describe_model(self.workspace, address, REGISTERED_FIRST)
            except UnknownModelError:
                self._first[address] = None
        return self._first[address]


@dataclass(frozen=True)
class NightState:
    """Whether the scores of a night are those that today's models would give.

    Attributes
    ----------
    file : ScoredFile
    reasons : tuple of Reason
    remedy : Remedy
    note : str or None
        What a reason does not say: the problem of the files, or of the source.
    """

    file: ScoredFile
    reasons: tuple[Reason, ...]
    remedy: Remedy
    note: str | None

    @property
    def current(self) -> bool:
        """Whether no reason but a missing source is there."""
        return not set(self.reasons) - {"source_missing"}

    def to_summary(self) -> dict[str, Any]:
        """Return the night's entry of a summary."""
        file, record = self.file, self.file.record
        return {
            "night": file.night,
            "model": file.model,
            "model_sha256": file.model_sha256,
            "preprocessing": file.preprocessing_version,
            "threshold": file.threshold,
            "threshold_version": file.threshold_version,
            "scored_at": None if record is None or file.problem else record.scored_at.isoformat(),
            "current": self.current,
            "reasons": list(self.reasons),
            "remedy": self.remedy,
            "note": self.note,
        }


def examine_nights(workspace: Workspace, today: TodaysModels, night: str | None = None) -> list[NightState]:
    """Return the state of one night, or of every night with scores.

    Raises
    ------
    NightError
        The named night has no scores.
    """
    nights = scored_nights(workspace) if night is None else [night]
    return [examine_night(workspace, find_night(workspace, name), today) for name in nights]


def examine_night(workspace: Workspace, file: ScoredFile, today: TodaysModels) -> NightState:
    """Return the state of a night.

    A source whose identity (digest, or path, size and time of its files) is that of the record is taken as unchanged;
    of any other every stamp is read.
    """
    reasons: list[Reason] = ["no_record"] if file.problem is not None else []
    if file.record is None:
        return NightState(file, (*reasons, *_other_model(file, None, today)), "none", file.problem)
    record = file.record
    reasons += _other_model(file, record, today)
    source, fault = open_recorded(workspace, record.source)
    if source is None:
        reasons.append("source_missing")
    elif file.candidates_known and is_changed(workspace, record.source, source):
        reasons.append("changed_source")
    is_same_model = not {"no_record", "other_model"} & set(reasons)
    change = _threshold_change(record, today) if is_same_model else None
    if change is not None:
        reasons.append("other_threshold")
    remedy: Remedy = "none" if change is None else "rethreshold"
    if _RESCORED & set(reasons) or change == "unbounded":
        remedy = "rescore" if source is not None and file.candidates_known else "none"
    notes = [file.problem, fault, None if file.candidates_known else _OTHER_CANDIDATES]
    return NightState(file, tuple(reasons), remedy, "; ".join(filter(None, notes)) or None)


def open_recorded(workspace: Workspace, recorded: SourceRecord) -> tuple[NightSource | None, str | None]:
    """Return the source of a record, or None and why it cannot be opened."""
    place = recorded.place(workspace)
    if not place.exists():
        return None, f"its source {place} does not exist"
    try:
        return open_night(workspace, str(place), recorded.stamp_px), None
    except (SourceError, StoreError, OSError) as error:
        return None, f"its source cannot be read: {error}"


def is_changed(workspace: Workspace, recorded: SourceRecord, source: NightSource) -> bool:
    """Return whether a source has other candidates than its record says; see `examine_night`."""
    if digest_identity(workspace, source) == recorded.identity:
        return False
    return digest_source(source) != recorded.stamps_digest


def _other_model(file: ScoredFile, record: ScoringRecord | None, today: TodaysModels) -> list[Reason]:
    reasons: list[Reason] = []
    pairs = [(file.model_sha256, file.preprocessing_version, today.full if file.model_sha256 else None)]
    if record is not None and record.first is not None:
        pairs.append((record.first.sha256, record.first.preprocessing_version, first_of(record, today)))
    known = [(sha256, version, model) for sha256, version, model in pairs if sha256 is not None]
    if any(model is None or sha256 != model.sha256 for sha256, _, model in known):
        reasons.append("other_model")
    if any(model is not None and version != model.card["preprocessing_version"] for _, version, model in known):
        reasons.append("other_preprocessing")
    return reasons


def _threshold_change(record: ScoringRecord, today: TodaysModels) -> Literal["bounded", "unbounded"] | None:
    """Return whether today's threshold and calibration of a record's rule are others, and as `is_bounded` says."""
    request, first = NightRequest(**record.request), first_of(record, today)
    try:
        rule = rule_of(record, request, today.full, first)
    except NightError:  # the model's card has no such operating point now
        return "unbounded"
    threshold = infinite_if_none(record.threshold) if rule.threshold is None else rule.threshold
    if rule.threshold_version(threshold) == record.threshold_version:
        return None
    return "bounded" if is_bounded(record, rule, threshold) else "unbounded"


def first_of(record: ScoringRecord, today: TodaysModels) -> NightModel | None:
    """Return the first model of a record as it is registered today; None without one."""
    return None if record.first is None else today.first(str(record.request["first"]))


def rule_of(record: ScoringRecord, request: NightRequest, full: NightModel, first: NightModel | None) -> ScoringRule:
    """Return the rule that a request gives the models of a record, with what their first model discarded.

    Raises
    ------
    NightError
        The model has no such operating point.
    """
    threshold, max_candidates, name = choose_threshold(request, full)
    below = -math.inf if record.discard is None else record.discard.threshold
    return ScoringRule(full, first, below, threshold, max_candidates, name, request.night_prior)


def is_bounded(record: ScoringRecord, rule: ScoringRule, threshold: float) -> bool:
    """Return whether a threshold may be applied to what the first model of a record kept.

    The loss of reals is bounded down to the threshold for which its discarding was fitted. A number of candidates has
    no threshold before the night is scored: discarding is fitted for `COUNT_POINT` then, and the loss beyond it is told
    (`pipeline.summarise_cascade`).
    """
    if record.discard is None or threshold >= record.discard.full_threshold:
        return True
    points = rule.full.card.get("operating_points") or {}
    fitted = points.get(COUNT_POINT, {}).get("threshold")
    return rule.max_candidates is not None and record.discard.full_threshold == fitted


def count_states(states: Sequence[NightState]) -> dict[str, Any]:
    """Return the counts of a summary."""
    remedies = Counter(state.remedy for state in states)
    return {
        "stale": sum(not state.current for state in states),
        "to_rescore": remedies["rescore"],
        "to_rethreshold": remedies["rethreshold"],
        "current": sum(state.current for state in states),
        "reasons": dict(Counter(reason for state in states for reason in state.reasons)),
    }
