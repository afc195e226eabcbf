"""Presets of candidates: what each profile is, and combinations that do not exist."""

import pytest

from tasks.candidates.presets import (
    ROBUST_LOSSES,
    CandidatePreset,
    load_preset,
    with_averaged_targets,
    with_robust_loss,
)
from tasks.learning.fits.fit_settings import UnknownPresetError


@pytest.mark.parametrize("network", ["simple", "complex"])
def test_profiles_of_the_paper_differ_in_the_losses_weights_alone(network: str) -> None:
    published, written = (load_preset(network, "full", profile) for profile in ("published", "as-written"))  # type: ignore[arg-type]
    assert (published.losses.weights, written.losses.weights) == ("executed", "written")
    same = {"profile": "published", "losses": published.losses}
    assert written.model_copy(update=same) == published
    assert (published.normalisation, published.inside) == ("min-max", True)
    assert published.training.momentum == 0.0
    assert published.training.stop_after == 10


@pytest.mark.parametrize("network", ["simple", "complex", "compact", "first"])
@pytest.mark.parametrize("size", ["small", "full"])
def test_every_network_has_a_fixed_profile(network: str, size: str) -> None:
    preset = load_preset(network, size, "fixed")  # type: ignore[arg-type]
    assert (preset.network, preset.size, preset.profile, preset.optimizer) == (network, size, "fixed", "adam")
    assert preset.training.learning_rate == {"adam": 2e-3, "sgd": 5e-2, "adadelta": 1.0}
    assert preset.training.momentum == 0.9
    assert preset.normalisation == ("sky-mean" if network == "first" else "sky-asinh-l2")
    assert CandidatePreset.model_validate(preset.model_dump()) == preset


@pytest.mark.parametrize("network", ["compact", "first"])
def test_our_own_networks_have_no_profile_of_the_paper(network: str) -> None:
    with pytest.raises(UnknownPresetError, match=f"network={network} size=small profile=published"):
        load_preset(network, "small", "published")  # type: ignore[arg-type]


def test_a_robust_loss_changes_the_losses_alone() -> None:
    preset = load_preset("simple", "small", "fixed")
    for name in ROBUST_LOSSES:
        changed = with_robust_loss(preset, name)
        assert changed.losses != preset.losses
        assert changed.model_copy(update={"losses": preset.losses}) == preset
        assert (changed.losses.elr > 0) == (name == "elr")
        assert changed.losses.supervised == ("ce" if name == "elr" else name)
        type(changed.losses).model_validate(changed.losses.model_dump())


def test_weights_are_averaged_where_the_losses_take_targets_from_them() -> None:
    preset = load_preset("simple", "small", "fixed")
    assert with_averaged_targets(preset) == preset
    consistent = preset.model_copy(
        update={"losses": preset.losses.model_copy(update={"lds": 1.0, "smoothness": "consistency"})}
    )
    for needs_targets in (consistent, with_robust_loss(preset, "elr")):
        averaged = with_averaged_targets(needs_targets)
        assert averaged.training.weight_average == 0.99
        assert averaged.model_copy(update={"training": preset.training}) == needs_targets
    own = preset.training.model_copy(update={"weight_average": 0.5})
    kept = with_averaged_targets(consistent.model_copy(update={"training": own}))
    assert kept.training.weight_average == 0.5, "an average that is there already serves"
