"""A queue at work: who gets which item next, and what becomes of an answer. Threads may share a session.

Items are reserved for the labeller that they were sent to, so that two who work at once get different ones. The
reservations are this process's alone and run out; the log decides what was answered.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.decisions.labelling_queue import UNSURE
from tasks.labelling.answer_log import AnswerLog, LogRow
from tasks.labelling.answers import Action, Answer
from tasks.labelling.filters import OpenWork
from tasks.labelling.queues import EVERYBODY, LabelQueue, LabelQueueError

RESERVED_S = 600.0
"""Time after which an item that was sent to a labeller is offered to others."""
PREFETCH = 20


class RefusedAnswerError(ValueError):
    """An answer does not fit the queue; the message says why."""


class _Said(IntEnum):
    """What a labeller's answer to an item says, where one stands."""

    NOTHING = 0
    CLASS = 1
    UNSURE = 2
    SKIP = 3


_OPEN: dict[OpenWork, _Said] = {"skipped": _Said.SKIP, "unsure": _Said.UNSURE}


@dataclass
class _Labeller:
    """One labeller's work: `_Said` and end of the reservation of each row, (n,), and what stands, the newest last."""

    said: NDArray[np.int8]
    reserved_until: NDArray[np.float64]
    standing: dict[str, Answer] = field(default_factory=dict)


@dataclass
class LabelSession:
    """The answers to one queue.

    Attributes
    ----------
    queue : LabelQueue
    log : AnswerLog
    clock : callable
        Returns seconds, for reservations.
    """

    queue: LabelQueue
    log: AnswerLog
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        count = len(self.queue)
        self._lock = threading.RLock()
        self._labellers: dict[str, _Labeller] = {}
        self._given = np.zeros(count, np.int32)  # opinions of each row
        self._most = np.where(self.queue.opinions == EVERYBODY, np.iinfo(np.int32).max, self.queue.opinions)
        self._seen = 0
        self._read_log()

    def next_ranks(
        self,
        labeller: str,
        after: int = -1,
        count: int = PREFETCH,
        among: NDArray[np.bool_] | None = None,
        mine: OpenWork | None = None,
    ) -> list[int]:
        """Return the ranks of the next items for a labeller, in order, and reserve them.

        Parameters
        ----------
        labeller : str
        after : int
            Rank behind which to look; -1: from the first.
        count : int
            Items at most.
        among : (n,) bool, optional
            Rows that are wanted.
        mine : {"skipped", "unsure"}, optional
            Only what the labeller skipped or was unsure of; default: what the labeller has not done.
        """
        with self._lock:
            free = self._free(labeller, among, mine)
            free[: after + 1] = False
            ranks = np.flatnonzero(free)[:count]
            self._labeller(labeller).reserved_until[ranks] = self.clock() + RESERVED_S
            return [int(rank) for rank in ranks]

    def count_free(self, labeller: str, among: NDArray[np.bool_] | None = None, mine: OpenWork | None = None) -> int:
        """Return how many items `next_ranks` has for a labeller, from the first on."""
        with self._lock:
            return int(self._free(labeller, among, mine).sum())

    def answer(
        self, id: str, labeller: str, sample: str, action: Action, label: str | None, comment: str = ""
    ) -> tuple[LogRow, bool]:
        """Log an answer or a skip, and return its line and whether it was there before.

        Raises
        ------
        RefusedAnswerError
            The queue has no such sample, or its scheme no such class.
        UsedIdError
            The id is another answer's.
        """
        rank = self.rank_of(sample)
        if action == "answer" and label not in self.words:
            raise RefusedAnswerError(f"label {label!r} is none of {', '.join(self.words)}")
        return self._append(rank, id=id, labeller=labeller, action=action, label=label, comment=comment)

    def undo(self, id: str, labeller: str) -> tuple[LogRow, bool] | None:
        """Take back a labeller's last answer or skip that stands; return its line, or None if there is none."""
        with self._lock:
            self._read_log()
            known = self.log.find(id)
            if known is not None:
                return known, True
            standing = self._labeller(labeller).standing
            if not standing:
                return None
            last = next(reversed(standing.values()))
            return self._append(self.rank_of(last.sample), id=id, labeller=labeller, action="undo", undone=last.id)

    @property
    def words(self) -> tuple[str, ...]:
        """What may be answered: the classes, and unsure."""
        return (*self.queue.facts.classes, UNSURE)

    def rank_of(self, sample: str) -> int:
        """Return the rank of a sample; raise `RefusedAnswerError` if the queue does not have it."""
        rank = self.queue.positions.get(sample)
        if rank is None:
            raise RefusedAnswerError(f"queue {self.queue.facts.name!r} has no sample {sample!r}")
        return rank

    def progress(self, labeller: str) -> dict[str, int]:
        """Return the numbers of items: all, with every wanted opinion, answered or skipped by the labeller."""
        with self._lock:
            self._read_log()
            wanted = np.maximum(self.queue.opinions, 1)
            return {
                "items": len(self.queue),
                "finished": int((self._given >= wanted).sum()),
                "mine": int(np.count_nonzero(self._labeller(labeller).said)),
            }

    def standing(self, labeller: str, sample: str) -> Answer | None:
        """Return a labeller's answer to a sample that stands; None without one."""
        with self._lock:
            return self._labeller(labeller).standing.get(sample)

    def _free(self, labeller: str, among: NDArray[np.bool_] | None, mine: OpenWork | None) -> NDArray[np.bool_]:
        """Return the rows that may be offered to a labeller, (n,): wanted, and short of an opinion but for theirs."""
        self._read_log()
        now, me = self.clock(), self._labeller(labeller)
        opinions = self._given - _is_opinion(me.said)
        for each in self._labellers.values():
            if each is not me:
                opinions += (each.reserved_until > now) & (each.said == _Said.NOTHING)
        free = (me.said == (_Said.NOTHING if mine is None else _OPEN[mine])) & (opinions < self._most)
        return free if among is None else free & among

    def _labeller(self, name: str) -> _Labeller:
        count = len(self.queue)
        return self._labellers.setdefault(name, _Labeller(np.zeros(count, np.int8), np.full(count, -np.inf)))

    def _append(self, rank: int, **given: Any) -> tuple[LogRow, bool]:
        row, facts = self.queue.row(rank), self.queue.facts
        answer = Answer(
            sample=row["id"],
            queue=facts.name,
            reason=row["reason"],
            inclusion_probability=row["inclusion_probability"],
            gold=row["gold"] is not None,
            previous=row["previous"],
            label_version=facts.label_version,
            at=datetime.now(UTC),
            **given,
        )
        appended = self.log.append(answer)
        with self._lock:
            self._read_log()
        return appended

    def _read_log(self) -> None:
        """Take in what the log has got, from other processes too."""
        with self._lock:
            rows = self.log.rows(after=self._seen)
            for row in rows:
                if row.answer.queue == self.queue.facts.name:
                    self._take(row.answer)
            self._seen += len(rows)

    def _take(self, answer: Answer) -> None:
        rank = self.queue.positions.get(answer.sample)
        if rank is None:
            raise LabelQueueError(
                f"queue {self.queue.facts.name!r} has no sample {answer.sample!r}, which has an answer in "
                f"{self.log.path}: restore the queue's file, or make a queue of another name"
            )
        labeller = self._labeller(answer.labeller)
        earlier = labeller.standing.get(answer.sample)
        if answer.action == "undo" and (earlier is None or earlier.id != answer.undone):
            return
        labeller.standing.pop(answer.sample, None)
        if answer.action != "undo":
            labeller.standing[answer.sample] = answer
        self._given[rank] += (answer.action == "answer") - (earlier is not None and earlier.action == "answer")
        labeller.said[rank] = _said(answer)


def _said(answer: Answer) -> _Said:
    if answer.action == "undo":
        return _Said.NOTHING
    if answer.action == "skip":
        return _Said.SKIP
    return _Said.CLASS if answer.is_class else _Said.UNSURE


def _is_opinion(said: NDArray[np.int8]) -> NDArray[np.bool_]:
    return (said == _Said.CLASS) | (said == _Said.UNSURE)
