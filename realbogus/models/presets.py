"""Presets: a network, what it is fitted to, and how, fixed together under network, size and profile.

Profiles: ``published`` is what the public code of Takahashi et al. 2022 executes, its quirks included; ``as-written``
what its text means; ``fixed`` the same idea repaired, which is the default.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from realbogus.models.augmentation import StampAugmentation
from realbogus.models.preprocessing import Normalisation

Network = Literal["simple", "complex", "compact", "first"]
Size = Literal["small", "full"]
Profile = Literal["published", "as-written", "fixed"]


class UnknownPresetError(LookupError):
    """No preset of these names; the message names those there are."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LossSettings(_Frozen):
    """Weights and constants of the losses; see `realbogus.models.losses`."""

    ce: float = Field(default=1.0, ge=0)
    """Weight of cross-entropy."""
    ech: float = Field(default=0.0, ge=0)
    """Weight of the exponential cross-hinge."""
    lds: float = Field(default=0.0, ge=0)
    """Weight of local distributional smoothness (virtual adversarial training)."""
    margin: float = 0.25
    """By how much a real should exceed a bogus, in logits."""
    cap: float | None = 6.0
    """Pairs that are wrong by more than this beyond the margin have no gradient; None: none are left out."""
    xi: float = 0.1
    """Length of the step at which the adversarial direction is looked for, in the units of the network's input."""
    epsilon: float = 0.3
    """Length of the adversarial step. In noise-scaled pixels a candidate at the limit of detection has length 5:
    steps of 1 smooth faint ones away, 0.3 costs nothing (measured on triplets that a study left out)."""
    iterations: int = Field(default=1, ge=1)
    """How often the direction is improved."""
    weights: Literal["written", "executed"] = "written"
    """``executed`` mixes the weights up as the public code does; see `realbogus.models.losses.effective_weights`."""


class Training(_Frozen):
    """How a network is fitted."""

    learning_rate: dict[Literal["sgd", "adam", "adadelta"], float]
    """The highest rate, for each optimiser."""
    schedule: Literal["plateau", "cosine"]
    """Lowered when the validation loss stalls, or from step to step along a cosine after warming up."""
    epochs: int
    """Most passes over the training part."""
    min_steps: int
    """A small dataset is passed over more often, until the optimiser has made this many steps."""
    batch_size: int
    """Triplets a step."""
    stop_after: int | None
    """Epochs without a better validation loss after which fitting stops; None passes all epochs."""
    plateau_after: int = 3
    """Epochs without a better validation loss after which the rate is lowered (schedule plateau)."""
    plateau_factor: float = 0.3
    """What the rate is multiplied by then."""
    weight_decay: float = 0.0
    """Decoupled decay of kernels, per unit of rate."""
    label_smoothing: float = 0.0
    """Share of a label's weight spread over both classes."""
    momentum: float = 0.0
    """Momentum of SGD."""
    keep: Literal["best", "last"] = "best"
    """Which epoch's weights are kept: of the lowest validation loss, or of the last epoch."""


class CandidatePreset(_Frozen):
    """One way to train a real/bogus classifier."""

    network: Network
    """See `realbogus.models.networks`."""
    size: Size
    profile: Profile
    filters: tuple[int, ...]
    """Filters of the first convolutions and of each later stage."""
    feature_layers: int = 0
    """Convolutions after the first at its width (complex network)."""
    normalisation: Normalisation
    inside: bool = False
    """The normalisation is part of the network that the losses see, so that an adversarial step is in raw units."""
    optimizer: Literal["sgd", "adam", "adadelta"] = "adam"
    """Used unless another is asked for."""
    average_views: bool = False
    """The saved model averages over the eight symmetries of the square."""
    dropout: float = 0.0
    """Share of features left out while fitting."""
    class_weights: Literal["auto", "none"] = "none"
    """auto: both classes have as much to say where one is under a fifth."""
    augmentation: StampAugmentation = StampAugmentation()
    losses: LossSettings = LossSettings()
    training: Training


PUBLISHED_LOSSES = LossSettings(xi=1.0, epsilon=0.1, cap=6.0, weights="executed")
_RATES: dict[Literal["sgd", "adam", "adadelta"], float]
_RATES = {"adam": 2e-3, "sgd": 5e-2, "adadelta": 1.0}
_SHAPES: dict[tuple[Network, Size], tuple[tuple[int, ...], int]] = {
    ("simple", "small"): ((32, 64), 0),
    ("simple", "full"): ((32, 64), 0),
    ("complex", "small"): ((12, 24, 40, 64), 1),
    ("complex", "full"): ((32, 64, 128, 256), 4),
    ("compact", "small"): ((24, 48, 64), 0),
    ("compact", "full"): ((32, 64, 128), 0),
    ("first", "small"): ((16, 32), 0),
    ("first", "full"): ((16, 32), 0),
}


def load_preset(network: Network, size: Size, profile: Profile) -> CandidatePreset:
    """Return the preset of a network, size and profile.

    Raises
    ------
    UnknownPresetError
        There is none: the compact and the first network are ours, so they have the profile ``fixed`` alone.
    """
    if (network, size) not in _SHAPES or (network in ("compact", "first") and profile != "fixed"):
        known = ", ".join(f"network={name} size={of_size}" for name, of_size in _SHAPES)
        raise UnknownPresetError(
            f"no preset network={network} size={size} profile={profile}; there are {known}, simple and complex with "
            "profile published, as-written or fixed, the others with fixed"
        )
    filters, feature_layers = _SHAPES[network, size]
    shape = {"network": network, "size": size, "profile": profile, "filters": filters, "feature_layers": feature_layers}
    return CandidatePreset(**shape, **(_fixed(network) if profile == "fixed" else _of_the_paper(network, profile)))  # type: ignore[arg-type]


def _of_the_paper(network: Network, profile: Profile) -> dict[str, object]:
    """Return the published recipe: min-max inside of the network, no augmentation, small steps, early stopping."""
    simple = network == "simple"
    return {
        "normalisation": "min-max",
        "inside": True,
        "optimizer": "adadelta" if simple else "sgd",
        "dropout": 0.3 if simple else 0.0,
        "losses": PUBLISHED_LOSSES
        if profile == "published"
        else PUBLISHED_LOSSES.model_copy(update={"weights": "written"}),
        "training": Training(
            learning_rate={"sgd": 1e-3, "adadelta": 1e-3, "adam": 1e-3},
            schedule="plateau",
            plateau_factor=1.0,
            epochs=1000,
            min_steps=0,
            batch_size=64 if simple else 256,
            stop_after=10,
        ),
    }


def _fixed(network: Network) -> dict[str, object]:
    """Return our recipe: S/N preserving normalisation, symmetries, Adam along a cosine."""
    return {
        "normalisation": "sky-mean" if network == "first" else "sky-asinh",
        "dropout": 0.3 if network == "simple" else 0.1,
        "class_weights": "auto",
        "augmentation": StampAugmentation(symmetries=True),
        "losses": LossSettings(cap=6.0),
        "training": Training(
            learning_rate=_RATES,
            schedule="cosine",
            epochs=12,
            min_steps=600,
            batch_size=64,
            stop_after=None,
            weight_decay=0.02,
            momentum=0.9,
            keep="best",
        ),
    }
