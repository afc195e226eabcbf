"""Single changes of a preset: every training method switched off where the preset has it, and on where it has not."""

from typing import TYPE_CHECKING, Any

from tasks.galaxies.initial_weights import NONE
from tasks.galaxies.methods import TrainingMethods
from tasks.studies.galaxies.arms import ArmError, TrainingArm

if TYPE_CHECKING:
    from tasks.galaxies.presets import GalaxyPreset

ROTATION_DEG, SHIFT, ZOOM = 180.0, 0.1, 0.1
SMOOTHING, AVERAGE_DECAY, LAYER_DECAY, HEAD_EPOCHS = 0.05, 0.998, 0.75, 2
"""What a method is switched on with."""


def ablation_arms(base: TrainingArm, preset: "GalaxyPreset", *, has_votes: bool) -> dict[str, TrainingArm]:
    """Return one arm for every single change of an arm's methods, by the change's name.

    Parameters
    ----------
    base : TrainingArm
    preset : GalaxyPreset
        Of the base arm, its own methods included.
    has_votes : bool
        Whether the dataset has the vote fractions that soft labels need.

    Raises
    ------
    ArmError
        The base arm fits no network.
    """
    if base.fitting == "head":
        raise ArmError(f"ablation={base.name!r} has fitting=head, which trains no network: give an arm that does")
    changes = single_changes(preset, has_weights=base.weights != NONE, has_votes=has_votes)
    return {name: _changed(base, name, change) for name, change in changes.items()}


def single_changes(preset: "GalaxyPreset", *, has_weights: bool, has_votes: bool) -> dict[str, dict[str, Any]]:
    """Return the single changes of a preset by name: fields of `TrainingMethods`.

    Methods for loaded weights are left out of a random start, soft labels where there are no votes.
    """
    fit, views = preset.training, preset.augmentation
    mixed = fit.mixed_precision == "any"
    changes: dict[str, dict[str, Any]] = {
        _switch("rotation", views.rotation_deg > 0): {"rotation_deg": 0.0 if views.rotation_deg else ROTATION_DEG},
        _switch("shift", views.shift > 0): {"shift": 0.0 if views.shift else SHIFT},
        _switch("zoom", views.zoom > 0): {"zoom": 0.0 if views.zoom else ZOOM},
        _switch("mirroring", views.mirror): {"mirror": not views.mirror},
        _switch("average over symmetries", preset.average_views): {"average_views": not preset.average_views},
        _switch("label smoothing", fit.label_smoothing > 0): {
            "label_smoothing": 0.0 if fit.label_smoothing else SMOOTHING
        },
        _switch("average of weights", fit.weight_average > 0): {
            "weight_average": 0.0 if fit.weight_average else AVERAGE_DECAY
        },
        f"{_other(fit.schedule)} schedule": {"schedule": _other(fit.schedule)},
        _switch("mixed precision", mixed): {"mixed_precision": "none" if mixed else "any"},
    }
    balances = [balance for balance in ("none", "weights", "sampling") if balance != fit.balance]
    changes |= {BALANCES[balance]: {"balance": balance} for balance in balances}
    if has_votes:
        changes[_switch("soft labels", preset.soft_labels)] = {"soft_labels": not preset.soft_labels}
    return changes | (_changes_of_loaded(preset) if has_weights else {})


BALANCES = {"none": "without balance of classes", "weights": "with class weights", "sampling": "with balanced sampling"}


def _changes_of_loaded(preset: "GalaxyPreset") -> dict[str, dict[str, Any]]:
    """Return the changes that keep or lose what loaded weights know."""
    fit, backbone = preset.training, preset.backbone
    decays, starts = fit.layer_decay < 1, fit.head_epochs > 0
    changes: dict[str, dict[str, Any]] = {
        _switch("layer-wise decay of the rate", decays): {"layer_decay": 1.0 if decays else LAYER_DECAY},
        _switch("epochs of the head alone", starts): {"head_epochs": 0 if starts else HEAD_EPOCHS},
    }
    if backbone is not None and backbone.kind != "vit":
        frozen = backbone.frozen_normalisation
        changes[_switch("frozen normalisation", frozen)] = {"normalisation": "fitted" if frozen else "frozen"}
    return changes


def _switch(name: str, is_on: bool) -> str:
    return f"{'without' if is_on else 'with'} {name}"


def _other(schedule: str) -> str:
    return "cosine" if schedule == "plateau" else "plateau"


def _changed(base: TrainingArm, name: str, change: dict[str, Any]) -> TrainingArm:
    methods = TrainingMethods(**base.methods.given | change)
    return base.model_copy(update={"name": f"{base.name} {name}", "methods": methods})
