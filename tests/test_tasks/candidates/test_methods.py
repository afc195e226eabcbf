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
from tasks.candidates.presets import CandidatePreset, load_preset, with_robust_loss
from tasks.training.methods import MethodError

COMPLEX = load_preset("complex", "small", "fixed")
VALUES = {
    "fresh_reals": 0.25,
    "schedule": "plateau",
    "weight_average": 0.5,
    "shift_px": 0.25,
    "noise": 0.125,
    "exchange_fainter": False,
    "average_views": True,
    "stamp_scalars": True,
    "partial_auc": 2.0,
    "partial_auc_trim": 0.03,
    "distill_teachers": 4,
    "distill_weight": 0.5,
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
    off = {
        "fresh_reals": 1,
        "distill_teachers": 0,
        "weight_average": 0,
        "shift_px": 0,
        "noise": 0,
        "average_views": False,
        "stamp_scalars": False,
    }
    assert apply_methods(COMPLEX, CandidateMethods()) == apply_methods(COMPLEX, CandidateMethods(**off)) == COMPLEX


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"weight_averages": 0.9},
            "unknown method 'weight_averages'; there are: fresh_reals, schedule, weight_average",
        ),
        ({"weight_average": 1.0}, "weight_average\n.*less than 1"),
        ({"shift_px": 1.0}, "shift_px\n.*less than 1"),
        ({"partial_auc": -0.1}, "partial_auc\n.*greater than or equal to 0"),
        ({"partial_auc_trim": 0.05}, "partial_auc_trim\n.*less than 0.05"),
        ({"fresh_reals": 0}, "fresh_reals\n.*greater than 0"),
        ({"distill_weight": 1.1}, "distill_weight\n.*less than or equal to 1"),
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


@pytest.mark.parametrize(("name", "value"), [("fresh_reals", 0.5), ("distill_teachers", 3)])
def test_counts_of_hidden_reals_and_other_targets_or_epochs_do_not_go_together(name: str, value: float) -> None:
    preset = with_robust_loss(COMPLEX, "nnpu")
    with pytest.raises(MethodError, match=f"{name}={value}: with robust_loss=nnpu a target is the number of hidden"):
        apply_methods(preset, CandidateMethods.model_validate({name: value}))
    assert apply_methods(preset, CandidateMethods(distill_weight=0.5)).training.distill_weight == 0.5
