"""Training methods: what each changes of a preset, what is refused, and what they are called."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.galaxies.methods import (
    OF_AUGMENTATION,
    OF_PRESET,
    OF_TRAINING,
    TrainingMethods,
    apply_methods,
    require_random_start,
)
from tasks.galaxies.presets import GalaxyPreset, load_preset
from tasks.training.methods import MOST_LABEL, MethodError

LITE = load_preset("efficientnet-lite0", "tuned")
VALUES = {
    "balance": "sampling",
    "label_smoothing": 0.25,
    "soft_labels": True,
    "schedule": "plateau",
    "weight_average": 0.5,
    "layer_decay": 0.25,
    "head_epochs": 5,
    "normalisation": "fitted",
    "mixed_precision": "none",
    "average_views": False,
    "rotation_deg": 7.0,
    "shift": 0.125,
    "zoom": 0.375,
    "mirror": False,
}


def flat(preset: GalaxyPreset) -> dict[str, Any]:
    """Everything that a preset holds under dotted names."""
    values: dict[str, Any] = {}
    for name, value in preset.model_dump(mode="json").items():
        values |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
    return values


def place(name: str) -> str:
    """Where a preset has a method."""
    if name == "normalisation":
        return "backbone.frozen_normalisation"
    return f"training.{name}" if name in OF_TRAINING else f"augmentation.{name}" if name in OF_AUGMENTATION else name


def test_every_method_has_a_place_and_a_value_here() -> None:
    assert (
        set(VALUES)
        == set(TrainingMethods.model_fields)
        == {*OF_TRAINING, *OF_AUGMENTATION, *OF_PRESET, "normalisation"}
    )


@pytest.mark.parametrize("name", VALUES)
def test_a_method_changes_its_own_entry_of_the_preset_alone(name: str) -> None:
    before, after = flat(LITE), flat(apply_methods(LITE, TrainingMethods(**{name: VALUES[name]})))
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {place(name)}
    assert after[place(name)] == (False if name == "normalisation" else VALUES[name])


def test_no_method_changes_nothing() -> None:
    assert apply_methods(LITE, TrainingMethods()) == LITE
    assert TrainingMethods().label == ""


def test_a_field_is_described_in_the_schema_that_forms_show() -> None:
    properties = TrainingMethods.model_json_schema()["properties"]
    assert all(entry.get("description") for entry in properties.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_averages": 0.9}, "unknown method 'weight_averages'; there are: balance, label_smoothing"),
        ({"weight_average": 1.0}, "weight_average\n.*less than 1"),
        ({"layer_decay": 0.0}, "layer_decay\n.*greater than 0"),
        ({"balance": "even"}, "balance\n.*'none', 'weights' or 'sampling'"),
        ({"head_epochs": -1}, "head_epochs"),
        ({"shift": 0.6}, "shift"),
    ],
)
def test_unknown_names_and_impossible_values_are_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainingMethods.model_validate(given)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"layer_decay": 0.7}, "layer_decay"),
        ({"head_epochs": 2}, "head_epochs"),
        ({"normalisation": "frozen"}, "normalis"),
    ],
)
def test_a_random_start_has_nothing_to_keep(given: dict[str, Any], name: str) -> None:
    with pytest.raises(MethodError, match=f"methods: {name}.*weights=none starts at random"):
        require_random_start(TrainingMethods(**given))
    require_random_start(TrainingMethods(layer_decay=1, head_epochs=0, normalisation="fitted", weight_average=0.9))


@pytest.mark.parametrize("network", ["cnn", "vit"])
def test_normalisation_is_of_a_body_that_has_it(network: str) -> None:
    with pytest.raises(MethodError, match=r"normalisation=frozen: .*no body with batch normalisation"):
        apply_methods(load_preset(network, "tuned"), TrainingMethods(normalisation="frozen"))


def test_different_methods_have_different_short_names() -> None:
    assert TrainingMethods(soft_labels=True, weight_average=0.998).label == "soft-labels+weight-average-0.998"
    assert TrainingMethods(mirror=False).label == "no-mirror"
    every = TrainingMethods(**VALUES)
    other = TrainingMethods(**VALUES | {"zoom": 0.25})
    assert every.label != other.label
    assert max(len(every.label), len(other.label)) <= MOST_LABEL
    assert every.label.startswith(f"{len(VALUES)}-methods-")
