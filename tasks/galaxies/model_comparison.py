"""Galaxies on which two models are compared: those whose class is known, with their strata."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.decisions.gate_figures import Errors
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.kept_scores import Contender
from tasks.decisions.labelling_queue import Verdict
from tasks.decisions.model_rows import REVIEWED_KINDS, KnownRows, apply_verdicts
from tasks.galaxies.relabelling.truth import true_labels
from tasks.learning.scoring import IMAGE_BATCH
from tasks.learning.split_parts import UNLABELLED, part_rows
from tasks.store.columns import positions_of
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import require_card_fits


class GalaxyComparison:
    """What a comparison of two galaxy models needs to know."""

    batch = IMAGE_BATCH

    def require_fit(self, dataset: Dataset, scheme: str, card: Mapping[str, Any]) -> None:
        """Raise `EvaluationError` if the model of a card does not take the samples of a dataset."""
        require_card_fits(dataset, scheme, card)

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
        """Return those of the galaxies with these ids whose class is known.

        Where the simulation's truth is known, it rules. Elsewhere the labels count that volunteers or experts gave, or
        a person's verdict; one whose inclusion probability is unknown corrects a label that counts, and makes no row
        count.
        """
        rows = part_rows(dataset, scheme, part, unlabelled=True)
        rows = rows.take(np.flatnonzero(positions_of(rows.ids, list(ids)) >= 0))
        classes, truth = dataset.classes(scheme), true_labels(dataset, scheme, rows.ids)
        labels, weights = rows.labels.astype(np.int32), np.ones(len(rows))
        if truth is not None:
            labels = truth.astype(np.int32)
            reasons = np.where(labels == UNLABELLED, "truth_unknown", np.where(labels == len(classes), "no_class", ""))
        else:
            kind = str(dataset.manifest["label_kind"])
            is_labelled = labels != UNLABELLED
            reasons = np.where(is_labelled, "" if kind in REVIEWED_KINDS else f"{kind}_label", "unlabelled")
            reasons = reasons.astype(object)
            weights = apply_verdicts(rows.ids, verdicts, classes, labels, reasons)
        usable = np.flatnonzero(reasons == "")
        part_known = replace(rows, labels=labels).take(usable)
        return KnownRows(
            part_known,
            weights[usable],
            {"class": np.array(classes, np.str_)[part_known.labels]},
            dict(Counter(str(reason) for reason in reasons.tolist() if reason)),
        )

    def figure(self, classes: Sequence[str], settings: GateSettings) -> Errors:
        """Return the error rate."""
        return Errors(tuple(classes))

    def outputs(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities (n, classes) as they are."""
        return raw
