"""All queues of a workspace that are being worked on, each opened once."""

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.filters import DEFAULT_RADIUS_ARCSEC, NO_FILTER, ItemFilter
from tasks.labelling.queues import LabelQueue, queue_names, read_label_queue
from tasks.labelling.samples import MOST_NEIGHBOURS, NEIGHBOUR_ARCSEC, Samples
from tasks.labelling.session import PREFETCH, LabelSession
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column
from tasks.store.dataset import Dataset


@dataclass(frozen=True)
class Place:
    """A queue at work, and the samples of its dataset."""

    session: LabelSession
    samples: Samples

    @property
    def queue(self) -> LabelQueue:
        """The queue."""
        return self.session.queue

    def setup(self) -> dict[str, Any]:
        """Return what the page needs of the queue as a whole."""
        facts = self.queue.facts
        return {
            "dataset": facts.dataset,
            "queue": facts.name,
            "classes": list(facts.classes),
            "words": list(self.session.words),
            "blind": facts.blind,
            "items": len(self.queue),
            "planes": list(self.samples.problem.PLANES),
            "filters": self._filters(),
            "pixels": self.samples.dataset.manifest["pixels"],
        }

    def next(
        self, labeller: str, after: int = -1, count: int = PREFETCH, wanted: ItemFilter = NO_FILTER
    ) -> dict[str, Any]:
        """Return the next items for a labeller, the progress, and how many are `left` for them.

        Raises
        ------
        RefusedFilterError
            The queue takes no such filter.
        """
        wanted.require_fit(self.queue)
        among = wanted.rows(self.queue, self._detectors, self._directions)
        items = self.items(self.session.next_ranks(labeller, after, count, among, wanted.mine))
        left = self.session.count_free(labeller, among, wanted.mine)
        return {"items": items, "progress": self.session.progress(labeller), "left": left}

    def items(self, ranks: list[int]) -> list[dict[str, Any]]:
        """Return the items of some ranks; blind ones have neither reason nor score."""
        hidden = self.queue.facts.blind
        rows = (self.queue.row(rank) for rank in ranks)
        keys = ("id", "rank") if hidden else ("id", "rank", "reason", "score")
        return [{key: row[key] for key in keys} for row in rows]

    def detail(self, sample: str, labeller: str) -> dict[str, Any]:
        """Return what is shown beside a sample's pixels; of a blind queue neither label nor score."""
        rank, facts = self.session.rank_of(sample), self.queue.facts
        around = self.samples.around(sample, NEIGHBOUR_ARCSEC)[:MOST_NEIGHBOURS]
        neighbours = [
            {
                "id": name,
                "separation_arcsec": round(apart, 2),
                "known_object": self.samples.known_object(name),
                "queued": name in self.queue.positions,
            }
            for name, apart in around
        ]
        standing = self.session.standing(labeller, sample)
        found = {
            **self.items([rank])[0],
            "facts": self.samples.facts(sample),
            "known_object": self.samples.known_object(sample),
            "history": self.samples.history(sample),
            "neighbours": neighbours,
            "answer": None if standing is None else {"label": standing.label, "comment": standing.comment},
        }
        if not facts.blind:
            labels = self.samples.dataset.labels(facts.scheme, facts.labels)
            names = [item["id"] for item in neighbours]
            for item, label in zip(neighbours, align_column(labels, "label", names).to_pylist(), strict=True):
                item["label"] = label
            found["label"] = self.queue.row(rank)["previous"]
        return found

    def _filters(self) -> dict[str, Any]:
        """Return what items may be filtered by: reasons, labels, ends of the scores, detectors, and the default radius.

        The radius is None where no item has a position; a blind queue has nothing.
        """
        queue = self.queue
        if queue.facts.blind:
            return {"reasons": [], "labels": [], "scores": None, "detectors": [], "radius_arcsec": None}
        known = queue.scores[np.isfinite(queue.scores)]
        return {
            "reasons": _choices(queue.reasons),
            "labels": _choices(queue.previous),
            "scores": [float(known.min()), float(known.max())] if len(known) else None,
            "detectors": _choices(self._detectors),
            "radius_arcsec": DEFAULT_RADIUS_ARCSEC if np.isfinite(self._directions).any() else None,
        }

    @cached_property
    def _detectors(self) -> NDArray[np.str_]:
        """Detector of each row of the queue, (n,)."""
        return self.samples.detectors(self.queue.ids)

    @cached_property
    def _directions(self) -> NDArray[np.float64]:
        """Unit vector of each row of the queue, (n, 3)."""
        return self.samples.directions(self.queue.ids)

    def summary(self) -> dict[str, Any]:
        """Return progress and agreement of all labellers."""
        from tasks.labelling.agreement import agreement_of  # the statistics of SciPy take seconds to import

        rows = [row.answer for row in self.session.log.rows() if row.answer.queue == self.queue.facts.name]
        gold = {row["id"]: row["gold"] for row in self.queue.rows.to_pylist() if row["gold"] is not None}
        return agreement_of(rows, gold, self.session.words)


def _choices(values: NDArray[np.str_]) -> list[str]:
    """Return the different values, (n,), if there are several."""
    found = [str(value) for value in np.unique(values) if value]
    return found if len(found) > 1 else []


@dataclass
class Desk:
    """The queues of a workspace. Threads may share it."""

    workspace: Workspace
    _places: dict[tuple[str, str], Place] = field(default_factory=dict, repr=False)
    _logs: dict[str, AnswerLog] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def place(self, dataset: str, queue: str) -> Place:
        """Return a queue at work.

        Raises
        ------
        LabelQueueError
            There is no such queue.
        StoreError
            The dataset is gone.
        """
        with self._lock:
            if (dataset, queue) not in self._places:
                read = read_label_queue(self.workspace, dataset, queue)
                # The newest version has every sample of the queue's own, which may have been removed meanwhile.
                newest = Dataset.open(self.workspace, dataset)
                log = self._logs.setdefault(dataset, AnswerLog.of(self.workspace, dataset))
                self._places[dataset, queue] = Place(LabelSession(read, log), Samples(newest))
            return self._places[dataset, queue]

    def listing(self) -> list[dict[str, Any]]:
        """Return dataset, name, source and length of every queue."""
        folders = sorted((self.workspace.root / "labelling").glob("*/queues"))
        queues = [
            read_label_queue(self.workspace, folder.parent.name, name)
            for folder in folders
            for name in queue_names(self.workspace, folder.parent.name)
        ]
        return [
            {"dataset": each.facts.dataset, "name": each.facts.name, "source": each.facts.source, "items": len(each)}
            for each in queues
        ]
