"""Which candidates of a part are judged, and by what.

What is real is the hidden truth where the survey has one, else the original label. The reals that the headline counts
are those that were not injected; injections are a second figure.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.records import BOGUS, GALAXY_INJECTION, RANDOM_INJECTION, REAL
from realbogus.sources.known_objects import KNOWN_TRANSIENT
from tasks.learning import operating_points
from tasks.learning.split_parts import UNLABELLED, SplitPart, part_rows
from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.store.columns import align_rows, to_float, to_text
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import EvaluationError

LEAST_SCENE_REALS = 30
"""With fewer reals that were not injected the injections count too."""
INJECTIONS = (GALAXY_INJECTION, RANDOM_INJECTION)


@dataclass(frozen=True)
class EvaluationRows:
    """The rows that are judged.

    Attributes
    ----------
    part : SplitPart
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

    part: SplitPart
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
        return to_float(self.samples[name])

    def words(self, name: str) -> NDArray[np.str_]:
        """Return a ledger column as text, empty for null."""
        return to_text(self.samples[name])

    def take(self, rows: NDArray[np.int64]) -> "EvaluationRows":
        """Return the rows at these positions; what was left out before and the notes stay."""
        return EvaluationRows(
            self.part.take(rows),
            self.samples.take(rows),
            self.origins[rows],
            self.headline[rows],
            self.injected[rows],
            self.left_out,
            self.notes,
        )


def choose(dataset: Dataset, scheme: str, part: str, detector: str | None = None) -> EvaluationRows:
    """Return the rows of a part that can be judged, and by what.

    A blend, an injection that something else outshines, and what nobody has labelled stay out, counted.
    """
    rows = part_rows(dataset, scheme, part, unlabelled=True)
    samples = align_rows(dataset.samples(), rows.ids)
    kinds = np.array(samples["kind"].to_pylist(), str)
    injected = np.isin(kinds, INJECTIONS)
    origins, labels = np.full(len(rows), "", object), rows.labels.copy()
    reasons = np.full(len(rows), "", object)
    truth = dataset.truth()
    if truth is None:
        labels[kinds == KNOWN_TRANSIENT] = 1
        reasons[labels == UNLABELLED] = "unlabelled"
    else:
        truth = align_rows(truth, rows.ids)
        true = truth["truth"].to_pylist()
        origins = np.array(truth["origin"].to_pylist(), object)
        labels = np.array([{REAL: 1, BOGUS: 0}.get(word, UNLABELLED) for word in true], np.int32)
        reasons[labels == UNLABELLED] = "blend"
        reasons[injected & (labels == 0)] = "injection_outshone"
    if detector is not None:
        reasons[to_text(samples["detector"]) != detector] = "other_detector"
    kept = np.flatnonzero(reasons == "")
    left_out = Counter(reason for reason in reasons.tolist() if reason)
    part_kept = SplitPart(
        [rows.ids[at] for at in kept], rows.rows[kept], labels[kept], [rows.groups[at] for at in kept]
    )
    return _with_headline(
        part_kept, samples.take(kept), np.array(origins[kept], str), injected[kept], dict(left_out), truth is not None
    )


def _with_headline(
    part: SplitPart, samples: pa.Table, origins: NDArray, injected: NDArray, left_out: dict[str, int], simulated: bool
) -> EvaluationRows:
    real = part.labels == 1
    scene = real & ~injected
    notes = []
    if scene.sum() >= LEAST_SCENE_REALS or not injected.any():
        headline = ~injected | ~real
    else:
        headline = np.ones(len(part), bool)
        which = "true transients that were not injected" if simulated else "reals that were not injected"
        notes.append(f"Only {int(scene.sum())} {which} are here, so the injections count as reals too.")
    return EvaluationRows(part, samples, origins, headline, injected, left_out, notes)


def unseen(chosen: EvaluationRows, members: pa.Table | None, part: str) -> tuple[EvaluationRows, int | None]:
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
    return chosen.take(kept), int(seen.sum())


def passed_bogus(chosen: EvaluationRows, logits: NDArray) -> NDArray[np.int64]:
    """Return the positions of the bogus at or above the threshold of TPR 0.9, the highest first."""
    threshold = operating_points.threshold_for_tpr(logits[chosen.real & chosen.headline], 0.9)
    passed = np.flatnonzero(~chosen.real & (logits >= threshold))
    return passed[np.argsort(-logits[passed], kind="stable")]
