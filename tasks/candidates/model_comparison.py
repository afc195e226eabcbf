"""Candidates on which two models are compared: those that are known to be real or bogus, with their strata."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from realbogus.models.preprocessing import PREPROCESSING_VERSION
from realbogus.records import BOGUS, REAL
from realbogus.sources.object_kinds import KNOWN_TRANSIENT
from tasks.candidates.rows import INJECTIONS, EvaluationRows, evaluation_rows, with_headline
from tasks.decisions.gate_figures import FalsePositives
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.kept_scores import Contender
from tasks.decisions.labelling_queue import Verdict
from tasks.decisions.model_rows import REVIEWED_KINDS, KnownRows, apply_verdicts
from tasks.learning.operating_points import logit_of
from tasks.learning.scoring import STAMP_BATCH
from tasks.learning.split_parts import UNLABELLED, part_rows
from tasks.store.columns import align_rows, positions_of, to_text
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import require_card_fits

NUCLEAR_RE, NEAR_RE = 0.5, 2.0
"""Separations from the nearest galaxy, effective radii, up to which a real is nuclear, and near it."""


class CandidateComparison:
    """What a comparison of two real/bogus models needs to know."""

    batch = STAMP_BATCH

    def require_fit(self, dataset: Dataset, scheme: str, card: Mapping[str, Any]) -> None:
        """Raise `EvaluationError` if the model of a card does not take the samples of a dataset."""
        require_card_fits(dataset, scheme, card, PREPROCESSING_VERSION)

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
        """Return those of the candidates with these ids that are known to be real or bogus.

        Where the simulation's truth is known, it rules (`rows.evaluation_rows`). Elsewhere injections that were
        recovered and known transients are real; other candidates count if their labels are people's, or with a verdict
        whose inclusion probability is known. A verdict without one was asked for by one model's score: it corrects a
        label that counts, and makes no row count. Injections serve as reals only where fewer than `least_events` others
        are known.
        """
        if dataset.truth() is not None:
            rows, weights = evaluation_rows(dataset, scheme, part, contender.card.get("detector"), ids), None
        else:
            rows, weights = _judged_rows(dataset, scheme, part, ids, verdicts, contender.card.get("detector"))
        headline = with_headline(replace(rows, notes=[]), simulated=weights is None, least=settings.least_events)
        counting = np.flatnonzero(headline.headline)
        left_out = Counter(rows.left_out) + Counter(injection=len(rows.part) - len(counting))
        every = KnownRows(
            rows.part,
            np.ones(len(rows.part)) if weights is None else weights,
            strata_of(rows),
            dict(left_out),
            tuple(headline.notes),
        )
        return every.take(counting)

    def figure(self, classes: Sequence[str], settings: GateSettings) -> FalsePositives:
        """Return the false-positive rate at the settings' true-positive rate."""
        return FalsePositives(settings.tpr, *classes)

    def outputs(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits (n,) of a network's outputs (n, 2)."""
        return logit_of(raw)


def strata_of(rows: EvaluationRows) -> dict[str, NDArray[np.str_]]:
    """Return the strata of candidates, (n,) each, empty where a row is in none.

    Of reals whole magnitudes, the place with respect to the nearest galaxy, and the origin in the simulation's truth;
    of bogus the detector.
    """
    magnitude, separation = rows.column("mag"), rows.column("galaxy_separation_re")
    place = np.select(
        [np.isnan(separation), separation <= NUCLEAR_RE, separation <= NEAR_RE],
        ["", "nuclear", "near a galaxy"],
        "far from galaxies",
    )
    return {
        "magnitude": np.where(rows.real, _whole_magnitudes(magnitude), ""),
        "host": np.where(rows.real, place, ""),
        "class": np.where(rows.real, rows.origins, ""),
        "detector": np.where(rows.real, "", rows.words("detector")),
    }


def _whole_magnitudes(magnitude: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return the bin of one magnitude, such as ``18 to 19``, of magnitudes (n,); empty for NaN."""
    return np.array([f"{low:.0f} to {low + 1:.0f}" if np.isfinite(low) else "" for low in np.floor(magnitude)], np.str_)


def _judged_rows(
    dataset: Dataset,
    scheme: str,
    part: str,
    ids: Sequence[str],
    verdicts: Mapping[str, Verdict],
    detector: str | None,
) -> tuple[EvaluationRows, NDArray[np.float64]]:
    """Return the rows without a simulation's truth whose class is known, and their weights (n,)."""
    rows = part_rows(dataset, scheme, part, unlabelled=True)
    rows = rows.take(np.flatnonzero(positions_of(rows.ids, list(ids)) >= 0))
    samples = align_rows(dataset.samples(), rows.ids)
    kinds = to_text(samples["kind"])
    injected = np.isin(kinds, INJECTIONS)
    kind = str(dataset.manifest["label_kind"])
    labels = np.where(injected | (kinds == KNOWN_TRANSIENT), 1, rows.labels).astype(np.int32)
    counts = injected | (kinds == KNOWN_TRANSIENT) | ((kind in REVIEWED_KINDS) & (labels != UNLABELLED))
    reasons = np.where(counts, "", np.where(labels == UNLABELLED, "unlabelled", f"{kind}_label")).astype(object)
    of_detections = {
        name: verdicts[name]
        for name, is_injected in zip(rows.ids, injected, strict=True)
        if name in verdicts and not is_injected
    }
    weights = apply_verdicts(rows.ids, of_detections, (BOGUS, REAL), labels, reasons)
    if detector is not None:
        reasons[to_text(samples["detector"]) != detector] = "other_detector"
    usable = np.flatnonzero(reasons == "")
    known = EvaluationRows(
        part=replace(rows, labels=labels).take(usable),
        samples=samples.take(pa.array(usable)),
        origins=np.full(len(usable), "", np.str_),
        headline=np.ones(len(usable), bool),
        injected=injected[usable],
        left_out=dict(Counter(reason for reason in reasons.tolist() if reason)),
    )
    return known, weights[usable]
