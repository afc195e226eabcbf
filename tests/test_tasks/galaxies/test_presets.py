"""Presets of galaxies: what they hold, and names that do not exist."""

from typing import get_args

import pytest
from pydantic import ValidationError

from tasks.galaxies.choices import NetworkName, OptimizerName
from tasks.galaxies.presets import GalaxyPreset, for_random_start, load_preset
from tasks.learning.fits.fit_settings import FitSettings, UnknownPresetError


@pytest.mark.parametrize(("name", "filters"), [("deck", (16, 32, 64, 128, 128)), ("tuned", (32, 64, 128, 192))])
def test_a_preset_holds_network_augmentation_and_fit(name: str, filters: tuple[int, ...]) -> None:
    preset = load_preset("cnn", name)
    assert preset.filters == filters
    assert isinstance(preset.training, FitSettings)
    assert set(preset.training.learning_rate) == {"adam", "sgd"}
    assert preset.training.momentum == 0.9
    assert GalaxyPreset.model_validate(preset.model_dump()) == preset


NETWORKS = get_args(NetworkName)


@pytest.mark.parametrize("name", ["deck", "tuned"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_has_both_presets_with_a_rate_for_each_optimiser(network: str, name: str) -> None:
    preset = load_preset(network, name)
    assert preset.optimizer in preset.training.learning_rate
    assert set(preset.training.learning_rate) == set(get_args(OptimizerName))
    assert (preset.view_fraction, preset.average_views) == ((1.0, False) if name == "deck" else (0.5, True))
    assert GalaxyPreset.model_validate(preset.model_dump()) == preset


@pytest.mark.parametrize(("network", "dense", "optimizer"), [("xception", 128, "sgd"), ("vit", 32, "adam")])
def test_the_deck_s_transfer_networks_are_the_deck_s(network: str, dense: int, optimizer: str) -> None:
    preset = load_preset(network, "deck")
    assert preset.backbone is not None
    assert preset.backbone.dense == dense
    assert preset.backbone.dense_normalised == (network == "vit")
    assert not preset.backbone.frozen_normalisation
    assert preset.optimizer == optimizer
    assert (preset.augmentation.rotation_deg, preset.augmentation.shift) == (40, 0.2)
    assert preset.training.schedule == "plateau"
    assert preset.training.stop_after is not None


def test_googlenet_is_fitted_for_thirty_epochs() -> None:
    training = load_preset("googlenet", "deck").training
    assert (training.epochs, training.min_steps, training.stop_after) == (30, 0, None)


@pytest.mark.parametrize(("network", "layer_decay"), [("efficientnet-lite0", 0.7), ("xception", 0.75), ("vit", 0.75)])
def test_loaded_weights_are_kept_with_care_and_a_random_start_is_not(network: str, layer_decay: float) -> None:
    kept = load_preset(network, "tuned")
    training = kept.training
    assert (training.layer_decay, training.head_epochs, training.weight_average) == (layer_decay, 2, 0.998)
    assert training.epochs == 15 + 2
    free = for_random_start(kept)
    assert (free.training.layer_decay, free.training.head_epochs, free.training.epochs) == (1, 0, 15)
    assert free.training.weight_average == 0.998
    assert free.backbone is not None
    assert not free.backbone.frozen_normalisation
    same = free.model_copy(update={"backbone": kept.backbone, "training": training})
    assert same == kept


def test_a_random_start_changes_nothing_of_the_cnn() -> None:
    for name in ("deck", "tuned"):
        assert for_random_start(load_preset("cnn", name)) == load_preset("cnn", name)


def test_settings_are_frozen_and_take_no_unknown_field() -> None:
    preset = load_preset("cnn", "deck")
    with pytest.raises(ValidationError, match="frozen"):
        preset.training.epochs = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        FitSettings.model_validate(preset.training.model_dump() | {"patience": 3})


def test_an_unknown_preset_lists_those_that_exist() -> None:
    with pytest.raises(UnknownPresetError, match=r"no preset 'best' for network 'cnn'.*preset=tuned"):
        load_preset("cnn", "best")
