"""Where initial weights are found, what of them is kept, and that a fit starts from them or not at all."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest

from galaxy.models.networks import OUTPUT, build_model, build_network
from galaxy.models.weights.errors import WeightsError
from tasks.galaxies.initial_weights import (
    PUBLISHED,
    RANDOM_START,
    DownloadedWeights,
    InitialWeights,
    PackagedWeights,
    find_weights,
)
from tasks.galaxies.presets import load_preset
from tasks.galaxies.training import GalaxyTraining, GalaxyTrainRequest, open_galaxy_training
from tasks.learning.fits.seeding import seeded
from tasks.learning.models.saved_models import load_model, save_model
from tasks.learning.split_parts import PartError, SplitPart
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import sha256_of_file
from tasks.tracking.mlflow_runs import open_run
from tasks.tracking.model_registry import UnknownModelError, resolve_model
from tasks.training.cross_validate import require_unseen
from tasks.training.train import train_model
from tasks.training.training_task import model_card
from tests.small_galaxies import CLASSES, SIZE, card_of, publish_galaxies

SMALL, PRESET = "vit-small", "deck"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("weights"))
    publish_galaxies(workspace, "home", count=20)
    return workspace


def fitted(network: str, preset: str, classes: int, seed: int) -> tuple[keras.Model, keras.Model]:
    """A network with weights at random, and the model to save."""
    settings = load_preset(network, preset)
    with seeded(seed):
        made = build_network(settings, SIZE, classes, grey=False, precision="float32")
    return made, build_model(settings, SIZE, classes, grey=False, weights=made.get_weights())


@pytest.fixture(scope="module")
def saved(home: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved vit-small, deck preset, of the classes of `home`."""
    folder = tmp_path_factory.mktemp("saved")
    card = card_of(Dataset.open(home, "home"), network=SMALL, preset=PRESET)
    save_model(fitted(SMALL, PRESET, 2, 5)[1], folder, card)
    return folder


def start(training: GalaxyTraining) -> keras.Model:
    """The network with which a training's fit starts."""
    with seeded(0):
        return training.fit_spec(SplitPart([], np.array([]), np.array([]), [])).build("float32")


def opened(home: Workspace, **parameters: Any) -> GalaxyTraining:
    return open_galaxy_training(
        home, GalaxyTrainRequest(dataset="home", **{"network": SMALL, "preset": PRESET} | parameters)
    )


def test_a_random_start_is_said_and_changes_no_weight(home: Workspace) -> None:
    training = opened(home)
    assert training.initial == RANDOM_START
    assert model_card(training)["weights"] == {"source": "none"}
    assert training.description.tags["weights"] == "none"
    assert training.description.words == [SMALL, PRESET, "adam"]
    with seeded(0):
        plain = build_network(training.preset, SIZE, 2, grey=False, precision="float32")
    for found, wanted in zip(start(training).get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_saved_model_of_the_same_classes_is_kept_whole(home: Workspace, saved: Path) -> None:
    training = opened(home, weights=str(saved))
    assert training.initial.kept == "all"
    wanted = fitted(SMALL, PRESET, 2, 5)[0]
    for found, weight in zip(start(training).get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weight)
    record = model_card(training)["weights"]
    assert record == {
        "source": str(saved),
        "file": saved.name,
        "sha256": sha256_of_file(saved / "model.keras"),
        "loaded": "all",
        "samples": "unknown",  # no table of them lies beside the model
    }
    assert training.description.tags["weights_sha256"] == record["sha256"]
    assert opened(home, weights=str(saved / "model.keras")).initial == training.initial
    assert "/" not in training.description.words[-1]


@pytest.mark.parametrize(
    ("preset", "classes", "kept"),
    [
        (PRESET, ["faint", "bright", "odd"], "all but the output"),
        (PRESET, CLASSES[::-1], "all but the output"),
        ("tuned", CLASSES, "body"),
    ],
)
def test_what_is_kept_depends_on_classes_and_preset(
    home: Workspace, saved: Path, preset: str, classes: list[str], kept: str
) -> None:
    found = find_weights(home, str(saved), SMALL, preset, classes)
    assert found.kept == kept
    network = fitted(SMALL, preset, len(classes), 6)[0]
    fresh, source = network.get_layer(OUTPUT).get_weights(), fitted(SMALL, PRESET, 2, 5)[0]
    found.load_into(network, load_preset(SMALL, preset))
    np.testing.assert_array_equal(network.get_layer(OUTPUT).get_weights()[0], fresh[0])
    body = [layer for layer in network.layers if layer.weights and not layer.name.startswith(("head_", OUTPUT))]
    for layer in body:
        for ours, theirs in zip(layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_registered_model_is_named_by_its_version(home: Workspace, saved: Path) -> None:
    dataset = Dataset.open(home, "home")
    with open_run(home, problem="galaxy", run_name="r", params={}, tags={}, dataset=dataset) as run:
        run.log_model(fitted(SMALL, PRESET, 2, 5)[1], saved, "galaxy-bright-2", np.zeros((1, SIZE, SIZE, 3), np.uint8))
    training = opened(home, weights="models:/galaxy-bright-2@champion")
    assert training.initial.source == "models:/galaxy-bright-2/1"
    assert training.description.words[-1] == "from galaxy-bright-2-1"
    assert training.identity()["weights_sha256"] == sha256_of_file(saved / "model.keras")
    with pytest.raises(UnknownModelError, match=r"no model galaxy-bright-2, version 7"):
        opened(home, weights="models:/galaxy-bright-2/7")
    with pytest.raises(WeightsError, match=r"models:/galaxy-bright-2/1 is a galaxy model of network=vit-small; .*=cnn"):
        opened(home, weights="models:/galaxy-bright-2/1", network="cnn")


@pytest.mark.parametrize(
    ("network", "weights", "message"),
    [
        (
            "cnn",
            "imagenet",
            "no ImageNet weights are published for network=cnn, only for efficientnet-lite0, xception, vit",
        ),
        ("vit-small", "imagnet", "weights=imagnet: there is no file .*imagnet; give none, imagenet, a path"),
        ("vit-small", "/nowhere/vit.npz", "weights=/nowhere/vit.npz: there is no file"),
    ],
)
def test_weights_that_do_not_exist_are_named(home: Workspace, network: str, weights: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        opened(home, network=network, weights=weights)


def test_a_folder_without_a_whole_model_is_refused(home: Workspace, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights=.*model.json is missing"):
        opened(home, weights=str(tmp_path))
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes() + (b"0" if file.name == "model.keras" else b""))
    with pytest.raises(WeightsError, match="the file was changed"):
        opened(home, weights=str(tmp_path))


def test_a_file_for_another_network_stops_the_fit_before_it_starts(home: Workspace, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "vit.npz",
        **{"embedding/kernel": [0.0], "cls": np.zeros((1, 1, 8)), "Transformer/encoder_norm/scale": [1.0]},
    )
    path = str(tmp_path / "vit.npz")
    with pytest.raises(WeightsError, match=r"weights=vit.npz holds a Vision Transformer of depth 0 and width 8"):
        start(opened(home, weights=path))
    with pytest.raises(WeightsError, match=r"no published weights fit network=cnn"):
        InitialWeights("vit.npz", tmp_path / "vit.npz", "0").load_into(start(opened(home)), load_preset("cnn", "deck"))


def test_a_changed_file_of_weights_is_another_training(home: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    folders = []
    for value in (1.0, 2.0):
        np.savez(path, a=value)
        folders.append(opened(home, weights=str(path)).folder())
    assert folders[0] != folders[1]


def test_a_download_that_fails_names_the_local_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("tasks.http.client.MAX_ATTEMPTS", 1)
    weights = DownloadedWeights("w.h5", "http://127.0.0.1:9/w.h5", "models", hashlib.md5(b"published").hexdigest())
    with pytest.raises(WeightsError, match=r"http://127.0.0.1:9/w.h5 could not be downloaded .* path as weights=PATH"):
        weights.find()
    cached = tmp_path / "models" / "w.h5"
    cached.write_bytes(b"published")
    assert weights.find() == cached
    cached.write_bytes(b"half of it")
    with pytest.raises(WeightsError, match=r"w.h5 is not the published file, which has md5 .*: remove it"):
        weights.find()


def test_a_package_that_is_missing_or_changed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = PackagedWeights("some-weights", "some_weights_of_a_test", "w.pth", "0" * 64)
    with pytest.raises(
        WeightsError, match=r"package some-weights is not installed: .*'pretrained', or give the path of w.pth"
    ):
        weights.find()
    (tmp_path / "some_weights_of_a_test").mkdir()
    (tmp_path / "some_weights_of_a_test" / "__init__.py").write_text("raise SystemExit('imported')")
    (tmp_path / "some_weights_of_a_test" / "w.pth").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(WeightsError, match="published is 000"):
        weights.find()


def test_normalisation_is_frozen_only_with_loaded_weights(home: Workspace, tmp_path: Path) -> None:
    random = opened(home, network="efficientnet-lite0", preset="tuned")
    assert not random.preset.backbone.frozen_normalisation
    np.savez(tmp_path / "w.npz", a=1)
    loaded = opened(home, network="efficientnet-lite0", preset="tuned", weights=str(tmp_path / "w.npz"))
    assert loaded.preset.backbone.frozen_normalisation


def test_the_optimiser_is_the_preset_s_unless_one_is_named(home: Workspace) -> None:
    assert opened(home, network="xception-small").request.optimizer == "sgd"
    assert opened(home, network="xception-small", optimizer="adam").request.optimizer == "adam"
    assert opened(home, network="cnn").request.optimizer == "adam"


@pytest.mark.parametrize(("picture", "number"), [("chelsea", 285), ("coffee", 967), ("rocket", 657)])
def test_the_imagenet_weights_recognise_pictures(picture: str, number: int) -> None:
    """285 is Egyptian cat, 967 espresso, 657 missile."""
    from skimage import data

    from galaxy.models.weights.files import read_arrays

    image = getattr(data, picture)()
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    found = find_weights(Workspace(Path()), "imagenet", "efficientnet-lite0", "tuned", [])
    assert (found.source, found.kept) == ("imagenet", "body")
    assert isinstance(PUBLISHED["efficientnet-lite0"], PackagedWeights)
    settings = load_preset("efficientnet-lite0", "tuned")
    settings = settings.model_copy(
        update={"view_fraction": 1.0, "backbone": settings.backbone.model_copy(update={"input_px": 224})}  # type: ignore[union-attr]
    )
    network = build_network(settings, side, 1000, grey=False, precision="float32")
    found.load_into(network, settings)
    assert found.path is not None
    published = read_arrays(found.path)
    network.get_layer(OUTPUT).set_weights([published["_fc.weight"].T, published["_fc.bias"]])
    logits = network.predict_on_batch(image[None, top : top + side, left : left + side])
    assert int(logits.argmax()) == number


def test_the_run_the_card_and_the_summary_say_what_was_loaded(home: Workspace, saved: Path) -> None:
    import mlflow

    summary = train_model(opened(home, weights=str(saved), epochs=1, batch_size=8))
    assert summary["weights"] == str(saved)
    run = mlflow.MlflowClient(home.mlflow_uri).get_run(summary["run_id"])
    assert run.data.tags["weights"] == str(saved)
    assert run.data.tags["weights_loaded"] == "all"
    assert run.data.tags["weights_sha256"] == sha256_of_file(saved / "model.keras")
    _, card = load_model(resolve_model(home, summary["model_uri"], None).folder)
    assert card["weights"]["sha256"] == run.data.tags["weights_sha256"]
    assert card["weights"]["samples"] == "unknown"  # no table lies beside the saved model
    assert "weights" in Path(summary["report"]).read_text(encoding="utf-8")


def test_samples_of_the_earlier_model_count_as_seen(home: Workspace, saved: Path, tmp_path: Path) -> None:
    from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE, read_training_samples

    other = publish_galaxies(home, "other", count=20, seed=3)
    shutil.copytree(saved, tmp_path / "model")
    earlier = read_training_samples(other)
    pq.write_table(earlier, tmp_path / "model" / TRAINING_SAMPLES_FILE)
    from_other = opened(home, weights=str(tmp_path / "model"))
    own = read_training_samples(from_other.dataset)
    assert from_other.seen_samples()["id"].to_pylist() == [*own["id"].to_pylist(), *earlier["id"].to_pylist()]
    assert opened(home).seen_samples() == own
    pq.write_table(own, tmp_path / "model" / TRAINING_SAMPLES_FILE)
    assert from_other.seen_samples() == own  # each once, where both were fitted to the same
    pq.write_table(earlier, tmp_path / "model" / TRAINING_SAMPLES_FILE)
    require_unseen(from_other, from_other.part("all"))
    on_other = open_galaxy_training(home, from_other.request.model_copy(update={"dataset": "other"}))
    with pytest.raises(PartError, match=f"{len(earlier)} of the 20 samples were in the training or validation part"):
        require_unseen(on_other, on_other.part("all"))
