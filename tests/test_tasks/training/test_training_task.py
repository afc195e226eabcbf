"""What a training is called, what decides its result, and what its run and card record."""

import json
from typing import Any

import pytest

from tasks.galaxies.methods import TrainingMethods
from tasks.galaxies.training import GalaxyTraining, GalaxyTrainRequest, open_galaxy_training
from tasks.learning.fits.devices import Device
from tasks.learning.split_parts import PartError
from tasks.runtime.workspace import Workspace
from tasks.store.errors import StoreError
from tasks.training.methods import MethodError
from tasks.training.registered_models import registered_name
from tasks.training.training_run import fit_details, flatten_request, flatten_settings
from tasks.training.training_task import model_card, open_labelled, run_tags
from tests.small_galaxies import CLASSES, SCHEME, publish_galaxies

CPU = Device("cpu", ("/cpu:0",), "float32")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("galaxies"))
    publish_galaxies(workspace, "home", count=20)
    return workspace


def opened(home: Workspace, **parameters: Any) -> GalaxyTraining:
    return open_galaxy_training(home, GalaxyTrainRequest(dataset="home", **parameters))


def test_a_training_is_named_by_its_settings(home: Workspace) -> None:
    training = opened(home, preset="deck", optimizer="sgd", grey=True, seed=4)
    assert training.description.words == ["cnn", "deck", "sgd", "grey"]
    assert training.description.registered_name == f"galaxy-{SCHEME}"
    assert fit_details(training).name == f"{SCHEME} cnn deck sgd grey seed 4"
    assert opened(home).description.words == ["cnn", "tuned", "adam"]


def test_methods_stand_in_names_card_tags_and_parameters(home: Workspace) -> None:
    training = opened(home, preset="deck", methods=TrainingMethods(weight_average=0.9, mirror=True))
    assert training.preset.training.weight_average == 0.9
    label = "weight-average-0.9+mirror"
    assert training.description.words == ["cnn", "deck", "adam", label]
    given = {"weight_average": 0.9, "mirror": True}
    assert model_card(training)["methods"] == training.description.summary["methods"] == given
    assert run_tags(training, CPU)["preset"] == f"deck+{label}"
    recorded = flatten_request(training.request)
    assert {name: recorded[name] for name in recorded if name.startswith("methods")} == {
        "methods.weight_average": 0.9,
        "methods.mirror": True,
    }
    assert (recorded["preset"], "device" in recorded) == ("deck", False)
    with pytest.raises(MethodError, match="methods: head_epochs=3 is for loaded weights"):
        opened(home, methods=TrainingMethods(head_epochs=3))


def test_the_device_does_not_decide_the_result_and_all_else_does(home: Workspace) -> None:
    folder = opened(home).folder()
    assert folder.parent == home.root / "training"
    assert opened(home, device="cpu").folder() == folder
    for change in (
        {"seed": 1},
        {"preset": "deck"},
        {"optimizer": "sgd"},
        {"epochs": 3},
        {"batch_size": 8},
        {"grey": True},
        {"methods": TrainingMethods(balance="weights")},
    ):
        assert opened(home, **change).folder() != folder
    assert opened(home).folder(folds="0") != folder


def test_the_identity_names_dataset_split_and_settings(home: Workspace) -> None:
    training = opened(home)
    identity = training.identity(split_hash=None, more=1)
    assert (identity["dataset"], identity["dataset_digest"]) == ("home@1", training.dataset.digest)
    assert (identity["scheme"], identity["split_hash"], identity["more"]) == (SCHEME, None, 1)
    assert identity["settings"]["training"]["learning_rate"] == {"adam": 2e-3, "sgd": 5e-2}
    assert "device" not in identity
    json.dumps(identity)


def test_the_card_and_the_tags_hold_the_problems_own_entries(home: Workspace) -> None:
    training = opened(home, preset="deck", seed=2)
    card = model_card(training)
    assert (card["problem"], card["scheme"], card["classes"]) == ("galaxy", SCHEME, CLASSES)
    assert (card["scheme_digest"], card["preprocessing_version"]) == ("scheme digest", "galaxy-1")
    assert (card["network"], card["preset"], card["grey"], card["optimizer"], card["seed"]) == (
        "cnn",
        "deck",
        False,
        "adam",
        2,
    )
    assert (card["dataset"], card["dataset_version"]) == ("home", 1)
    tags = run_tags(training, CPU)
    assert (tags["preset"], tags["seed"], tags["device"], tags["pixels"]) == (
        "deck",
        "2",
        "cpu x1 (float32)",
        "simulated",
    )
    assert all(isinstance(value, str) for value in tags.values())


def test_settings_are_flattened_one_level_deep(home: Workspace) -> None:
    flat = flatten_settings(opened(home, preset="deck").preset)
    assert flat["preset.architecture"] == "deck"
    assert flat["preset.training.epochs"] == 30
    assert flat["preset.augmentation.rotation_deg"] == 40
    assert flat["preset.training.learning_rate"] == {"adam": 1e-3, "sgd": 2e-2}
    assert "preset.training" not in flat


@pytest.mark.parametrize(("problem", "name"), [("galaxy", "galaxy-deck-3"), ("realbogus", "realbogus")])
def test_galaxies_have_one_registered_name_a_scheme(problem: str, name: str) -> None:
    assert registered_name(problem, "deck-3") == name


def test_a_training_needs_a_labelled_dataset_of_its_problem(home: Workspace) -> None:
    assert open_labelled(home, "home", "galaxy", None)[1] == SCHEME
    assert open_labelled(home, "home", "galaxy", SCHEME)[1] == SCHEME
    with pytest.raises(PartError, match="is of problem 'galaxy', not realbogus"):
        open_labelled(home, "home", "realbogus", None)
    with pytest.raises(StoreError, match="is not labelled by scheme 'deck-3'"):
        open_labelled(home, "home", "galaxy", "deck-3")
