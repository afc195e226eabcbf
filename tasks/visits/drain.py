"""Draining the inbox: every complete visit that was not scored as it is now is scored, recorded and counted once."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from realbogus.records import CORRUPT, REAL, SourceError
from tasks.candidates.building.staged_rows import StagedBatch
from tasks.inbox.deliveries import Delivery, is_unchanged, list_visits
from tasks.inbox.looks import Looks, open_looks
from tasks.inbox.nights import NightFolder, default_inbox, evening, list_nights
from tasks.night.models import REGISTERED, ScoringRule, open_model
from tasks.night.request import NightRequest, choose_threshold
from tasks.runtime.cluster import cluster
from tasks.runtime.progress import SHOWN
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.visits.arrivals import visit_store
from tasks.visits.detections import (
    UNREADABLE,
    VISIT_DETECTIONS,
    FoundDetections,
    Scorer,
    describe,
    fault_row,
    pairs_of,
    score_pairs,
    score_records,
    settings_of,
)
from tasks.visits.night_tables import are_current, write_tables
from tasks.visits.pair_jobs import PairJob, collect_pair
from tasks.visits.records import NightRecords, VisitRecord, VisitsBusyError
from tasks.visits.request import VisitRequest, chosen_nights
from tasks.visits.run_summary import Drained, summarise
from tasks.visits.tracking import record_night

ITEMS_A_PAIR = 50
"""Work items of a pair of frames, for `cluster`: it takes seconds, so a few are worth starting workers."""
PATIENCE = 6
"""A run waits for visits that lack only the quiet time, for as many quiet times after the last one it scored."""
_NIGHT_PRIOR = 1e-3
_POLL_S = 0.2


def drain(workspace: Workspace, request: VisitRequest) -> dict[str, Any]:
    """Score what waits in the inbox and return the summary; where another run does so, return at once.

    Raises
    ------
    InboxError
        The inbox cannot be read, or lacks the named night.
    NightError, UnknownModelError
        The model or its threshold cannot be used.
    """
    started = time.monotonic()
    inbox = default_inbox(workspace) if request.path is None else Path(request.path).expanduser()
    chosen_nights(request, inbox, list_nights(inbox, _today(request)))
    run = Drained(inbox)
    try:
        with visit_store(workspace).one_scorer():
            _Drain(workspace, request, run).work()
    except VisitsBusyError as busy:
        run_logger().info("%s: it takes what has arrived", busy, extra=SHOWN)
        return summarise(run, time.monotonic() - started) | {"busy": True}
    summary = summarise(run, time.monotonic() - started) | {"busy": False}
    for night in sorted({*run.tables, *(visit.night for visit in run.waiting)}):
        records = [record for record in run.records if record.night == night]
        waiting = [visit for visit in run.waiting if visit.night == night]
        record_night(workspace, night, records, waiting, run.tables.get(night), time.time())
    return summary


def _today(request: VisitRequest) -> Any:
    return evening(datetime.now(UTC), request.timezone)


class _Drain:
    """One run, which holds the lock."""

    def __init__(self, workspace: Workspace, request: VisitRequest, run: Drained) -> None:
        self.workspace, self.request, self.run = workspace, request, run
        self.store = visit_store(workspace)
        self.looks: Looks = open_looks(workspace, run.inbox, request.quiet_s)
        self.scorer: Scorer | None = None
        self.known: dict[str, NightRecords] = {}

    def work(self) -> None:
        """Look and score until nothing is left that can be scored."""
        self._repair()
        deadline = self.looks.monotonic() + PATIENCE * self.request.quiet_s
        while True:
            visits = self._look()
            ready = [visit for visit in visits if visit.complete][: self._left()]
            if ready and self._score_round(ready):
                deadline = self.looks.monotonic() + PATIENCE * self.request.quiet_s
            elif self._left() != 0 and any(visit.settling for visit in visits) and self.looks.monotonic() < deadline:
                time.sleep(_POLL_S)
            else:
                break
        self.run.waiting = self._look()

    def _left(self) -> int | None:
        """Return how many visits this run may still take; None: all."""
        return None if self.request.limit is None else self.request.limit - len(self.run.records)

    def _repair(self) -> None:
        """Write the tables that an earlier run did not get to."""
        for night in self.store.nights():
            records = self._records(night)
            if records.records and not are_current(self.workspace, night, records):
                self.run.tables[night] = write_tables(self.workspace, self.store, night)

    def _records(self, night: str) -> NightRecords:
        """Return the records of a night; nobody else writes any."""
        if night not in self.known:
            self.known[night] = self.store.read(night)
        return self.known[night]

    def _look(self) -> list[Delivery]:
        """Return the visits of the inbox that are not scored as they are, the longest waiting first."""
        listing = list_nights(self.run.inbox, _today(self.request))
        self.run.ignored = dict(listing.ignored)
        visits = []
        for night in chosen_nights(self.request, self.run.inbox, listing):
            found, records = list_visits(night, self.looks), self._records(night.name)
            self.run.ignored |= {f"{night.name}/{name}": reason for name, reason in found.ignored.items()}
            visits += [visit for visit in found.visits if not (visit.complete and records.is_done(visit))]
        return sorted(visits, key=lambda visit: (visit.first_seen, visit.night, visit.name))

    def _score_round(self, visits: Sequence[Delivery]) -> bool:
        """Score visits, and write the tables of their nights; return whether one was recorded."""
        before = len(self.run.records)
        for visit, found, message, seconds in self._results(visits):
            night = NightFolder(visit.night, self.run.inbox / visit.night, self.run.inbox)
            if not is_unchanged(night, visit):
                run_logger().warning("visit %s/%s changed while it was scored: it waits", visit.night, visit.name)
                continue
            self._record(visit, found, message, seconds)
        for name in sorted({record.night for record in self.run.records[before:]}):
            self.run.tables[name] = write_tables(self.workspace, self.store, name)
        return len(self.run.records) > before

    def _results(
        self, visits: Sequence[Delivery]
    ) -> Iterator[tuple[Delivery, FoundDetections | None, str | None, float]]:
        """Yield each visit with its scored detections, None for a duplicate, and the error that rejects it."""
        scorer = self._scorer()
        jobs, open_pairs = list[PairJob](), dict[int, dict[int, StagedBatch | None]]()
        began = time.monotonic()
        for number, visit in enumerate(visits):
            equal = self._records(visit.night).equal_to(visit)
            if equal is not None or self._is_repeated(visits, number):
                continue  # looked at again when those before it are recorded
            try:
                pairs = pairs_of(visit)
            except SourceError as error:
                yield visit, fault_row(scorer, visit, UNREADABLE), describe(visit.path, error), 0.0
                continue
            if not pairs:
                yield _scored_records(scorer, visit)
                continue
            open_pairs[number] = dict.fromkeys(range(len(pairs)))
            jobs += [PairJob(number, place, pair, scorer.collector) for place, pair in enumerate(pairs)]
        with cluster(ITEMS_A_PAIR * len(jobs)) as executor:
            for number, place, batch in executor.map(collect_pair, jobs):
                open_pairs[number][place] = batch
                batches = [one for one in open_pairs[number].values() if one is not None]
                if len(batches) == len(open_pairs[number]):
                    found = score_pairs(scorer, visits[number], batches)
                    open_pairs[number].clear()
                    yield visits[number], found, _whole_fault(found), time.monotonic() - began
                    began = time.monotonic()
        for visit in visits:
            if self._records(visit.night).equal_to(visit) is not None:
                yield visit, None, None, 0.0

    def _is_repeated(self, visits: Sequence[Delivery], number: int) -> bool:
        """Return whether a visit equals an earlier one of the same night in this round."""
        visit = visits[number]
        return any((other.night, other.digest) == (visit.night, visit.digest) for other in visits[:number])

    def _scorer(self) -> Scorer:
        """Return the opened model; it stays the same for the whole run."""
        if self.scorer is None:
            full = open_model(self.workspace, self.request.model, REGISTERED, "auto")
            asked = NightRequest(path="", model=self.request.model, first=None, tpr=self.request.tpr)
            threshold, _, version = choose_threshold(asked, full)
            rule = ScoringRule(full, None, float("-inf"), threshold, None, version, _NIGHT_PRIOR)
            self.scorer = Scorer(self.workspace, rule, *settings_of(self.workspace, full))
        return self.scorer

    def _record(self, visit: Delivery, found: FoundDetections | None, message: str | None, seconds: float) -> None:
        """Keep a worked visit."""
        records, scorer = self._records(visit.night), self._scorer()
        equal = records.equal_to(visit) if found is None else None
        if found is None and equal is None:
            return
        table = VISIT_DETECTIONS.empty_table() if found is None else found.table
        revision = self.store.next_revision(visit.night, visit.name)
        record = VisitRecord(
            night=visit.night,
            visit=visit.name,
            revision=revision,
            order=records.next_order,
            digest=str(visit.digest),
            kind=visit.kind,
            model=scorer.rule.full.name,
            threshold_version=scorer.rule.threshold_version(scorer.threshold),
            first_seen=visit.first_seen,
            finished_at=self.looks.wall(),
            seconds=round(seconds, 3),
            reading=None if found is None else found.reading.to_summary(),
            **_outcome(table, message, equal),
        )
        place = table.schema.get_field_index("revision")
        numbers = pa.array([revision] * table.num_rows, pa.int32())
        side = scorer.rule.full.stamp_px
        stamps = np.zeros((0, side, side, 3), np.float32) if found is None else found.stamps
        self.store.write(record, table.set_column(place, VISIT_DETECTIONS.field("revision"), numbers), stamps)
        self.known[visit.night] = NightRecords((*records.records, record))
        self.run.records.append(record)
        _tell(record, found)


def _outcome(table: pa.Table, message: str | None, equal: str | None) -> dict[str, Any]:
    """Return the fields of a record on what came of a visit: rejected for `message`, a duplicate of `equal`, scored."""
    reasons = Counter(table["not_scored"].drop_null().to_pylist())
    numbers = {
        "scored": table.num_rows - sum(reasons.values()),
        "selected": table["decision"].to_pylist().count(REAL),
        "not_scored": dict(reasons),
        "duplicate_of": equal,
    }
    if equal is not None:
        told = f"its bytes are those of {equal}"
        return numbers | {"state": "duplicate", "reason": None, "message": told, "detections": 0}
    if message is not None:
        reason = next(iter(reasons), UNREADABLE)
        return numbers | {"state": "rejected", "reason": reason, "message": message, "detections": 0}
    return numbers | {"state": "scored", "reason": None, "message": None, "detections": table.num_rows}


def _scored_records(scorer: Scorer, visit: Delivery) -> tuple[Delivery, FoundDetections, str | None, float]:
    began = time.monotonic()
    try:
        found = score_records(scorer, visit)
    except SourceError as error:
        return visit, fault_row(scorer, visit, UNREADABLE), describe(visit.path, error), time.monotonic() - began
    reasons = set(found.table["not_scored"].to_pylist())
    message = next(iter(found.reading.notes), CORRUPT) if reasons == {CORRUPT} else None
    return visit, found, message, time.monotonic() - began


def _whole_fault(found: FoundDetections) -> str | None:
    """Return the first error of a visit all of whose pairs were rejected; None if one was not."""
    return found.faults[0] if found.faults and len(found.faults) == found.table.num_rows else None


def _tell(record: VisitRecord, found: FoundDetections | None) -> None:
    """Log a visit that was rejected, is a duplicate, or was delivered again."""
    name, log = f"{record.night}/{record.visit}", run_logger()
    if record.state == "duplicate":
        log.warning("visit %s is not scored: %s", name, record.message)
        return
    if record.revision > 1:
        log.warning("visit %s has changed: revision %d supersedes the earlier one", name, record.revision)
    if record.state == "rejected":
        log.warning("visit %s is rejected (%s): %s", name, record.reason, record.message)
        return
    for fault in () if found is None else found.faults[:3]:
        log.warning("visit %s: %s", name, fault)
    log.info("visit %s: %d detections, %d selected", name, record.detections, record.selected, extra=SHOWN)
