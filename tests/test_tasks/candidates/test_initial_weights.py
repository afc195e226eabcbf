"""Initial weights of candidates: a registered model of the same network, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.candidates.initial_weights import RANDOM_START, InitialWeights, WeightsError, find_weights
from tasks.candidates.presets import load_preset
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.runtime.workspace import Workspace
from tasks.tracking.model_registry import UnknownModelError
from tasks.training.train import train_model
from tests.small_candidates import SIDE, publish_candidates

NETWORK = {"network": "simple", "size": "small", "profile": "fixed"}
NORMALISATION = load_preset("simple", "small", "fixed").normalisation
SETTINGS = {**NETWORK, "normalisation": NORMALISATION}
COUNT = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a dataset and one model of network=simple."""
    workspace = Workspace(tmp_path_factory.mktemp("weights"))
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(COUNT)]
    parts = [("train", "train", "train", "validation", "test")[row // 4 % 5] for row in range(COUNT)]
    cells = [f"cell {row // 4}" for row in range(COUNT)]
    publish_candidates(workspace, "made", labels, cells, parts, columns={"parameters": ["{}"] * COUNT})
    train_model(open_candidate_training(workspace, request()))
    return workspace


def request(**changes: Any) -> CandidateTrainRequest:
    return CandidateTrainRequest(dataset="made", epochs=1, **{**NETWORK, **changes})


def test_the_network_starts_as_the_registered_model_left_it(trained: Workspace) -> None:
    from tasks.learning.models.saved_models import load_model

    training = open_candidate_training(trained, request(weights="realbogus@champion"))
    assert training.initial.source == "models:/realbogus/1", "an alias is recorded by its version"
    assert training.initial.folder is not None
    wanted = load_model(training.initial.folder)[0].get_layer("network").get_weights()
    for found, array in zip(training.fit_spec(training.part("train")).build("float32").weights, wanted, strict=True):
        np.testing.assert_array_equal(found.numpy(), array)
    assert training.description.card["weights"] == {"source": "models:/realbogus/1", "sha256": training.initial.sha256}
    assert training.identity() != open_candidate_training(trained, request()).identity()


def test_what_the_first_model_saw_is_seen_by_the_second(trained: Workspace) -> None:
    training = open_candidate_training(trained, request(weights="champion"))
    assert training.initial.folder is not None
    earlier = pq.read_table(training.initial.folder / TRAINING_SAMPLES_FILE)["id"].to_pylist()
    assert set(earlier) <= set(training.seen_samples()["id"].to_pylist())


@pytest.mark.parametrize(
    ("changes", "px", "message"),
    [
        ({"network": "complex"}, SIDE, "weights=models:/realbogus/1 has network=simple; this training has network=com"),
        ({"size": "full"}, SIDE, "has size=small; this training has size=full"),
        ({"normalisation": "l2"}, SIDE, f"has normalisation={NORMALISATION}; this training has normalisation=l2"),
        ({}, 29, f"has stamp_px={SIDE}; this training has stamp_px=29"),
    ],
)
def test_another_network_is_refused_by_name(trained: Workspace, changes: dict[str, str], px: int, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        find_weights(trained, "champion", SETTINGS | changes, px)


def test_an_unknown_model_is_refused_and_none_is_a_random_start(trained: Workspace) -> None:
    with pytest.raises(UnknownModelError, match="realbogus@best"):
        find_weights(trained, "realbogus@best", SETTINGS, SIDE)
    assert find_weights(trained, "none", SETTINGS, SIDE) is RANDOM_START


def test_a_damaged_model_is_refused(trained: Workspace, tmp_path: Path) -> None:
    whole = find_weights(trained, "champion", SETTINGS, SIDE)
    assert whole.folder is not None
    model = whole.folder / "model.keras"
    kept = model.read_bytes()
    model.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"weights=champion: .*sha256"):
        find_weights(trained, "champion", SETTINGS, SIDE)
    model.write_bytes(kept)


def test_a_random_start_changes_no_weight(trained: Workspace) -> None:
    from realbogus.models.networks import build_network

    network = build_network(load_preset("simple", "small", "fixed"), SIDE, precision="float32")
    before = [weight.copy() for weight in network.get_weights()]
    InitialWeights().load_into(network)
    for found, array in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, array)
