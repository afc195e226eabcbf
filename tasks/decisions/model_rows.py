"""The rows on which two models are compared: those whose class is known, and that neither model was trained on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.decisions.gate_figures import GateFigure
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.kept_scores import Contender, outputs_on
from tasks.decisions.labelling_queue import Verdict
from tasks.decisions.paired_comparison import ComparedRows
from tasks.learning.split_parts import SplitPart
from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_rows, positions_of
from tasks.store.dataset import Dataset

REVIEWED_KINDS = ("human", "truth", "votes")
"""Kinds of labels that count; ``weak`` ones and the detections that injections are set against do not."""


@dataclass(frozen=True)
class KnownRows:
    """The n rows whose class is known.

    Attributes
    ----------
    part : SplitPart
        Labels are the true ones: of the simulation, of a person, or of an injection that was recovered.
    weights : (n,) float
        One over the probability with which a row was chosen to be judged; 1 where all were.
    strata : dict of name to (n,) str
    left_out : dict
        Number of the other rows, by reason.
    notes : tuple of str
    """

    part: SplitPart
    weights: NDArray[np.float64]
    strata: Mapping[str, NDArray[np.str_]]
    left_out: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def take(self, positions: NDArray) -> "KnownRows":
        """Return the rows at these positions, (m,)."""
        return replace(
            self,
            part=self.part.take(positions),
            weights=self.weights[positions],
            strata={name: words[positions] for name, words in self.strata.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counts for the figures of a decision."""
        return {
            "rows": len(self.part),
            "weighted": int(np.count_nonzero(self.weights != 1)),
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
        }


def apply_verdicts(
    ids: Sequence[str],
    verdicts: Mapping[str, Verdict],
    classes: Sequence[str],
    labels: NDArray[np.int32],
    reasons: NDArray[np.object_],
) -> NDArray[np.float64]:
    """Enter people's verdicts into `labels` and `reasons`, and return the weights of the rows, (n,).

    A verdict whose inclusion probability is unknown was asked for by one model's score: it corrects a label that
    counts, and makes no row count.

    Parameters
    ----------
    ids : (n,)
    verdicts : mapping
        By id.
    classes : sequence of str
    labels : (n,) int
        Positions of classes; changed in place.
    reasons : (n,) str
        Why a row does not count, empty where it does; changed in place.
    """
    weights = np.ones(len(ids))
    for row, name in enumerate(ids):
        verdict = verdicts.get(name)
        if verdict is None:
            continue
        if reasons[row]:
            if verdict.probability is None:
                reasons[row] = "verdict_without_probability"
                continue
            weights[row] = 1 / verdict.probability
        labels[row], reasons[row] = classes.index(verdict.label), ""
    return weights


class ComparedProblem(Protocol):
    """What a comparison of two models needs to know of a problem."""

    batch: int
    """Samples a step when a model scores."""

    def require_fit(self, dataset: Dataset, scheme: str, card: Mapping[str, Any]) -> None:
        """Raise `EvaluationError` if the model of a card does not take the samples of a dataset."""

    def known_rows(
        self,
        dataset: Dataset,
        scheme: str,
        part: str,
        ids: Sequence[str],
        verdicts: Mapping[str, Verdict],
        contender: Contender,
        settings: GateSettings,
    ) -> KnownRows:
        """Return those of the rows with these ids whose class is known."""

    def figure(self, classes: Sequence[str], settings: GateSettings) -> GateFigure:
        """Return the figure that models are compared by."""

    def outputs(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the figure takes, from a network's outputs (n, classes)."""


def compared_rows(
    workspace: Workspace,
    known: KnownRows,
    dataset: Dataset,
    ids: Sequence[str],
    models: tuple[Contender, Contender],
    problem: ComparedProblem,
    rows_digest: str | None = None,
) -> ComparedRows:
    """Return the champion's and the challenger's outputs on known rows.

    Parameters
    ----------
    workspace : Workspace
    known : KnownRows
    dataset : Dataset
    ids : sequence of str
        The rows that are scored, those of `known` among them; all, so that kept outputs serve later verdicts too.
    models : champion and challenger
    problem : ComparedProblem
    rows_digest : str, optional
        See `kept_scores.outputs_on`.
    """
    at = positions_of(known.part.ids, list(ids))
    champion, challenger = (
        problem.outputs(outputs_on(workspace, model, dataset, ids, problem.batch, rows_digest))[at] for model in models
    )
    return ComparedRows(
        np.array(known.part.ids, np.str_),
        np.array(known.part.groups, np.str_),
        known.part.labels.astype(np.int64),
        champion,
        challenger,
        known.weights,
        known.strata,
    )


def leave_out_seen(known: KnownRows, dataset: Dataset, models: Mapping[str, Contender]) -> KnownRows:
    """Return the rows that no model has in its training or validation part, and count the others by model.

    `models` is by the word that the reason has, such as ``champion``. What a model of unknown training samples has seen
    is not known, which becomes a note.
    """
    samples = align_rows(dataset.samples(list(COLUMNS)), known.part.ids)
    reasons = np.full(len(known.part), "", object)
    notes = list(known.notes)
    for word, model in models.items():
        if model.training_samples is None:
            notes.append(f"The training samples of the {word} {model.ref.uri} are unknown: no overlap was removed.")
        else:
            reasons[seen_before(samples, model.training_samples)] = f"seen_by_{word}"
    left_out = Counter(known.left_out) + Counter(reason for reason in reasons.tolist() if reason)
    return replace(known.take(np.flatnonzero(reasons == "")), left_out=dict(left_out), notes=tuple(notes))
