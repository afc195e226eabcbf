"""The request of `score-night`, and the threshold that it and the model's card imply."""

import math

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.learning.models.inference import Engine
from tasks.night.models import NightError, NightModel

DEFAULT_TPR = 0.9


class NightRequest(BaseModel):
    """The candidates and models of a night, and its decision threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    """The night's source, see `tasks.night.sources.open_night`; None: see `tasks.night.default_night`."""
    model: str = "champion"
    first: str | None = "champion"
    """Cheap model that discards before the full one; None: none."""
    threshold: float | None = None
    """Least logit of a selected candidate. At most one of threshold, tpr and max_candidates."""
    tpr: float | None = Field(default=None, gt=0, lt=1)
    """True-positive rate of one of the model's operating points; the default is `DEFAULT_TPR`."""
    detector: str | None = None
    """Detector of the night, whose own operating point sets the threshold; None: the pooled one."""
    max_candidates: int | None = Field(default=None, ge=1)
    """Number of candidates to select, highest logits first."""
    night_prior: float = Field(default=1e-3, gt=0, lt=1)
    """Share of reals among a night's detections, for the probability at that prior."""
    night: str | None = None
    """Name of the scores file; None: the source's."""
    against: str | None = None
    """A second model, such as the one in use before: it scores the night too, for the counts at equal recovery."""
    engine: Engine = "auto"
    """Runtime of the models; tensorflow for a graphics processor."""

    @model_validator(mode="after")
    def _one_rule(self) -> "NightRequest":
        rules = [name for name in ("threshold", "tpr", "max_candidates") if getattr(self, name) is not None]
        if len(rules) > 1:
            raise ValueError(f"{' and '.join(rules)} are given: choose one of threshold, tpr, max_candidates")
        if self.detector is not None and (self.threshold is not None or self.max_candidates is not None):
            raise ValueError(f"detector={self.detector} has operating points: give tpr, not {' or '.join(rules)}")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ValueError(f"threshold={self.threshold} is no finite logit")
        for name in ("model", "first", "against"):
            if str(getattr(self, name)).lower().endswith((".h5", ".hdf5")):
                raise ValueError(
                    f"{name}={getattr(self, name)}: HDF5 models of the public code are not supported, as their layers "
                    "have no configuration; train the network here with profile=published, or give a registered model"
                )
        return self


def choose_threshold(request: NightRequest, full: NightModel) -> tuple[float | None, int | None, str]:
    """Return the threshold (logit) or the number of candidates, the other being None, and the rule in words.

    Raises
    ------
    NightError
        The model has no operating point at the requested true-positive rate, or none of the named detector.
    """
    name = f"{full.name} {full.sha256[:8]}"
    if request.max_candidates is not None:
        return None, request.max_candidates, f"{name} best {request.max_candidates}"
    if request.threshold is not None:
        return request.threshold, None, f"{name} threshold {request.threshold:g}"
    tpr, points = request.tpr or DEFAULT_TPR, full.card.get("operating_points") or {}
    point = f"tpr{100 * tpr:.6g}"
    if point not in points:
        available = ", ".join(f"0.{name.removeprefix('tpr')}" for name in points) or "none"
        raise NightError(
            f"tpr={tpr:g} is no operating point of {full.name}, which has {available}; or give a threshold"
        )
    if request.detector is None:
        return float(points[point]["threshold"]), None, f"{name} {point}"
    detectors = (full.card.get("detector_points") or {}).get(point, {}).get("detectors", {})
    if request.detector not in detectors:
        raise NightError(
            f"{full.name} has no operating point of detector={request.detector}; it has those of "
            f"{', '.join(detectors) or 'none'}: without detector the pooled one is used"
        )
    return float(detectors[request.detector]["threshold"]), None, f"{name} {point} detector {request.detector}"
