"""Relabelling of candidates: scored by logit, unlabelled for semi-supervised training, flipped or removed.

The validation part keeps its labels, and therefore cannot choose the epoch of the second training: the more confident a
network fitted to cleaner labels is, the larger its loss on wrong ones. The last epoch is kept, at the end of the
learning rate's schedule, or that at which the predictions settle.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from realbogus.records import BOGUS, REAL
from tasks.candidates.choices import Handling
from tasks.candidates.relabelling.suspects import class_probabilities, never_suspect_injections, score_labels, suggest
from tasks.candidates.training import CandidateTraining, CandidateTrainRequest, open_candidate_training
from tasks.learning import measures
from tasks.learning.fits.fit_settings import KeptEpoch
from tasks.learning.labels.suspects import SuspectError, SuspectRule, estimated_errors, quantile_strata
from tasks.learning.split_parts import UNLABELLED, SplitPart
from tasks.runtime.cluster import Executor
from tasks.store.columns import Ids, align_column, align_rows, to_float, to_text
from tasks.store.dataset import Dataset
from tasks.training.relabel import RelabelOptions, RelabelTask
from tasks.training.training_task import TrainingTask, TrainRequest

KEPT: KeptEpoch = "last"
"""The epoch of the second training whose weights are kept, unless the request names another."""
MOST_WRONG = 0.33
SMOOTHNESS = 1.0
"""Weight of the smoothness of unlabelled suspects, unless the request names another."""
SHOWN_TO_HELP: frozenset[tuple[SuspectRule, Handling]] = frozenset()
"""Rules and handlings that beat labels left alone where a third of them were wrong, in `label-noise-bench`."""
_REPEATS = 300


class CandidateRelabelRequest(RelabelOptions, CandidateTrainRequest):
    """How suspects are found and relabelled. Losses and labels are those of the second training."""

    trains: ClassVar[type[TrainRequest]] = CandidateTrainRequest

    rule: SuspectRule = "two-views"
    handling: Handling = "remove"
    keep: KeptEpoch | None = KEPT
    """The epoch of the second training whose weights are kept; None: the preset's."""
    suspect_injections: bool = False
    """Whether labels of injections can be suspect."""
    recurrence: bool = False
    """Whether recurrence over visits has a say in what is suspect; see `tasks.candidates.relabelling.recurrence`."""
    most_wrong: float = Field(default=MOST_WRONG, gt=0, le=1)
    """Largest share of labels that may be wrong, as the scores estimate it, for a rule and handling that was not shown
    to help beyond it."""

    @model_validator(mode="after")
    def _loss_and_handling(self) -> "CandidateRelabelRequest":
        if self.handling == "remove" and self.loss_lds:
            raise ValueError(
                f"handling=remove with loss_lds={self.loss_lds}: a removed candidate takes part in nothing; "
                "use handling=unlabel, or loss_lds=0"
            )
        return self


class CandidateRelabelTask(RelabelTask):
    """A relabelling of candidates; `request` is a `CandidateRelabelRequest`."""

    def open(self, **changes: Any) -> CandidateTraining:
        """Open the request's training with some fields changed."""
        return open_candidate_training(self.workspace, self.request.training(**changes))

    @property
    def fold_changes(self) -> dict[str, Any]:
        """The folds are fitted by cross-entropy alone and without teachers, and keep the preset's epoch."""
        methods = self.request.methods.model_copy(update={"partial_auc": None, "distill_teachers": None})
        return {"loss_ce": 1.0, "loss_ech": 0.0, "loss_lds": 0.0, "keep": None, "methods": methods}

    @property
    def second_changes(self) -> dict[str, Any]:
        """Removed candidates take part in no loss, unlabelled ones in the smoothness."""
        if self.request.handling == "remove":
            return {"loss_lds": 0.0}
        is_left_open = self.request.handling == "unlabel" and self.request.loss_lds is None
        return {"loss_lds": SMOOTHNESS} if is_left_open else {}

    def out_of_fold(self, training: TrainingTask, part: SplitPart, folder: Path, executor: Executor) -> pa.Table:
        """Return the scores of a part's candidates; see `tasks.candidates.relabelling.suspects`."""
        assert isinstance(training, CandidateTraining)
        request = self.request
        return score_labels(
            training,
            part,
            request.rule,
            request.folds,
            folder,
            executor,
            suspect_injections=request.suspect_injections,
            recurrence=request.recurrence,
        )

    def suggest(self, scores: pa.Table) -> NDArray[np.int32]:
        """Return the class (n,) that the rule holds for right; it differs from suspect labels."""
        request, labels = self.request, scores["label"].to_numpy()
        suggested = suggest(scores, labels, request.rule, request.suspect_threshold)
        if request.suspect_injections:
            return suggested
        return never_suspect_injections(suggested, labels, Dataset.open(self.workspace, self.dataset), scores["id"])

    def check_scores(self, training: TrainingTask, scores: pa.Table) -> None:
        """Refuse labels of which the scores estimate a third or more to be wrong.

        The estimate is the upper end of the interval of `estimated_errors`, sky cells resampled.

        Raises
        ------
        SuspectError
            The rule and handling were not shown to help there; the message has the figures.
        """
        request, split = self.request, training.dataset.split()
        if request.handling == "keep" or (request.rule, request.handling) in SHOWN_TO_HELP or split is None:
            return
        probabilities, labels = self.probabilities(scores), scores["label"].to_numpy()
        share = measures.group_bootstrap(
            align_column(split, "group", scores["id"]).to_pylist(),
            lambda rows: estimated_errors(probabilities[rows], labels[rows]),
            np.random.default_rng(0),
            _REPEATS,
        )
        if max(share.value, np.nan_to_num(share.high)) >= request.most_wrong:
            raise SuspectError(
                f"an estimated {share.value:.1%} of {len(labels)} labels are wrong "
                f"({share.ends('.1%')}), and {request.most_wrong:.0%} or more may be: "
                f"rule={request.rule} with handling={request.handling} was not shown to help there; review labels "
                "(survey-label-errors), train on them as they are, or raise most_wrong"
            )

    def probabilities(self, scores: pa.Table) -> NDArray:
        """Return the probabilities (n, 2) of the column ``logit``."""
        return class_probabilities(scores["logit"].to_numpy())

    def scores_of_labels(self, scores: pa.Table) -> NDArray:
        """Return the logits (n,)."""
        return np.asarray(scores["logit"].to_numpy())

    def strata(self, training: TrainingTask, scores: pa.Table) -> dict[str, NDArray]:
        """Return `suspect_strata` of the scored candidates."""
        return suspect_strata(training.dataset.samples(), scores["id"])

    def true_labels(self, dataset: Dataset, ids: Sequence[str]) -> NDArray | None:
        """Return `true_labels`, or None without a truth."""
        truth = dataset.truth()
        return None if truth is None else true_labels(truth, ids)


def suspect_strata(samples: pa.Table, ids: Ids) -> dict[str, NDArray]:
    """Return the strata of samples, from each of which only a limited share may be suspect.

    Parameters
    ----------
    samples : Table
        Columns id, kind, detector, mag, galaxy_separation_re.
    ids : (n,) text

    Returns
    -------
    dict of (n,) str
        By column: kind, detector, and the quartile of magnitude and of host separation; empty where unknown.
    """
    samples = align_rows(samples, ids)
    strata: dict[str, NDArray] = {name: to_text(samples[name]) for name in ("kind", "detector")}
    return strata | {name: quantile_strata(to_float(samples[name])) for name in ("mag", "galaxy_separation_re")}


def true_labels(truth: pa.Table | None, ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the true class of each of n ids: 1 real, 0 bogus, `UNLABELLED` for blends and unknown ones, (n,).

    `truth` has columns id and truth; without it all are unknown. It serves the account of suspects alone.
    """
    if truth is None:
        return np.full(len(ids), UNLABELLED)
    words = align_column(truth, "truth", ids).to_pylist()
    return np.array([{REAL: 1, BOGUS: 0}.get(word, UNLABELLED) for word in words])
