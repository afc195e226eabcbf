"""How long the fits of a study of trainings take: expected before the first, then from those that are finished."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.galaxies.choices import NetworkName
from tasks.learning.split_parts import ALL
from tasks.studies.galaxies.training_study import StudyFit, TrainingStudy

MS_PER_PASS: dict[NetworkName, float] = {
    "cnn": 2.3,
    "xception-small": 6,
    "vit-small": 6,
    "efficientnet-lite0": 18,
    "googlenet": 25,
    "xception": 90,
    "vit": 250,
}
"""Milliseconds on two cores for a training image's pass; what a fit is expected to cost before any was timed."""
OVERHEAD_SECONDS, PROBE_SECONDS, BASELINE_SECONDS = 5.0, 8.0, 2.0
FORWARD_SHARE = 1 / 3
"""Cost of a pass without gradients, in training passes."""
SYMMETRIES = 8
_NETWORKS = ""


def remaining_seconds(study: TrainingStudy, results: Sequence[Mapping[str, Any]], missing: Sequence[StudyFit]) -> float:
    """Return the time that the missing fits will take.

    An arm's fits are expected to take as much longer or shorter than `expected_seconds` as its finished ones did; an
    arm without any, as those of all networks did.
    """
    fits = {(fit.name, fit.size or ALL): fit for fit in study.fits}
    taken: dict[str, list[float]] = {}
    for result in results:
        expected = expected_seconds(study, fits[result["name"], result["size"]])
        for name in (result["name"], *([_NETWORKS] if "history" in result else [])):
            total = taken.setdefault(name, [0.0, 0.0])
            total[0] += result["seconds"]
            total[1] += expected
    factors = {name: seconds / expected for name, (seconds, expected) in taken.items()}
    others = factors.get(_NETWORKS, 1.0)
    return sum(factors.get(fit.name, others) * expected_seconds(study, fit) for fit in missing)


def expected_seconds(study: TrainingStudy, fit: StudyFit) -> float:
    """Return the time of a fit on two cores, without early stopping."""
    if fit.arm is None:
        return BASELINE_SECONDS
    if fit.arm.fitting == "head":
        return PROBE_SECONDS
    train, validation, scored = (len(part) for part in study.parts(fit))
    preset = study.trainings[fit.name].preset
    settings = preset.training.with_overrides(study.request.epochs, None)
    steps = math.ceil(train / settings.batch_size)
    epochs = max(settings.epochs, math.ceil(settings.min_steps / steps))
    views = SYMMETRIES if preset.average_views else 1
    passes = epochs * (train + FORWARD_SHARE * validation) + FORWARD_SHARE * views * (validation + scored)
    return OVERHEAD_SECONDS + passes * MS_PER_PASS[fit.arm.network] / 1000
