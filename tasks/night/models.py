"""The models that score a night, opened from the registry, and the rule that turns their logits into decisions."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from realbogus.models.preprocessing import PREPROCESSING_VERSION
from tasks.learning.calibration import Calibration
from tasks.learning.models import saved_models
from tasks.learning.models.inference import Engine, Outputs, open_outputs
from tasks.learning.operating_points import logit_of
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.night.sources import NightSource
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.schema import REALBOGUS
from tasks.tracking.model_registry import ModelRef, resolve_model

REGISTERED, REGISTERED_FIRST = "realbogus", "realbogus-first"
"""Registered names of the full model and of the cheap first model."""


class NightError(ValueError):
    """A night cannot be scored as requested."""


@dataclass(frozen=True)
class NightModel:
    """A registered model, ready to score.

    Attributes
    ----------
    name : str
        Registered name and version.
    card : mapping
        Its ``model.json``.
    outputs : Outputs
        (n, s, s, 3) float32 to logits (n, 2).
    training_samples : Table, optional
        Columns `training_overlap.COLUMNS` of the samples that it was trained on; None where they are unknown.
    """

    name: str
    card: Mapping[str, Any]
    outputs: Outputs
    training_samples: pa.Table | None = None

    @property
    def sha256(self) -> str:
        """Of the model's file."""
        return str(self.card["sha256"])

    @property
    def stamp_px(self) -> int:
        """Width of its stamps, pixels."""
        return int(self.card["input_shape"][0])

    def logits(self, stamps: NDArray) -> NDArray[np.float64]:
        """Return the logits of being real, (n,), of stamps (n, s, s, 3): second output minus first."""
        return logit_of(self.outputs.run(stamps))


@dataclass(frozen=True)
class ScoringRule:
    """The models and their decision thresholds.

    Attributes
    ----------
    full : NightModel
    first : NightModel or None
        Runs before the full model.
    discard_below : float
        Candidates below this logit of the first model are discarded.
    threshold : float or None
        Least logit of the full model for a candidate to be selected; None selects the best `max_candidates`.
    max_candidates : int or None
    threshold_rule : str
        Model and rule that the threshold follows from, such as ``realbogus/3 1a2b3c4d tpr90``.
    night_prior : float
        Share of reals assumed for the column ``probability_night``.
    """

    full: NightModel
    first: NightModel | None
    discard_below: float
    threshold: float | None
    max_candidates: int | None
    threshold_rule: str
    night_prior: float

    @property
    def models(self) -> list[NightModel]:
        """The models in the order in which they run."""
        return [self.full] if self.first is None else [self.first, self.full]

    def threshold_version(self, threshold: float) -> str:
        """Return the version of a night's threshold: `threshold_rule` and a digest.

        The digest covers all that turns a logit into a decision and a probability: the threshold, that of the first
        model, and calibration, training mix and prior. Two scorings of one rule differ in it if one of these does.
        """
        words = [repr(float(threshold)), repr(float(self.night_prior))]
        if self.first is not None:
            words.append(repr(float(self.discard_below)))
        for model in self.models:
            calibration = Calibration.of_card(model.card)
            offset = [calibration.offset] if calibration.offset else []  # a card without one keeps its version
            words += [model.sha256, *map(repr, [calibration.temperature, calibration.share, *offset])]
        return f"{self.threshold_rule} {hashlib.sha256(' '.join(words).encode()).hexdigest()[:8]}"

    def identity(self, source: NightSource) -> str:
        """Return a digest of what the logits depend on: source, models, engines and `discard_below`."""
        words = [source.identity, self.full.sha256, *(model.outputs.engine for model in self.models)]
        if self.first is not None:
            words += [self.first.sha256, repr(self.discard_below)]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def open_model(workspace: Workspace, model: str, registered: str, engine: Engine) -> NightModel:
    """Open a registered model, verified against its card, in its fastest form.

    Parameters
    ----------
    workspace : Workspace
    model : str
        Run id, address or alias; an alias alone is completed by `registered`.
    registered : str
    engine : Engine

    Raises
    ------
    NightError
        It is of another problem, or was trained with another version of the preprocessing.
    """
    ref = resolve_model(workspace, model, registered)
    described = _describe(ref)
    name, card = described.name, dict(described.card)
    check_card(name, card)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    outputs = open_outputs(card, lambda: saved_models.load_model(ref.folder)[0], workspace.root / "onnx", engine)
    if engine == "auto" and outputs.engine == "tensorflow":
        run_logger().warning("%s runs in TensorFlow: the outputs of its ONNX export differ", name)
    return replace(described, outputs=outputs)


def describe_model(workspace: Workspace, model: str, registered: str) -> NightModel:
    """Return a registered model by its card, verified against its file; it cannot be run.

    Parameters are those of `open_model`.

    Raises
    ------
    UnknownModelError
        There is no such model.
    SavedModelError
        It has no card, or another one.
    """
    return _describe(resolve_model(workspace, model, registered))


def _describe(ref: ModelRef) -> NightModel:
    card, samples = saved_models.checked_card(ref.folder), ref.folder / TRAINING_SAMPLES_FILE
    training_samples = pq.read_table(samples) if samples.is_file() else None
    return NightModel(f"{ref.name}/{ref.version}", card, UNOPENED, training_samples)


def _refuse_to_run(_: NDArray) -> NDArray[np.float32]:
    raise NightError("a model that was not opened gives no logits")


UNOPENED = Outputs("stored logits", _refuse_to_run, True, None)
"""Outputs of a model of which only the card is known; to run it is an error."""


def check_card(name: str, card: Mapping[str, Any]) -> None:
    """Refuse a model of another problem or preprocessing.

    Raises
    ------
    NightError
    """
    if card["problem"] != REALBOGUS:
        raise NightError(f"model {name} is of problem {card['problem']!r}, not {REALBOGUS}")
    if card["preprocessing_version"] != PREPROCESSING_VERSION:
        raise NightError(
            f"model {name} was trained with preprocessing {card['preprocessing_version']!r}, this code has "
            f"{PREPROCESSING_VERSION!r}: retrain it, or score with the code that trained it"
        )
