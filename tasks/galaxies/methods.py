"""Training methods: named changes of a galaxy preset, each of which an ablation can switch on or off alone."""

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.learning.fits.fit_settings import Balance, MixedPrecision, Schedule

if TYPE_CHECKING:
    from tasks.galaxies.presets import GalaxyPreset

Normalisation = Literal["fitted", "frozen"]

OF_TRAINING = (
    "balance",
    "label_smoothing",
    "schedule",
    "weight_average",
    "layer_decay",
    "head_epochs",
    "mixed_precision",
)
OF_AUGMENTATION = ("rotation_deg", "shift", "zoom", "mirror")
OF_PRESET = ("soft_labels", "average_views")
"""Where a preset has each method; ``normalisation`` is its backbone's."""

MOST_LABEL = 60
"""Characters of the methods in names of runs and reports."""


class MethodError(ValueError):
    """A training method does not suit the network, its weights, or the dataset."""


class TrainingMethods(BaseModel):
    """Changes of a preset; a field that is null keeps what the preset has."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    balance: Balance | None = None
    """weights: the loss of a class is weighted by the inverse of its frequency (mean weight 1); sampling: every class
    is drawn equally often; none: as in the training part."""
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    """Share of a label's weight that is spread over all classes."""
    soft_labels: bool | None = None
    """Targets are the volunteers' vote fractions instead of one class."""
    schedule: Schedule | None = None
    """plateau: the rate is lowered when the validation loss stalls; cosine: at every step."""
    weight_average: float | None = Field(default=None, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is validated and saved; 0: none."""
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    """Factor on the rate from each block to the block before it; 1: none. For loaded weights."""
    head_epochs: int | None = Field(default=None, ge=0)
    """Epochs, at most half of all, in which the head alone is fitted first. For loaded weights."""
    normalisation: Normalisation | None = None
    """frozen: the body's batch normalisation keeps the statistics of its loaded weights; or fitted."""
    mixed_precision: MixedPrecision | None = None
    """Devices that fit in bfloat16 if they multiply it in hardware: any, gpu alone, or none."""
    average_views: bool | None = None
    """The saved model averages over the eight symmetries of the square."""
    rotation_deg: float | None = Field(default=None, ge=0, le=180)
    """Augmentation: largest rotation in either direction, degrees."""
    shift: float | None = Field(default=None, ge=0, le=0.5)
    """Augmentation: largest shift along each axis, as a fraction of the frame's width."""
    zoom: float | None = Field(default=None, ge=0, le=1)
    """Augmentation: largest zoom in or out, a factor of exp(zoom)."""
    mirror: bool | None = None
    """Augmentation: half of the images are mirrored."""

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, given: Any) -> Any:
        unknown = sorted(set(given) - set(cls.model_fields)) if isinstance(given, dict) else []
        if unknown:
            raise ValueError(f"unknown method {unknown[0]!r}; there are: {', '.join(cls.model_fields)}")
        return given

    @property
    def given(self) -> dict[str, Any]:
        """The methods that are not null, by name."""
        return self.model_dump(exclude_none=True)

    @property
    def label(self) -> str:
        """The methods in a form that suits the name of a file; empty where there are none."""
        words = [_worded(name.replace("_", "-"), value) for name, value in self.given.items()]
        label = "+".join(words)
        if len(label) <= MOST_LABEL:
            return label
        digest = hashlib.sha256(json.dumps(self.given, sort_keys=True).encode()).hexdigest()[:8]
        return f"{len(words)}-methods-{digest}"


def _worded(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    return f"{name}-{value:g}" if isinstance(value, float) else f"{name}-{value}"


def apply_methods(preset: "GalaxyPreset", methods: TrainingMethods) -> "GalaxyPreset":
    """Return the preset with the methods that are given.

    Raises
    ------
    MethodError
        ``normalisation`` is given and the network has no batch normalisation of loaded weights.
    """
    given = methods.given
    changes: dict[str, Any] = {name: given[name] for name in OF_PRESET if name in given}
    changes["training"] = preset.training.model_copy(
        update={name: given[name] for name in OF_TRAINING if name in given}
    )
    changes["augmentation"] = preset.augmentation.model_copy(
        update={name: given[name] for name in OF_AUGMENTATION if name in given}
    )
    if methods.normalisation is not None:
        if preset.backbone is None or preset.backbone.kind == "vit":
            kind = "ViT" if preset.backbone else "network=cnn"
            raise MethodError(
                f"methods: normalisation={methods.normalisation}: {kind} has no body with batch normalisation of "
                "published weights; leave it out"
            )
        frozen = methods.normalisation == "frozen"
        changes["backbone"] = preset.backbone.model_copy(update={"frozen_normalisation": frozen})
    return preset.model_copy(update=changes)


def require_random_start(methods: TrainingMethods) -> None:
    """Refuse methods that keep what loaded weights know, where the weights are random.

    Raises
    ------
    MethodError
        Names the first of them.
    """
    kept = {
        "layer_decay": methods.layer_decay not in (None, 1),
        "head_epochs": bool(methods.head_epochs),
        "normalisation": methods.normalisation == "frozen",
    }
    for name in (name for name, is_given in kept.items() if is_given):
        raise MethodError(
            f"methods: {name}={getattr(methods, name)} is for loaded weights, and weights=none starts at random: give "
            "weights=imagenet, a path or models:/NAME/VERSION, or leave it out"
        )
