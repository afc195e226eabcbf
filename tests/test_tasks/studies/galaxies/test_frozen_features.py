"""Features of a network that is not fitted: the same for an image however it is turned, and computed once."""

from pathlib import Path

import numpy as np
import pytest

from tasks.galaxies.training import GalaxyTraining, GalaxyTrainRequest, open_galaxy_training
from tasks.learning.split_parts import ALL
from tasks.runtime.workspace import Workspace
from tasks.studies.galaxies import frozen_features as module
from tasks.studies.galaxies.frozen_features import features_digest, frozen_features
from tests.small_schemes import publish_schemes


@pytest.fixture
def training(workspace: Workspace) -> GalaxyTraining:
    publish_schemes(workspace, "eleven", count=66, side=32, schemes=("deck-3",))
    return open_galaxy_training(workspace, GalaxyTrainRequest(dataset="eleven", preset="tuned"))


def test_features_do_not_depend_on_the_orientation(training: GalaxyTraining) -> None:
    from galaxy.models.networks import build_feature_model, build_network

    network = build_network(training.preset, 32, 3, grey=False, precision="float32")
    model = build_feature_model(network, training.preset, 32)
    images = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), np.uint8)
    plain = module._mean(model, images, 8)
    assert plain.shape == (5, training.preset.filters[-1])
    for turned in (np.rot90(images, 1, (1, 2)), images[:, :, ::-1]):
        np.testing.assert_allclose(module._mean(model, turned, 8), plain, rtol=1e-4, atol=1e-5)
    rotated, mirrored = module._mean(model, np.rot90(images, 1, (1, 2)), 4), module._mean(model, images[:, ::-1], 4)
    np.testing.assert_allclose(rotated, module._mean(model, images, 4), rtol=1e-4, atol=1e-5)
    assert not np.allclose(mirrored, module._mean(model, images, 4), rtol=1e-3), "without the mirrored views"


def test_features_are_computed_once_for_a_network_and_its_weights(
    training: GalaxyTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = training.part(ALL)
    folder = tmp_path / "features"
    first = frozen_features(training, part, folder)
    assert first.shape[0] == len(part)
    [file] = folder.iterdir()
    assert features_digest(training) in file.name
    monkeypatch.setattr(module, "_compute", None)  # calling it would fail
    np.testing.assert_array_equal(frozen_features(training, part, folder), first)
    deck = open_galaxy_training(training.workspace, GalaxyTrainRequest(dataset="eleven", preset="deck"))
    assert features_digest(deck) != features_digest(training)
    seeded = open_galaxy_training(training.workspace, GalaxyTrainRequest(dataset="eleven", seed=5, epochs=3))
    assert features_digest(seeded) == features_digest(training)
