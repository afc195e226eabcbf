"""Single changes of a preset: each differs from it in one method, and every method that fits is changed."""

import pytest

from tasks.galaxies.methods import TrainingMethods, apply_methods
from tasks.galaxies.presets import load_preset
from tasks.studies.galaxies.ablation import ablation_arms, single_changes
from tasks.studies.galaxies.arms import ArmError, TrainingArm, parse_arms


@pytest.mark.parametrize(
    ("network", "preset", "loaded"),
    [("cnn", "deck", False), ("cnn", "tuned", True), ("efficientnet-lite0", "tuned", True), ("vit", "tuned", True)],
)
def test_every_change_is_one_and_changes_the_preset(network: str, preset: str, loaded: bool) -> None:
    plain = load_preset(network, preset)
    changes = single_changes(plain, has_weights=loaded, has_votes=True)
    changed = [apply_methods(plain, TrainingMethods(**change)) for change in changes.values()]
    assert all(len(change) == 1 for change in changes.values())
    assert plain not in changed
    assert len({one.model_dump_json() for one in changed}) == len(changes)
    methods = {name for change in changes.values() for name in change}
    of_loaded = {"layer_decay", "head_epochs", "normalisation"}
    missing = set(TrainingMethods.model_fields) - methods
    assert missing == (set() if network == "efficientnet-lite0" else {"normalisation"} if loaded else of_loaded)


def test_what_a_preset_has_is_switched_off_and_what_it_lacks_on() -> None:
    changes = single_changes(load_preset("cnn", "tuned"), has_weights=False, has_votes=False)
    assert changes["without rotation"] == {"rotation_deg": 0.0}
    assert changes["without average over symmetries"] == {"average_views": False}
    assert changes["with zoom"]["zoom"] > 0
    assert changes["plateau schedule"] == {"schedule": "plateau"}
    assert {"with class weights", "with balanced sampling"} < set(changes)
    assert not any("soft labels" in name for name in changes)


def test_arms_keep_the_methods_of_their_base() -> None:
    base = TrainingArm(name="base", methods=TrainingMethods(zoom=0.2))
    preset = apply_methods(load_preset("cnn", "tuned"), base.methods)
    arms = ablation_arms(base, preset, has_votes=False)
    assert arms["without zoom"].methods.given == {"zoom": 0.0}
    assert arms["without rotation"].methods.given == {"zoom": 0.2, "rotation_deg": 0.0}
    assert arms["without rotation"].name == "base without rotation"
    with pytest.raises(ArmError, match="fitting=head, which trains no network"):
        ablation_arms(parse_arms([{"fitting": "head"}])[0], preset, has_votes=False)
