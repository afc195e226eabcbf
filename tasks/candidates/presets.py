"""Candidate presets: a network, its augmentation, losses and fit settings under network, size and profile."""

import hashlib
import json
from typing import Any, Literal, get_args

from realbogus.models.augmentation import StampAugmentation
from realbogus.models.losses import LossSettings
from realbogus.models.network_settings import CandidateNetworkSettings, Network, Profile, Size
from tasks.candidates.choices import RobustLoss
from tasks.learning.fits.fit_settings import FitSettings, Optimizer, UnknownPresetError


class CandidatePreset(CandidateNetworkSettings):
    """One way to train a real/bogus classifier."""

    optimizer: Optimizer = "adam"
    """Used unless the request names another."""
    class_weights: Literal["auto", "none"] = "none"
    """``auto`` gives both classes the same total weight where one has less than a fifth of the samples."""
    augmentation: StampAugmentation = StampAugmentation()
    losses: LossSettings = LossSettings()
    fresh_reals: float = 1.0
    """Share of the reals that an epoch has, drawn anew for each; the rest of the reals is not in it."""
    training: FitSettings


ROBUST_LOSSES: dict[RobustLoss, dict[str, Any]] = {
    "gce": {"supervised": "gce"},
    "ce-eps-mae": {"supervised": "ce-eps-mae"},
    "nnpu": {"supervised": "nnpu"},
    "elr": {"elr": 3.0},
}
"""Changes of `LossSettings` by name of the loss."""
_WEIGHT_AVERAGE = 0.99
PUBLISHED_LOSSES = LossSettings(xi=1.0, epsilon=0.1, cap=6.0, weights="executed")
_RATES: dict[Optimizer, float] = {"adam": 2e-3, "sgd": 5e-2, "adadelta": 1.0}
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


def presets_digest() -> str:
    """Return the sha256 of all presets: what was trained by presets of another digest may be another recipe."""
    presets = [
        load_preset(network, size, profile).model_dump(mode="json")
        for network, size in _SHAPES
        for profile in get_args(Profile)
        if _exists(network, size, profile)
    ]
    return hashlib.sha256(json.dumps(presets, sort_keys=True).encode()).hexdigest()


def load_preset(network: Network, size: Size, profile: Profile) -> CandidatePreset:
    """Return the preset of a network, size and profile.

    Raises
    ------
    UnknownPresetError
        There is none: the compact and the first network are ours, so they have the profile ``fixed`` alone.
    """
    if not _exists(network, size, profile):
        existing = ", ".join(f"network={name} size={of_size}" for name, of_size in _SHAPES)
        raise UnknownPresetError(
            f"no preset network={network} size={size} profile={profile}; there are {existing}, simple and complex with "
            "profile published, as-written or fixed, the others with fixed"
        )
    filters, feature_layers = _SHAPES[network, size]
    shape: dict[str, Any] = {
        "network": network,
        "size": size,
        "profile": profile,
        "filters": filters,
        "feature_layers": feature_layers,
    }
    return CandidatePreset.model_validate(
        shape | (_fixed(network) if profile == "fixed" else _published(network, profile))
    )


def _exists(network: Network, size: Size, profile: Profile) -> bool:
    return (network, size) in _SHAPES and (network not in ("compact", "first") or profile == "fixed")


def with_robust_loss(preset: CandidatePreset, loss: RobustLoss) -> CandidatePreset:
    """Return the preset with a robust loss."""
    return preset.model_copy(update={"losses": preset.losses.model_copy(update=ROBUST_LOSSES[loss])})


def with_averaged_targets(preset: CandidatePreset) -> CandidatePreset:
    """Return the preset with an average of weights where its losses take their targets from one."""
    if preset.losses.mean_decay is None or preset.training.weight_average:
        return preset
    return preset.model_copy(
        update={"training": preset.training.model_copy(update={"weight_average": _WEIGHT_AVERAGE})}
    )


def _published(network: Network, profile: Profile) -> dict[str, Any]:
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
        "training": FitSettings(
            learning_rate={"sgd": 1e-3, "adadelta": 1e-3, "adam": 1e-3},
            schedule="plateau",
            plateau_factor=1.0,
            epochs=1000,
            min_steps=0,
            batch_size=64 if simple else 256,
            stop_after=10,
        ),
    }


def _fixed(network: Network) -> dict[str, Any]:
    """Return our recipe: planes that keep the S/N and planes that keep the level, sources that fade seen as ones that
    brighten, symmetries, Adam along a cosine.
    """
    return {
        "normalisation": "sky-mean" if network == "first" else "sky-asinh-l2",
        "exchange_fainter": True,
        "dropout": 0.3 if network == "simple" else 0.1,
        "class_weights": "auto",
        "augmentation": StampAugmentation(symmetries=True),
        "losses": LossSettings(cap=6.0),
        "training": FitSettings(
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
