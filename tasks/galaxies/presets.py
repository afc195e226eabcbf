"""Galaxy presets: a network, its augmentation and its fit settings under one name.

The deck gives Xception and ViT their kind, the nodes of their dense layer, their optimiser, rotation to 40 degrees,
shifts to 0.2 and early stopping, and starts from ImageNet (``weights=imagenet``). It gives no input size, rate, batch
size or patience: those are ours, and the docstrings say why. ``tuned`` sees the inner half of the frame and takes every
symmetry of the sky, as the tuned CNN does.

Times are for 2 cores with bfloat16 in hardware, scores for `gz1-majority-2class` on the 4,212 labelled galaxies of
the real test set (raw majority votes), pooled over 5 folds, with Wilson's interval.
"""

from collections.abc import Callable
from typing import Any

from galaxy.models.augmentation import ImageAugmentation
from galaxy.models.network_settings import (
    Backbone,
    EfficientNetLite0Settings,
    GalaxyNetworkSettings,
    GoogLeNetSettings,
    VitSettings,
    XceptionSettings,
)
from tasks.galaxies.choices import NetworkName, OptimizerName, PresetName
from tasks.learning.fits.fit_settings import FitSettings, MixedPrecision, Optimizer, UnknownPresetError

FINE_TUNED_EPOCHS, HEAD_EPOCHS = 15, 2
"""Epochs of all layers, and of the head alone before them, in the tuned presets for loaded weights."""


class GalaxyPreset(GalaxyNetworkSettings):
    """One way to train a galaxy classifier."""

    optimizer: OptimizerName = "adam"
    """Used unless the request names another."""
    augmentation: ImageAugmentation
    training: FitSettings
    soft_labels: bool = False
    """Targets are the volunteers' vote fractions, see `tasks.galaxies.soft_labels`."""


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
        training=FitSettings(
            learning_rate={"adam": 1e-3, "sgd": 2e-2},
            schedule="plateau",
            epochs=30,
            min_steps=500,
            batch_size=64,
            stop_after=8,
            momentum=0.9,
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
        training=FitSettings(
            learning_rate={"adam": 2e-3, "sgd": 5e-2},
            schedule="cosine",
            epochs=30,
            min_steps=250,
            batch_size=64,
            stop_after=None,
            momentum=0.9,
            weight_decay=0.05,
            label_smoothing=0.05,
            keep="last",
        ),
    )


def deck_xception() -> GalaxyPreset:
    """Return the deck's Xception: Dense 128 and the output, SGD, all layers fitted.

    ``starloom run train-galaxy -p network=xception -p preset=deck -p weights=imagenet``. The input is 128 px, the size
    of the deck's images: resizing them to the published 299 would only take 5 times as long. Rate 0.01 with momentum
    0.9 is the usual one of fine-tuning, a fifth of a random start's.
    """
    return _deck_recipe(XceptionSettings(input_px=128, dense=128), "sgd", {"sgd": 1e-2, "adam": 1e-4})


def tuned_xception() -> GalaxyPreset:
    """Return Xception on the inner half, its output on the features, with the loaded weights' normalisation.

    ``starloom run train-galaxy -p network=xception -p weights=imagenet``. AdamW at 2e-4 with a cosine over 15 epochs,
    after 2 of the head alone; each of the 14 blocks has 0.75 of the rate of the next. From a random start it is
    `for_random_start`.
    """
    return _fine_tuned(XceptionSettings(input_px=128, frozen_normalisation=True), {"adam": 2e-4, "sgd": 1e-2}, 0.75)


def deck_vit() -> GalaxyPreset:
    """Return the deck's Vision Transformer: Dense 32 with normalisation before and after it, Adam, all layers fitted.

    ``starloom run train-galaxy -p network=vit -p preset=deck -p weights=imagenet``. ViT-B/16 at 224 px, the size of its
    published positions. The normalisation is by batch: layer normalisation already precedes the head. Rate 1e-4 keeps
    near the loaded weights, where the CNN's 1e-3 would leave them within an epoch.
    """
    return _deck_recipe(VitSettings(input_px=224, dense=32, dense_normalised=True), "adam", {"adam": 1e-4, "sgd": 1e-2})


def tuned_vit() -> GalaxyPreset:
    """Return ViT-B/16 on the inner half at 128 px, its output on the class token.

    ``starloom run train-galaxy -p network=vit -p weights=imagenet``. 64 patches instead of 196 take a third of the
    time; positions are interpolated. Rate 5e-5 with a cosine over 15 epochs, after 2 of the head alone; each of the 12
    blocks has 0.75 of the rate of the next.
    """
    return _fine_tuned(VitSettings(input_px=128), {"adam": 5e-5, "sgd": 5e-3}, 0.75)


def deck_xception_small() -> GalaxyPreset:
    """Return the deck's Xception recipe on a quarter of its filters and two middle blocks, for two cores.

    ``starloom run train-galaxy -p network=xception-small -p preset=deck``. There are no published weights: the rate is
    that of a random start.
    """
    return _deck_recipe(_small_xception(dense=128), "sgd", {"sgd": 5e-2, "adam": 1e-3})


def tuned_xception_small() -> GalaxyPreset:
    """Return the small Xception on the inner half: 0.73 M parameters, 30 epochs.

    ``starloom run train-galaxy -p network=xception-small``.
    """
    return _tuned_recipe(_small_xception(), {"adam": 2e-3, "sgd": 5e-2}, epochs=30)


def deck_vit_small() -> GalaxyPreset:
    """Return the deck's ViT recipe on a transformer of 6 blocks of width 128 with patches of 8 px, for two cores.

    ``starloom run train-galaxy -p network=vit-small -p preset=deck``. There are no published weights: the rate is that
    of a random start.
    """
    return _deck_recipe(_small_vit(dense=32, dense_normalised=True), "adam", {"adam": 5e-4, "sgd": 2e-2})


def tuned_vit_small() -> GalaxyPreset:
    """Return the small ViT on the inner half: 1.2 M parameters; 40 epochs, as a transformer learns its symmetries late.

    ``starloom run train-galaxy -p network=vit-small``.
    """
    return _tuned_recipe(_small_vit(), {"adam": 1e-3, "sgd": 2e-2}, epochs=40)


def deck_googlenet() -> GalaxyPreset:
    """Return Barchi's kind of network as the deck tells of it: GoogLeNet, 30 epochs.

    ``starloom run train-galaxy -p network=googlenet -p preset=deck``. Input 224 px, SGD and dropout 0.4 are those of
    the network's own paper. The deck tells of no augmentation and no early stopping there: none is used, and the epoch
    of the lowest validation loss is kept.
    """
    preset = _deck_recipe(GoogLeNetSettings(input_px=224), "sgd", {"sgd": 1e-2, "adam": 5e-4}, dropout=0.4)
    training = preset.training.model_copy(update={"stop_after": None, "min_steps": 0})
    return preset.model_copy(update={"augmentation": ImageAugmentation(), "training": training})


def tuned_googlenet() -> GalaxyPreset:
    """Return GoogLeNet on the inner half at 128 px, from a random start, 30 epochs.

    ``starloom run train-galaxy -p network=googlenet``.
    """
    return _tuned_recipe(GoogLeNetSettings(input_px=128), {"adam": 1e-3, "sgd": 2e-2}, epochs=30)


def deck_efficientnet_lite0() -> GalaxyPreset:
    """Return the deck's Xception recipe on EfficientNet-Lite0, which the deck does not have.

    ``starloom run train-galaxy -p network=efficientnet-lite0 -p preset=deck -p weights=imagenet``.
    """
    return _deck_recipe(EfficientNetLite0Settings(input_px=128, dense=128), "sgd", {"sgd": 1e-2, "adam": 2e-4})


def tuned_efficientnet_lite0() -> GalaxyPreset:
    """Return EfficientNet-Lite0 on the inner half at 160 px, with the loaded weights' normalisation.

    ``starloom run train-galaxy -p network=efficientnet-lite0 -p weights=imagenet``. The head alone for 2 epochs at
    1e-3, then all by AdamW at 2e-4 with a cosine over 15 epochs; each of the 9 groups of blocks has 0.7 of the rate of
    the next. Batch normalisation in inference mode keeps the statistics of a million images.
    """
    return _fine_tuned(
        EfficientNetLite0Settings(input_px=160, frozen_normalisation=True), {"adam": 2e-4, "sgd": 1e-2}, 0.7
    )


def _small_xception(**head: Any) -> XceptionSettings:
    return XceptionSettings(input_px=96, width=0.25, middle_blocks=2, **head)


def _small_vit(**head: Any) -> VitSettings:
    return VitSettings(input_px=64, patch_px=8, width=128, depth=6, heads=4, **head)


def _deck_recipe(
    backbone: Backbone, optimizer: OptimizerName, rates: dict[Optimizer, float], dropout: float = 0.0
) -> GalaxyPreset:
    """Return the deck's training of a backbone: whole frames, its views, rate lowered on a plateau, early stopping."""
    return GalaxyPreset(
        architecture="backbone",
        backbone=backbone,
        view_fraction=1.0,
        average_views=False,
        dropout=dropout,
        optimizer=optimizer,
        augmentation=ImageAugmentation(rotation_deg=40, shift=0.2),
        training=FitSettings(
            learning_rate=rates,
            schedule="plateau",
            epochs=30,
            min_steps=250,
            batch_size=32,
            stop_after=8,
            momentum=0.9,
            mixed_precision=_mixed_precision(backbone),
        ),
    )


def _tuned_recipe(backbone: Backbone, rates: dict[Optimizer, float], epochs: int = 15) -> GalaxyPreset:
    """Return a training on the inner half, turned and mirrored every way, with AdamW and a cosine."""
    return GalaxyPreset(
        architecture="backbone",
        backbone=backbone,
        view_fraction=0.5,
        average_views=True,
        dropout=0.2,
        augmentation=ImageAugmentation(rotation_deg=180, shift=0.03, zoom=0.1, mirror=True),
        training=FitSettings(
            learning_rate=rates,
            schedule="cosine",
            epochs=epochs,
            min_steps=250,
            batch_size=32,
            stop_after=None,
            momentum=0.9,
            weight_decay=0.02,
            label_smoothing=0.05,
            mixed_precision=_mixed_precision(backbone),
            keep="last",
        ),
    )


def _mixed_precision(backbone: Backbone) -> MixedPrecision:
    """Return where bfloat16 gains: on processors the depthwise convolutions of Lite0 take twice as long in it."""
    return "gpu" if backbone.kind == "efficientnet-lite0" else "any"


def _fine_tuned(backbone: Backbone, rates: dict[Optimizer, float], layer_decay: float) -> GalaxyPreset:
    """Return the tuned training for loaded weights: head first, earlier blocks slower, weights averaged."""
    preset = _tuned_recipe(backbone, rates, epochs=FINE_TUNED_EPOCHS + HEAD_EPOCHS)
    changes = {"weight_average": 0.998, "layer_decay": layer_decay, "head_epochs": HEAD_EPOCHS}
    return preset.model_copy(update={"training": preset.training.model_copy(update=changes)})


_PRESETS: dict[tuple[NetworkName, PresetName], Callable[[], GalaxyPreset]] = {
    ("cnn", "deck"): deck,
    ("cnn", "tuned"): tuned,
    ("xception", "deck"): deck_xception,
    ("xception", "tuned"): tuned_xception,
    ("vit", "deck"): deck_vit,
    ("vit", "tuned"): tuned_vit,
    ("xception-small", "deck"): deck_xception_small,
    ("xception-small", "tuned"): tuned_xception_small,
    ("vit-small", "deck"): deck_vit_small,
    ("vit-small", "tuned"): tuned_vit_small,
    ("googlenet", "deck"): deck_googlenet,
    ("googlenet", "tuned"): tuned_googlenet,
    ("efficientnet-lite0", "deck"): deck_efficientnet_lite0,
    ("efficientnet-lite0", "tuned"): tuned_efficientnet_lite0,
}


def load_preset(network: str, name: str) -> GalaxyPreset:
    """Return the preset `name` of `network`.

    Raises
    ------
    UnknownPresetError
        There is none; the message lists the existing ones.
    """
    for key, preset in _PRESETS.items():
        if key == (network, name):
            return preset()
    existing = ", ".join(f"network={network} preset={name}" for network, name in _PRESETS)
    raise UnknownPresetError(f"no preset {name!r} for network {network!r}; there are: {existing}")


def for_random_start(preset: GalaxyPreset) -> GalaxyPreset:
    """Return the preset without what keeps the knowledge of loaded weights.

    Normalisation is fitted, all blocks have one rate, and no epoch is of the head alone.
    """
    plain = {"layer_decay": 1.0, "head_epochs": 0, "epochs": preset.training.epochs - preset.training.head_epochs}
    preset = preset.model_copy(update={"training": preset.training.model_copy(update=plain)})
    if preset.backbone is None:
        return preset
    backbone = preset.backbone.model_copy(update={"frozen_normalisation": False})
    return preset.model_copy(update={"backbone": backbone})
