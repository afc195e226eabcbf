"""Evaluation end to end on a small dataset whose classes can be told by eye: a bright or a faint disc."""

import json
import math
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from galaxy.models import baselines
from tasks.galaxies.evaluation import evaluate_galaxies
from tasks.learning import measures
from tasks.learning.split_parts import part_rows
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE, read_training_samples, seen_before
from tasks.store.dataset import Dataset
from tasks.tracking.mlflow_runs import open_run
from tasks.training.evaluation_record import EvaluationError, EvaluationRequest
from tests.small_galaxies import CLASSES, SCHEME, SIZE, Threshold, card_of, publish_galaxies


def evaluated(workspace, dataset, model, card, part="test", **more):
    return evaluate_galaxies(EvaluationRequest(workspace, dataset, model, card, part, SCHEME, **more))


@pytest.fixture(autouse=True)
def _small_effort(monkeypatch):
    """Fewer trees and repeats: these tests ask whether figures are right, not how steady they are."""
    monkeypatch.setattr(baselines, "FOREST_TREES", 25)
    monkeypatch.setattr("tasks.learning.predictions.BOOTSTRAPS", 30)


@pytest.fixture(scope="module")
def home(tracked_workspace):
    """The dataset that the model was trained on."""
    return publish_galaxies(tracked_workspace, "home")


def test_summary_figures_follow_from_the_predictions(tracked_workspace, home):
    scores = Threshold().predict_on_batch(np.array([home.pixels[row] for row in range(200)]))
    test = part_rows(home, SCHEME, "test")
    mine, labels = scores[test.rows], test.labels
    summary = evaluated(tracked_workspace, home, Threshold(), card_of(home), "test")
    right = int(np.sum(mine.argmax(axis=1) == labels))
    assert summary["count"] == len(test) == 20
    assert summary["overlap_with_training"] == 0
    assert 10 < right < 20
    assert summary["accuracy"] == right / 20
    assert (summary["accuracy_low"], summary["accuracy_high"]) == measures.wilson(right, 20)
    assert summary["auc"] == measures.auc(mine[:, 1], labels == 1)
    assert summary["per_class_recall"] == {
        name: np.mean(mine[labels == at].argmax(axis=1) == at) for at, name in enumerate(CLASSES)
    }
    calibrated = measures.apply_temperature(mine, 2.0)
    assert summary["ece"] == measures.ece(calibrated, labels)
    assert summary["nll"] == pytest.approx(measures.nll(calibrated, labels))
    train = part_rows(home, SCHEME, "train").labels
    assert summary["baselines"]["majority class"] == np.mean(labels == np.bincount(train).argmax())
    assert json.loads(json.dumps(summary)) == summary


def test_baselines_are_in_the_table_and_a_forest_sees_the_brightness(tracked_workspace, home):
    rates = evaluated(tracked_workspace, home, Threshold(), card_of(home), "test")["baselines"]
    assert list(rates) == ["majority class", "forest on redshift", "forest on image scalars"]
    assert rates["forest on image scalars"] > rates["majority class"] + 0.2


def test_the_report_holds_all_in_one_file_and_says_where_figures_come_from(tracked_workspace, home):
    history = {f"{part}_{what}": [0.5, 0.4] for part in ("train", "validation") for what in ("loss", "accuracy")}
    card = card_of(home)
    summary = evaluated(tracked_workspace, home, Threshold(), card, "test", history=history, best_epoch=1)
    html = (tracked_workspace.reports / summary["report"]).read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    for heading in ("Models compared", "Calibration", "Accuracy against coverage", "Training", "Worst mistakes"):
        assert f">{heading}</h2>" in html
    headlines = re.findall(r'<div class="detail">(.*?)</div>', html, re.DOTALL)
    assert len(headlines) == 4
    assert all("simulated pixels, votes labels" in detail for detail in headlines)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html)
    assert all("simulated pixels, votes labels" in caption for caption in captions)
    assert home.digest in html
    assert home.manifest["split_hash"] in html


def test_numbers_tables_and_figures_go_to_mlflow(tracked_workspace, home):
    import mlflow

    options = {"problem": "galaxy", "run_name": "r", "params": {}, "tags": {}, "dataset": home}
    with open_run(tracked_workspace, **options) as run:
        summary = evaluated(tracked_workspace, home, Threshold(), card_of(home), "test", run=run)
    found = mlflow.MlflowClient(tracking_uri=tracked_workspace.mlflow_uri).get_run(run.id).data.metrics
    assert found["test_accuracy"] == summary["accuracy"]
    assert found["test_recall_bright"] == summary["per_class_recall"]["bright"]
    folder = tracked_workspace.mlartifacts / "galaxy" / run.id / "artifacts"
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert {
        "tables/test_models.csv",
        "tables/test_classes.csv",
        "predictions/test_predictions.parquet",
    } <= kept
    images = {path.name.partition("+step+0+")[0] for path in (folder / "images").iterdir()}
    assert {"test_confusion", "test_reliability", "test_roc", "test_worst_mistakes"} <= images
    predictions = pq.read_table(folder / "predictions" / "test_predictions.parquet").to_pylist()
    assert np.mean([row["label"] == row["predicted"] for row in predictions]) == summary["accuracy"]


@pytest.mark.parametrize("part", ["train", "validation"])
def test_nothing_is_left_of_what_the_model_was_trained_on(tracked_workspace, home, part):
    with pytest.raises(EvaluationError, match=f"part '{part}' of dataset 'home' were in the model's training"):
        evaluated(tracked_workspace, home, Threshold(), card_of(home), part)


def test_all_of_its_own_dataset_is_its_test_part(tracked_workspace, home):
    summary = evaluated(tracked_workspace, home, Threshold(), card_of(home), "all")
    assert (summary["count"], summary["overlap_with_training"]) == (20, 180)


@pytest.fixture(scope="module")
def away(tracked_workspace, home):
    """Another dataset, five samples of which the model has seen and three of which only look like it."""
    in_training, in_test = home.samples().slice(0, 1).to_pylist()[0], home.samples().slice(9, 1).to_pylist()[0]
    arcsec = 1 / 3600
    place = {"ra_deg": in_training["ra_deg"], "dec_deg": in_training["dec_deg"]}
    changed = {
        0: {"id": in_training["id"], "group": in_training["id"]},
        1: {"pixel_sha256": in_training["pixel_sha256"]},
        2: place | {"dec_deg": place["dec_deg"] + 1.9 * arcsec},
        3: {"id": "home-0008", "group": "home-0008"},  # validation part
        4: place | {"ra_deg": place["ra_deg"] + 1.5 * arcsec},
        5: place | {"dec_deg": place["dec_deg"] + 2.1 * arcsec},
        6: {"pixel_sha256": in_test["pixel_sha256"]},
        7: {"ra_deg": None, "dec_deg": None},
    }
    return publish_galaxies(tracked_workspace, "away", count=40, seed=3, changed=changed)


def test_seen_samples_of_another_dataset_are_left_out_and_counted(tracked_workspace, home, away):
    seen = seen_before(away.samples(), read_training_samples(home))
    assert sum(seen) == 5
    summary = evaluated(tracked_workspace, away, Threshold(), card_of(home), "all")
    assert (summary["count"], summary["overlap_with_training"]) == (35, 5)
    assert len(summary["baselines"]) == 3


def test_a_model_from_elsewhere_is_judged_without_baselines_and_says_so(tracked_workspace, home, away):
    card = card_of(home, dataset="gone")
    summary = evaluated(tracked_workspace, away, Threshold(), card, "all")
    assert (summary["count"], summary["overlap_with_training"]) == (40, None)
    assert summary["baselines"] == {}
    assert "gone@1" in " ".join(summary["notes"])
    members = read_training_samples(home)
    with_list = evaluated(tracked_workspace, away, Threshold(), card, "all", training_samples=members)
    assert with_list["overlap_with_training"] == 5
    other = card_of(home, dataset_digest="0" * 64)
    notes = evaluated(tracked_workspace, away, Threshold(), other, "all")["notes"]
    assert "is not the dataset the model was trained on" in notes[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": ["bright", "faint"]}, "the classes"),
        ({"input_shape": [32, 32, 3]}, r"images of shape \[16, 16, 3\], the model's is \[32, 32, 3\]"),
        ({"problem": "realbogus"}, "is of problem galaxy, the model's is realbogus"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tracked_workspace, home, change, says):
    with pytest.raises(EvaluationError, match=says):
        evaluated(tracked_workspace, home, Threshold(), card_of(home, **change), "test")


def test_the_deck_network_trained_on_the_same_dataset_joins_the_table(tracked_workspace, home):
    tags = {"preset": "deck", "scheme": SCHEME, "dataset_digest": home.digest}
    options = {"problem": "galaxy", "run_name": "deck", "params": {}, "tags": tags, "dataset": home}
    with open_run(tracked_workspace, **options) as run:
        run.log_metrics({"test_accuracy": 0.7, "test_accuracy_low": 0.48, "test_accuracy_high": 0.86})
    summary = evaluated(tracked_workspace, home, Threshold(), card_of(home), "test")
    assert summary["baselines"][f"deck network, run {run.id[:8]}"] == 0.7
    itself = evaluated(tracked_workspace, home, Threshold(), card_of(home, preset="deck"), "test")
    assert not any("deck" in name for name in itself["baselines"])
    with open_run(tracked_workspace, **options | {"params": {"network": "xception"}}) as newer:
        newer.log_metrics({"test_accuracy": 0.9, "test_accuracy_low": 0.7, "test_accuracy_high": 0.95})
    another = card_of(home, preset="deck", network="xception")
    baselines = evaluated(tracked_workspace, home, Threshold(), another, "test")["baselines"]
    assert [name for name in baselines if name.startswith("deck network")] == [f"deck network, run {run.id[:8]}"]


def test_a_class_without_samples_has_no_recall(tracked_workspace):
    three = publish_galaxies(tracked_workspace, "three", truth=[*CLASSES, "absent"])

    class Sure:
        def predict_on_batch(self, x):
            return np.tile(np.float32([0.8, 0.1, 0.1]), (len(x), 1))

    card = card_of(three, classes=[*CLASSES, "absent"])
    summary = evaluated(tracked_workspace, three, Sure(), card, "test")
    assert summary["per_class_recall"]["absent"] is None
    assert summary["per_class_recall"]["faint"] == 1
    assert "auc" not in summary
    assert not any(isinstance(value, float) and math.isnan(value) for value in summary.values())


# Keras turns its variables into arrays in a way that NumPy 2 will stop taking.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_registered_keras_model_is_judged_as_it_was_in_memory(tracked_workspace, home, tmp_path):
    import keras

    from tasks.learning.models.saved_models import save_model
    from tasks.stages.models.evaluate import evaluate
    from tasks.training.holdout import HoldoutRequest
    from tasks.training.registered_models import registered_name

    images = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    middle = keras.layers.Rescaling(1 / 128, offset=-0.5)(keras.layers.Cropping2D(6)(images))
    answers = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(middle))
    model = keras.Model(images, answers)
    folder = tmp_path / "model"
    card = save_model(model, folder, {k: v for k, v in card_of(home).items() if not k.startswith("input")})
    pq.write_table(read_training_samples(home), folder / TRAINING_SAMPLES_FILE)
    name = registered_name("galaxy", SCHEME)
    options = {"problem": "galaxy", "run_name": "r", "params": {}, "tags": {}, "dataset": home}
    with open_run(tracked_workspace, **options) as run:
        run.log_metrics({"train_loss": 1.0, "validation_loss": 1.0}, step=1)
        ref = run.log_model(model, folder, name, np.zeros((1, SIZE, SIZE, 3), np.uint8))
    in_memory = evaluated(tracked_workspace, home, model, card, "test")
    summary = evaluate.fn(tracked_workspace, HoldoutRequest(model="champion", dataset="home"))
    assert {key: summary[key] for key in ("model", "dataset", "scheme", "split")} == {
        "model": ref.uri,
        "dataset": "home@1",
        "scheme": SCHEME,
        "split": "test",
    }
    for key in ("accuracy", "macro_f1", "nll", "overlap_with_training"):
        assert summary[key] == pytest.approx(in_memory[key], rel=1e-5)
    assert ">Training</h2>" in (tracked_workspace.reports / summary["report"]).read_text()
    assert Dataset.open(tracked_workspace, "home").digest == home.digest
