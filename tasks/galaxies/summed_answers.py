"""A model of a fine scheme that answers for a coarse one, by sums of its calibrated probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.labels.scheme_sums import SchemeSums, find_sums, summed_probabilities
from galaxy.labels.schemes import SHIPPED, Scheme, SchemeError, load_scheme
from tasks.learning import measures
from tasks.learning.scoring import Scorer
from tasks.training.evaluation_record import EvaluationError, EvaluationRequest


@dataclass(frozen=True)
class SummedModel:
    """A model whose answers are sums of another model's classes.

    Attributes
    ----------
    model : Scorer
        Gives probabilities (n, finer classes).
    sums : SchemeSums
    temperature : float
        Calibrates the model before its probabilities are added.
    """

    model: Scorer
    sums: SchemeSums
    temperature: float

    def predict_on_batch(self, x: NDArray) -> NDArray[np.float32]:
        """Return the coarse scheme's probabilities (n, classes) of images (n, y, x, channel)."""
        calibrated = measures.apply_temperature(np.asarray(self.model.predict_on_batch(x)), self.temperature)
        return summed_probabilities(calibrated, self.sums).astype(np.float32)


def shipped_scheme(name: str, digest: str) -> Scheme | None:
    """Return the shipped scheme of this name if its rules are those of the digest, else None."""
    scheme = load_scheme(name) if name in SHIPPED else None
    return scheme if scheme is not None and scheme.digest == digest else None


def answer_for_scheme(request: EvaluationRequest) -> tuple[EvaluationRequest, SchemeSums | None]:
    """Return the request with a model that answers for its scheme, and the sums by which it does.

    The request of a model that has the scheme's classes is returned as it is, without sums; so is that of a scheme
    whose rules are not shipped, for which nothing can be added up.

    Raises
    ------
    EvaluationError
        The classes of the model's scheme do not add up to those of the request's.
    """
    card, dataset, scheme = request.card, request.dataset, request.scheme
    if list(card["classes"]) == dataset.classes(scheme):
        return request, None
    fine = shipped_scheme(str(card["scheme"]), str(card["scheme_digest"]))
    coarse = shipped_scheme(scheme, str(dataset.manifest["schemes"][scheme]["digest"]))
    if fine is None or coarse is None:
        return request, None
    try:
        sums = find_sums(fine, coarse)
    except SchemeError as error:
        raise EvaluationError(f"the model of scheme {fine.name} has no answer for {scheme}: {error}") from error
    model = SummedModel(request.model, sums, float(card["temperature"] or 1))
    summed: Mapping[str, Any] = {
        **card,
        "classes": list(sums.classes),
        "temperature": 1.0,
        "summed_from": fine.name,
    }
    return replace(request, model=model, card=summed, history={}, best_epoch=None), sums


def describe_sums(sums: SchemeSums) -> list[str]:
    """Return notes for a report: what was added, what was left out, and what the model never learned."""
    parts: dict[str, list[str]] = {name: [] for name in sums.classes}
    for name, whole in sums.leads_to.items():
        if whole is not None:
            parts[whole].append(name)
    added = [f"{whole} of {', '.join(names)}" for whole, names in parts.items() if names != [whole]]
    notes = [f"Summed from {sums.fine}: the calibrated probabilities of its classes add up, {'; '.join(added)}."]
    if sums.left_out:
        notes.append(f"{', '.join(sums.left_out)} of {sums.fine} are left out and the other probabilities scaled to 1.")
    if sums.unlearned:
        notes.append(f"{sums.fine} leaves out some galaxies of {', '.join(sums.unlearned)}: the model learned of none.")
    return notes
