"""Training methods: named changes of a galaxy preset, each of which an ablation can switch on or off alone."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Balance = Literal["none", "weights", "sampling"]
Normalisation = Literal["fitted", "frozen"]
Schedule = Literal["plateau", "cosine"]


class TrainingMethods(BaseModel):
    """Changes of a preset; a field that is None keeps what the preset has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    balance: Balance | None = None
    """``weights``: the loss of a class is weighted by the inverse of its frequency (mean weight 1); ``sampling``: every
    class is drawn equally often; ``none``: as in the training part."""
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    """Share of a label's weight that is spread over all classes."""
    soft_labels: bool | None = None
    """Targets are the volunteers' vote fractions instead of one class, where the dataset has them."""
    schedule: Schedule | None = None
    """Learning rate: lowered when the validation loss stalls, or by a cosine over all steps."""
    weight_average: float | None = Field(default=None, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is evaluated and saved; 0: none."""
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    """Factor on the learning rate from each block of a backbone to the block before it; 1: none."""
    head_epochs: int | None = Field(default=None, ge=0)
    """Epochs in which the head alone is fitted before all layers are; for loaded weights."""
    normalisation: Normalisation | None = None
    """The body's batch normalisation keeps the statistics of its loaded weights (``frozen``), or is fitted."""
    average_views: bool | None = None
    """The saved model averages over the eight symmetries of the square."""
    rotation_deg: float | None = Field(default=None, ge=0, le=180)
    shift: float | None = Field(default=None, ge=0, le=0.5)
    zoom: float | None = Field(default=None, ge=0, le=1)
    mirror: bool | None = None
    """Augmentation, as in `galaxy.models.augmentation.ImageAugmentation`."""
