"""Presets: a network, how its images are moved about, and how it is fitted, fixed together under one name.

Times are for 2 cores with bfloat16 in hardware, scores for `gz1-majority-2class` on the 4,212 labelled galaxies of
the real test set (raw majority votes), pooled over 5 folds, with Wilson's interval.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from galaxy.models.augmentation import ImageAugmentation


class UnknownPresetError(LookupError):
    """No preset of that name for that network; the message names those there are."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Training(_Frozen):
    """How a network is fitted."""

    learning_rate: dict[Literal["sgd", "adam"], float]
    """The highest rate, for each optimiser."""
    schedule: Literal["plateau", "cosine"]
    """Lowered when the validation loss stalls, or from step to step along a cosine after one epoch of warming up."""
    epochs: int
    """Most passes over the training part."""
    min_steps: int
    """A small dataset is passed over more often, until the optimiser has made this many steps."""
    batch_size: int
    """Images a step."""
    stop_after: int | None
    """Epochs without a better validation loss after which fitting stops; None passes all epochs."""
    plateau_after: int = 3
    """Epochs without a better validation loss after which the rate is lowered (schedule plateau)."""
    plateau_factor: float = 0.3
    """What the rate is multiplied by then."""
    weight_decay: float = 0.0
    """Decoupled decay of kernels, per unit of rate."""
    label_smoothing: float = 0.0
    """Share of a label's weight spread over all classes."""
    momentum: float = 0.9
    """Momentum of SGD."""
    keep: Literal["best", "last"] = "best"
    """Which epoch's weights are kept: of the lowest validation loss, or of the last epoch."""


class GalaxyPreset(_Frozen):
    """One way to train a galaxy classifier."""

    architecture: Literal["deck", "residual"]
    """See `galaxy.models.networks`."""
    filters: tuple[int, ...]
    """Filters of each convolution stage."""
    view_fraction: float
    """Share of the frame's width that the network sees."""
    average_views: bool
    """The saved model averages over the eight symmetries of the square."""
    dropout: float = 0.0
    """Share of features left out while fitting."""
    augmentation: ImageAugmentation
    training: Training


def deck() -> GalaxyPreset:
    """Return the deck's network and recipe: five convolutions, Dense 256, rotation to 40 degrees, shifts to 0.2.

    ``starloom run train-galaxy -p dataset=gz1 -p preset=deck``: 30 epochs of some 8 s; accuracy 0.879 (0.868 to 0.888),
    AUC 0.944 with Adam. Filters, rates and patience, which the deck does not give, are ours.
    """
    return GalaxyPreset(
        architecture="deck",
        filters=(16, 32, 64, 128, 128),
        view_fraction=1.0,
        average_views=False,
        augmentation=ImageAugmentation(rotation_deg=40, shift=0.2),
        training=Training(
            learning_rate={"adam": 1e-3, "sgd": 2e-2},
            schedule="plateau",
            epochs=30,
            min_steps=500,
            batch_size=64,
            stop_after=8,
        ),
    )


def tuned() -> GalaxyPreset:
    """Return a compact residual network on the inner half of the frame, turned and mirrored every way.

    ``starloom run train-galaxy -p dataset=gz1 -p preset=tuned``: 30 epochs of some 7 s; accuracy 0.906 (0.897 to
    0.914), AUC 0.968 with Adam. On the 600 galaxies of the default simulated sky some 75 s.
    """
    return GalaxyPreset(
        architecture="residual",
        filters=(32, 64, 128, 192),
        view_fraction=0.5,
        average_views=True,
        augmentation=ImageAugmentation(rotation_deg=180, shift=0.03, mirror=True),
        training=Training(
            learning_rate={"adam": 2e-3, "sgd": 5e-2},
            schedule="cosine",
            epochs=30,
            min_steps=250,
            batch_size=64,
            stop_after=None,
            weight_decay=0.05,
            label_smoothing=0.05,
            keep="last",
        ),
    )


_PRESETS = {("cnn", "deck"): deck, ("cnn", "tuned"): tuned}


def load_preset(network: str, name: str) -> GalaxyPreset:
    """Return the preset `name` of `network`.

    Raises
    ------
    UnknownPresetError
        There is none; the message names those there are.
    """
    if (network, name) not in _PRESETS:
        known = ", ".join(f"network={network} preset={name}" for network, name in _PRESETS)
        raise UnknownPresetError(f"no preset {name!r} for network {network!r}; there are: {known}")
    return _PRESETS[network, name]()
