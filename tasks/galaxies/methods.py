"""Training methods of galaxies: named changes of a preset."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tasks.learning.fits.fit_settings import Balance, MixedPrecision, Schedule
from tasks.training.methods import MethodError, PresetMethods, replace_entries

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


class TrainingMethods(PresetMethods):
    """Changes of a galaxy preset; a field that is null keeps what the preset has."""

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


def apply_methods(preset: "GalaxyPreset", methods: TrainingMethods) -> "GalaxyPreset":
    """Return the preset with the methods that are given.

    Raises
    ------
    MethodError
        ``normalisation`` is given and the network has no batch normalisation of loaded weights.
    """
    places = {"": OF_PRESET, "training": OF_TRAINING, "augmentation": OF_AUGMENTATION}
    preset = replace_entries(preset, methods.given, places)
    if methods.normalisation is not None:
        if preset.backbone is None or preset.backbone.kind == "vit":
            kind = "ViT" if preset.backbone else "network=cnn"
            raise MethodError(
                f"methods: normalisation={methods.normalisation}: {kind} has no body with batch normalisation of "
                "published weights; leave it out"
            )
        frozen = methods.normalisation == "frozen"
        return replace_entries(preset, {"frozen_normalisation": frozen}, {"backbone": ("frozen_normalisation",)})
    return preset


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
