"""Presets of candidates: what each profile is, and combinations that do not exist."""

import pytest

from tasks.candidates.presets import CandidatePreset, load_preset
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
    assert preset.normalisation == ("sky-mean" if network == "first" else "sky-asinh")
    assert CandidatePreset.model_validate(preset.model_dump()) == preset


@pytest.mark.parametrize("network", ["compact", "first"])
def test_our_own_networks_have_no_profile_of_the_paper(network: str) -> None:
    with pytest.raises(UnknownPresetError, match=f"network={network} size=small profile=published"):
        load_preset(network, "small", "published")  # type: ignore[arg-type]
