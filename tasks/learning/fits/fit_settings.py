"""Settings of a fit, which every problem's presets hold under ``training``."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

Optimizer = Literal["sgd", "adam", "adadelta"]
KeptEpoch = Literal["best", "last", "label-wave"]
Balance = Literal["none", "weights", "sampling"]
Schedule = Literal["plateau", "cosine"]
MixedPrecision = Literal["none", "gpu", "any"]
DeviceName = Literal["auto", "cpu", "gpu"]
"""``auto`` takes every GPU, else the processor; `tasks.learning.fits.devices` finds them."""


class UnknownPresetError(LookupError):
    """No preset has these names; the message lists the presets that exist."""


class FitSettings(BaseModel):
    """How a network is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: dict[Optimizer, float]
    """The highest rate of each optimiser."""
    schedule: Schedule
    """``plateau`` lowers the rate when the validation loss stalls; ``cosine`` lowers it every step after a warm-up."""
    epochs: int
    """Maximum number of passes over the training part."""
    min_steps: int
    """A small dataset is passed over more often, until the optimiser has made this many steps."""
    batch_size: int
    """Samples a step."""
    stop_after: int | None
    """Epochs without a lower validation loss after which fitting stops; None never stops early."""
    plateau_after: int = 3
    """Epochs without a lower validation loss after which the rate is lowered (schedule ``plateau``)."""
    plateau_factor: float = 0.3
    """Factor by which the rate is multiplied on a plateau."""
    weight_decay: float = 0.0
    """Decoupled decay of kernels, per unit of rate."""
    label_smoothing: float = 0.0
    """Share of a label's weight that is spread over all classes."""
    momentum: float = 0.0
    """Momentum of SGD."""
    balance: Balance = "none"
    """``weights``: the loss of a class is weighted by the inverse of its frequency; ``sampling``: every class is drawn
    equally often."""
    weight_average: float = 0.0
    """Decay of the exponential moving average of the weights, which is validated and kept; 0: none."""
    layer_decay: float = 1.0
    """Factor on the rate (and the decay) from each block of the body to the block before it."""
    head_epochs: int = 0
    """Epochs, at most half of all, in which the head alone is fitted first, at a constant rate."""
    head_rate_factor: float = 5.0
    """Factor on the highest rate while the head alone is fitted."""
    mixed_precision: MixedPrecision = "any"
    """Devices that fit in bfloat16 if they multiply it in hardware: ``any``, ``gpu`` alone, or ``none``."""
    distill_teachers: int = 0
    """Number of networks, fitted alike with other seeds, whose mean probabilities are targets; 0: none. See
    `tasks.learning.fits.distillation`."""
    distill_weight: float = 0.7
    """Share of the teachers' mean probability in a target; the rest is the label."""
    keep: KeptEpoch = "best"
    """Epoch whose weights are kept: ``best`` has the lowest validation loss, ``last`` is the final epoch, and at
    ``label-wave`` the predictions of the training part settle, by `tasks.learning.labels.dynamics.settled_epoch`."""

    def with_overrides(self, epochs: int | None, batch_size: int | None) -> Self:
        """Return the settings with exactly `epochs` passes and `batch_size` samples a step; None changes nothing."""
        changes = {} if epochs is None else {"epochs": epochs, "min_steps": 0}
        changes |= {} if batch_size is None else {"batch_size": batch_size}
        return self.model_copy(update=changes)
