"""A prediction from the registered model to its files; one that was killed goes on and ends the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from pydantic import ValidationError

from galaxy.models.preprocessing import PREPROCESSING_VERSION
from tasks.learning import measures
from tasks.learning.block_scoring import PartFiles
from tasks.learning.models.saved_models import save_model
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE, read_training_samples
from tasks.predictions import predict, prediction_sources
from tasks.predictions.predict import PredictionRequest, find_notes, predict_galaxies
from tasks.predictions.prediction_sources import DatasetImages, ImageBlock, PredictionError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tables.table_files import open_table
from tasks.tracking.mlflow_runs import open_run
from tasks.tracking.model_registry import UnknownModelError
from tests.image_bytes import encoded, noise
from tests.small_galaxies import CLASSES, SIZE, card_of, publish_galaxies

NAME, COUNT = "galaxy-predicted", 150


def brightness_model() -> keras.Model:
    """A model whose logit of bright is half of the mean of all values, less 15."""
    images = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1.0)(images))
    dense = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(images, dense(mean))
    dense.set_weights([np.array([[0, 1 / 6]] * 3, np.float32), np.array([0, -15], np.float32)])
    return model


@pytest.fixture(scope="module")
def home(tracked_workspace: Workspace) -> Dataset:
    return publish_galaxies(tracked_workspace, "predicted", count=COUNT)


@pytest.fixture(scope="module")
def model(tracked_workspace: Workspace, home: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("saved") / "model"
    card = card_of(
        home,
        training_range={"redshift": [0.03, 0.05]},
        crop_fraction=1.0,
        preprocessing_version=PREPROCESSING_VERSION,
    )
    save_model(brightness_model(), folder, card)
    pq.write_table(read_training_samples(home), folder / TRAINING_SAMPLES_FILE)
    options: dict[str, Any] = {"problem": "galaxy", "params": {}, "tags": {}, "dataset": None}
    with open_run(tracked_workspace, run_name=NAME, **options) as run:
        return run.log_model(brightness_model(), folder, NAME, np.zeros((1, SIZE, SIZE, 3), np.uint8)).uri


def test_a_dataset_is_classified_as_the_model_does_and_every_count_balances(
    tracked_workspace: Workspace, home: Dataset, model: str
) -> None:
    request = PredictionRequest(model=model, dataset="predicted", formats=["fits", "votable"])
    others = set((tracked_workspace.root / "scoring").glob("*/part-*"))
    summary = predict_galaxies(tracked_workspace, request)
    table = pq.read_table(summary["path"])
    means = np.asarray(home.pixels[:COUNT]).mean(axis=(1, 2, 3))
    raw = 1 / (1 + np.exp(-(means / 2 - 15)))
    expected = measures.apply_temperature(np.stack([1 - raw, raw], axis=1), 2.0)
    np.testing.assert_allclose(table["probability_bright"].to_numpy(), expected[:, 1], atol=1e-4)
    assert (summary["count"], summary["scored"], summary["not_scored"]) == (COUNT, COUNT, {})
    assert summary["classes"] == {name: table["class"].to_pylist().count(name) for name in CLASSES}
    assert min(summary["classes"].values()) > 0
    assert summary["in_training"] == COUNT * 9 // 10, "all but the test part"
    late = [row for row in home.samples().to_pylist() if (row["redshift"] or 0) > 0.05]
    assert summary["outside_training"] == {"redshift": len(late)}
    assert Path(summary["path"]) == tracked_workspace.scores / f"predicted-{NAME}-1.parquet"
    assert summary["images_per_second"] > 0
    assert set((tracked_workspace.root / "scoring").glob("*/part-*")) == others
    for path in map(Path, summary["files"][1:]):
        with open_table(path) as opened:
            assert list(opened.columns) == [name.lower() for name in table.column_names]
            assert opened.units["ra_deg"] == "deg"
    run = MlflowClient(tracking_uri=tracked_workspace.mlflow_uri).get_run(summary["run_id"])
    assert (run.data.metrics["count"], run.data.tags["model"]) == (COUNT, model)


def test_a_killed_prediction_goes_on_and_ends_the_same(
    tracked_workspace: Workspace, home: Dataset, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_sources, "block_rows", lambda _: 16)
    monkeypatch.setattr(predict, "PartFiles", lambda folder: PartFiles(folder, 2))
    request = PredictionRequest(model=model, dataset="predicted", name="whole")
    whole = pq.read_table(predict_galaxies(tracked_workspace, request)["path"])
    read: list[int] = []
    deaths = [7]
    original = DatasetImages.blocks

    def dying(self: DatasetImages, first: int = 0) -> Iterator[ImageBlock]:
        for number, block in enumerate(original(self, first), first):
            if number in deaths:
                raise KeyboardInterrupt
            read.append(number)
            yield block

    monkeypatch.setattr(DatasetImages, "blocks", dying)
    request = request.model_copy(update={"name": "resumed"})
    with pytest.raises(KeyboardInterrupt):
        predict_galaxies(tracked_workspace, request)
    assert not (tracked_workspace.scores / "resumed.parquet").exists()
    assert read == list(range(7))
    read.clear()
    deaths.clear()
    resumed = pq.read_table(predict_galaxies(tracked_workspace, request)["path"])
    assert read[0] in (2, 4, 6), "finished parts are not read again"
    assert resumed.equals(whole)


def test_files_are_classified_with_their_size_judged(tracked_workspace: Workspace, model: str, tmp_path: Path) -> None:
    for name, image in (("dark", noise((40, 40, 3), high=20)), ("light", noise((40, 40, 3), high=200))):
        (tmp_path / f"{name}.png").write_bytes(encoded(image))
    (tmp_path / "no.png").write_bytes(b"")
    summary = predict_galaxies(tracked_workspace, PredictionRequest(model=model, images=str(tmp_path), name="files"))
    rows = pq.read_table(summary["path"]).to_pylist()
    assert [(row["id"], row["class"], row["not_scored"]) for row in rows] == [
        ("dark", "faint", None),
        ("light", "bright", None),
        ("no", None, "empty"),
    ]
    assert (summary["count"], summary["not_scored"], summary["pixels"]) == (3, {"empty": 1}, None)


def test_what_cannot_be_predicted_is_named(tracked_workspace: Workspace, model: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="dataset=a and images=b are given: choose one"):
        PredictionRequest(dataset="a", images="b")
    with pytest.raises(PredictionError, match="does not exist"):
        predict_galaxies(tracked_workspace, PredictionRequest(model=model, images=str(tmp_path / "x")))
    with pytest.raises(UnknownModelError, match="champion"):
        predict_galaxies(tracked_workspace, PredictionRequest(images=str(tmp_path)))


def test_unknown_and_other_training_images_are_noted(home: Dataset) -> None:
    assert "no training_range" in find_notes(home, None, None)[0]
    assert len(find_notes(None, None, None)) == 2
    assert "at another scale" in find_notes(home, {}, 0.5)[0]
    assert find_notes(home, {}, 1.0) == find_notes(None, {}, 0.5) == []
