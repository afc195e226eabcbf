"""Training methods of candidates: what each changes of a preset, and where the scalars of the stamp do not apply."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.candidates.methods import (
    OF_AUGMENTATION,
    OF_LOSSES,
    OF_PRESET,
    OF_TRAINING,
    CandidateMethods,
    apply_methods,
)
from tasks.candidates.presets import CandidatePreset, load_preset
from tasks.training.methods import MethodError

COMPLEX = load_preset("complex", "small", "fixed")
VALUES = {
    "schedule": "plateau",
    "weight_average": 0.5,
    "shift_px": 0.25,
    "noise": 0.125,
    "exchange_fainter": False,
    "average_views": True,
    "stamp_scalars": True,
    "partial_auc": 2.0,
    "partial_auc_trim": 0.03,
}
PLACES = {"training": OF_TRAINING, "augmentation": OF_AUGMENTATION, "losses": OF_LOSSES, "": OF_PRESET}


def flat(preset: CandidatePreset) -> dict[str, Any]:
    """Everything that a preset holds under dotted names."""
    values: dict[str, Any] = {}
    for name, value in preset.model_dump(mode="json").items():
        values |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
    return values


def test_every_method_has_a_place_and_a_value_here() -> None:
    assert set(VALUES) == set(CandidateMethods.model_fields) == {name for names in PLACES.values() for name in names}


@pytest.mark.parametrize("name", VALUES)
def test_a_method_changes_its_own_entry_of_the_preset_alone(name: str) -> None:
    before, after = flat(COMPLEX), flat(apply_methods(COMPLEX, CandidateMethods(**{name: VALUES[name]})))
    section = next(section for section, names in PLACES.items() if name in names)
    assert {key for key in before if before[key] != after[key]} == {f"{section}.{name}".lstrip(".")}
    assert after[f"{section}.{name}".lstrip(".")] == VALUES[name]


def test_methods_that_are_off_change_nothing() -> None:
    off = {"weight_average": 0, "shift_px": 0, "noise": 0, "average_views": False, "stamp_scalars": False}
    assert apply_methods(COMPLEX, CandidateMethods()) == apply_methods(COMPLEX, CandidateMethods(**off)) == COMPLEX


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_averages": 0.9}, "unknown method 'weight_averages'; there are: schedule, weight_average"),
        ({"weight_average": 1.0}, "weight_average\n.*less than 1"),
        ({"shift_px": 1.0}, "shift_px\n.*less than 1"),
        ({"partial_auc": -0.1}, "partial_auc\n.*greater than or equal to 0"),
        ({"partial_auc_trim": 0.05}, "partial_auc_trim\n.*less than 0.05"),
    ],
)
def test_unknown_names_and_impossible_values_are_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CandidateMethods.model_validate(given)


@pytest.mark.parametrize("normalisation", ["min-max", "l2", "standard-asinh", "asinh-min-max"])
def test_scalars_need_views_that_keep_the_signal_to_noise(normalisation: str) -> None:
    preset = COMPLEX.model_copy(update={"normalisation": normalisation})
    with pytest.raises(MethodError, match=f"stamp_scalars: normalisation={normalisation} does not keep the S/N"):
        apply_methods(preset, CandidateMethods(stamp_scalars=True))
    assert apply_methods(preset, CandidateMethods(stamp_scalars=False)) == preset
