"""Which candidates of a part a model is evaluated on, and whether each is real or bogus.

Ground truth is the simulation's truth if present, otherwise the original label. The headline counts reals that were
not injected; injections give a second set of numbers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.records import BOGUS, INJECTIONS, REAL
from realbogus.sources.object_kinds import KNOWN_TRANSIENT
from tasks.learning import operating_points
from tasks.learning.split_parts import UNLABELLED, SplitPart, part_rows
from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.store.columns import Ids, align_column, align_rows, positions_of, to_float, to_text
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import EvaluationError

LEAST_SCENE_REALS = 30
"""With fewer reals that were not injected the headline counts injections too."""


@dataclass(frozen=True)
class EvaluationRows:
    """The n candidates that a model is evaluated on.

    Attributes
    ----------
    part : SplitPart
        Label 1 is real.
    samples : Table
        Their ledger rows, in the same order.
    origins : (n,) str
        Origin of each in the simulation's truth, empty without one.
    headline : (n,) bool
        Rows of the headline numbers: every bogus, and the reals that count.
    injected : (n,) bool
    left_out : dict
        Number of rows of the part that were left out, by reason.
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
        """Which rows are real, (n,)."""
        return np.asarray(self.part.labels == 1)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a ledger column as numbers (n,), NaN for null."""
        return to_float(self.samples[name])

    def words(self, name: str) -> NDArray[np.str_]:
        """Return a ledger column as text (n,), empty for null."""
        return to_text(self.samples[name])

    def take(self, positions: NDArray[np.int64]) -> "EvaluationRows":
        """Return the rows at these positions, (m,), with the same counts of left-out rows and notes."""
        return replace(
            self,
            part=self.part.take(positions),
            samples=self.samples.take(positions),
            origins=self.origins[positions],
            headline=self.headline[positions],
            injected=self.injected[positions],
        )


def evaluation_rows(
    dataset: Dataset, scheme: str, part: str, detector: str | None = None, ids: Sequence[str] | None = None
) -> EvaluationRows:
    """Return the rows of a part that can be evaluated, with their ground truth; if `ids` are given, of these alone.

    Left out, and counted: blends (neither real nor bogus), injections that another source outshines, unlabelled
    candidates, and those of another detector if `detector` is given.
    """
    rows = part_rows(dataset, scheme, part, unlabelled=True)
    if ids is not None:
        rows = rows.take(np.flatnonzero(positions_of(rows.ids, ids) >= 0))
    samples = align_rows(dataset.samples(), rows.ids)
    kinds = to_text(samples["kind"])
    injected = are_injections(samples, rows.ids)
    labels, origins, reasons = _ground_truth(dataset, rows, kinds, injected)
    if detector is not None:
        reasons[to_text(samples["detector"]) != detector] = "other_detector"
    usable = np.flatnonzero(reasons == "")
    left_out = Counter(reason for reason in reasons.tolist() if reason)
    return with_headline(
        EvaluationRows(
            replace(rows, labels=labels).take(usable),
            samples.take(usable),
            np.array(origins[usable], str),
            np.ones(len(usable), bool),
            injected[usable],
            dict(left_out),
        ),
        simulated=dataset.truth() is not None,
    )


def are_injections(samples: pa.Table, ids: Ids) -> NDArray[np.bool_]:
    """Return which of n ids are recovered injections, (n,); `samples` has columns id and kind."""
    return np.isin(to_text(align_column(samples, "kind", ids)), INJECTIONS)


def _ground_truth(
    dataset: Dataset, rows: SplitPart, kinds: NDArray[np.str_], injected: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.object_], NDArray[np.object_]]:
    """Return labels, origins and the reason to leave a row out (empty to use it), (n,) each."""
    reasons = np.full(len(rows), "", object)
    truth = dataset.truth()
    if truth is None:
        labels = np.where(kinds == KNOWN_TRANSIENT, 1, rows.labels).astype(np.int32)
        reasons[labels == UNLABELLED] = "unlabelled"
        return labels, np.full(len(rows), "", object), reasons
    truth = align_rows(truth, rows.ids)
    labels = np.array([{REAL: 1, BOGUS: 0}.get(word, UNLABELLED) for word in truth["truth"].to_pylist()], np.int32)
    reasons[labels == UNLABELLED] = "blend"
    reasons[injected & (labels == 0)] = "injection_outshone"
    return labels, np.array(truth["origin"].to_pylist(), object), reasons


def with_headline(rows: EvaluationRows, *, simulated: bool, least: int = LEAST_SCENE_REALS) -> EvaluationRows:
    """Return the rows with `headline` set: every bogus, and the reals that were not injected.

    With fewer than `least` of those, injections count too, and a note says so.
    """
    scene = rows.real & ~rows.injected
    if scene.sum() >= least or not rows.injected.any():
        return replace(rows, headline=~rows.injected | ~rows.real)
    which = "true transients that were not injected" if simulated else "reals that were not injected"
    note = f"The part has only {int(scene.sum())} {which}, so injections count as reals too."
    return replace(rows, headline=np.ones(len(rows.part), bool), notes=[*rows.notes, note])


def unseen_rows(
    rows: EvaluationRows, training_samples: pa.Table | None, part: str
) -> tuple[EvaluationRows, int | None]:
    """Return the rows that are not in `training_samples`, and the number left out.

    Parameters
    ----------
    rows : EvaluationRows
    training_samples : Table, optional
        The samples that the model has seen, with the columns of `training_overlap.COLUMNS`; None where they are
        unknown: then all rows are returned, and None as their number.
    part : str
        The part's name, for the error.

    Raises
    ------
    EvaluationError
        A class is absent from the unseen rows.
    """
    if training_samples is None:
        return rows, None
    is_seen = seen_before(rows.samples.select(list(COLUMNS)), training_samples)
    unseen = np.flatnonzero(~is_seen)
    real = rows.real[unseen]
    if real.all() or not real.any():
        raise EvaluationError(
            f"part {part!r} has {int(real.sum())} real and {int((~real).sum())} bogus that the model has not seen "
            f"({int(is_seen.sum())} were in its training or validation part): both classes are needed"
        )
    return rows.take(unseen), int(is_seen.sum())


def passed_bogus(rows: EvaluationRows, logits: NDArray) -> NDArray[np.int64]:
    """Return the positions (m,) of the bogus whose logit, of (n,), reaches the threshold of TPR 0.9, highest first."""
    threshold = operating_points.threshold_for_tpr(logits[rows.real & rows.headline], 0.9)
    passed = np.flatnonzero(~rows.real & (logits >= threshold))
    return passed[np.argsort(-logits[passed], kind="stable")]
