"""Presets of galaxies: what they hold, and names that do not exist."""

import pytest
from pydantic import ValidationError

from tasks.galaxies.presets import GalaxyPreset, load_preset
from tasks.learning.fit_settings import FitSettings, UnknownPresetError


@pytest.mark.parametrize(("name", "filters"), [("deck", (16, 32, 64, 128, 128)), ("tuned", (32, 64, 128, 192))])
def test_a_preset_holds_network_augmentation_and_fit(name: str, filters: tuple[int, ...]) -> None:
    preset = load_preset("cnn", name)
    assert preset.filters == filters
    assert isinstance(preset.training, FitSettings)
    assert set(preset.training.learning_rate) == {"adam", "sgd"}
    assert preset.training.momentum == 0.9
    assert GalaxyPreset.model_validate(preset.model_dump()) == preset


def test_settings_are_frozen_and_take_no_unknown_field() -> None:
    preset = load_preset("cnn", "deck")
    with pytest.raises(ValidationError, match="frozen"):
        preset.training.epochs = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        FitSettings.model_validate(preset.training.model_dump() | {"patience": 3})


def test_an_unknown_preset_lists_those_that_exist() -> None:
    with pytest.raises(UnknownPresetError, match=r"no preset 'best' for network 'cnn'.*preset=tuned"):
        load_preset("cnn", "best")
