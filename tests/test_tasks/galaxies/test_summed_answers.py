"""A model of eleven classes evaluated under coarser schemes."""

import numpy as np
import pytest

from galaxy.labels.schemes import load_scheme
from galaxy.models import baselines
from tasks.galaxies.evaluation import evaluate_galaxies
from tasks.galaxies.summed_answers import SummedModel, answer_for_scheme, describe_sums
from tasks.learning import measures
from tasks.learning.split_parts import part_rows
from tasks.tracking.mlflow_runs import open_run
from tasks.training.evaluation_record import EvaluationError, EvaluationRequest
from tests.small_galaxies import card_of
from tests.small_schemes import ReadsColours, publish_schemes


@pytest.fixture(autouse=True)
def _small_effort(monkeypatch):
    monkeypatch.setattr(baselines, "FOREST_TREES", 10)
    monkeypatch.setattr("tasks.learning.predictions.BOOTSTRAPS", 20)


@pytest.fixture(scope="module")
def dataset(tracked_workspace):
    return publish_schemes(tracked_workspace, "eleven", wrong=0.2)


def request_of(workspace, dataset, scheme, trained_under="deck-11", **more):
    rules = load_scheme(trained_under)
    card = card_of(dataset, scheme=trained_under, scheme_digest=rules.digest, classes=list(rules.classes))
    return EvaluationRequest(workspace, dataset, ReadsColours(), card, "test", scheme, **more)


@pytest.mark.parametrize("scheme", ["deck-3", "deck-7"])
def test_answers_are_the_sums_of_calibrated_probabilities(tracked_workspace, dataset, scheme):
    summary = evaluate_galaxies(request_of(tracked_workspace, dataset, scheme))
    test = part_rows(dataset, scheme, "test")
    fine = ReadsColours().predict_on_batch(np.stack([dataset.pixels[int(row)] for row in test.rows]))
    eleven = measures.apply_temperature(fine, 2.0)
    whole = {"E0": "E", "E3": "E", "E7": "E"} if scheme == "deck-7" else None
    by_hand = np.zeros((len(test), len(dataset.classes(scheme))))
    for position, name in enumerate(load_scheme("deck-11").classes):
        coarse = whole.get(name, name) if whole else "E" if name[0] == "E" else "SB" if name[1] == "B" else "S"
        if coarse in dataset.classes(scheme):
            by_hand[:, dataset.classes(scheme).index(coarse)] += eleven[:, position]
    by_hand /= by_hand.sum(axis=1, keepdims=True)
    assert summary["count"] == len(test)
    assert summary["accuracy"] == np.mean(by_hand.argmax(axis=1) == test.labels)
    assert summary["nll"] == pytest.approx(measures.nll(by_hand, test.labels), rel=1e-4)
    assert (summary["summed_from"], summary["temperature"]) == ("deck-11", 1.0)
    assert list(summary["per_class_recall"]) == dataset.classes(scheme)


def test_seven_classes_have_no_bulgeless_rows(tracked_workspace, dataset):
    seven, three = (evaluate_galaxies(request_of(tracked_workspace, dataset, name)) for name in ("deck-7", "deck-3"))
    labelled = dataset.labels("deck-11")
    sd = set(labelled.filter(np.isin(labelled["label"].to_pylist(), ["Sd", "SBd"]))["id"].to_pylist())
    assert seven["count"] == three["count"] - len(sd & set(part_rows(dataset, "deck-3", "test").ids))


def test_page_tag_and_notes_say_what_was_summed(tracked_workspace, dataset):
    import mlflow

    options = {"problem": "galaxy", "run_name": "r", "params": {}, "tags": {}, "dataset": dataset}
    with open_run(tracked_workspace, **options) as run:
        summary = evaluate_galaxies(request_of(tracked_workspace, dataset, "deck-7", run=run))
    html = (tracked_workspace.reports / summary["report"]).read_text()
    assert "deck-7 summed from deck-11 on eleven, test part" in html
    assert any("Sd, SBd of deck-11 are left out" in note for note in summary["notes"])
    found = mlflow.MlflowClient(tracking_uri=tracked_workspace.mlflow_uri).get_run(run.id).data
    assert found.tags["summed_from"] == "deck-11"
    assert found.metrics["test_accuracy"] == summary["accuracy"]
    own = evaluate_galaxies(request_of(tracked_workspace, dataset, "deck-11"))
    assert own["report"] != summary["report"]
    assert own["summed_from"] is None


def test_a_model_without_a_mistake_is_recorded_too(tracked_workspace):
    """Its tables of mistakes have no row."""
    easy = publish_schemes(tracked_workspace, "easy")
    options = {"problem": "galaxy", "run_name": "r", "params": {}, "tags": {}, "dataset": easy}
    with open_run(tracked_workspace, **options) as run:
        assert evaluate_galaxies(request_of(tracked_workspace, easy, "deck-11", run=run))["accuracy"] == 1


def test_baselines_are_of_the_evaluated_scheme(tracked_workspace, dataset):
    train, test = (part_rows(dataset, "deck-3", part).labels for part in ("train", "test"))
    summary = evaluate_galaxies(request_of(tracked_workspace, dataset, "deck-3"))
    assert summary["baselines"]["majority class"] == np.mean(test == np.bincount(train).argmax())


def test_a_model_without_labels_of_the_scheme_says_that_it_has_no_baselines(tracked_workspace, dataset):
    other = publish_schemes(tracked_workspace, "only-eleven", schemes=["deck-11"], seed=4)
    request = request_of(tracked_workspace, dataset, "deck-3")
    card = {**request.card, "dataset": other.name, "dataset_digest": other.digest}
    summary = evaluate_galaxies(EvaluationRequest(tracked_workspace, dataset, ReadsColours(), card, "all", "deck-3"))
    assert summary["baselines"] == {}
    assert "No fitted baselines: only-eleven@1 has no labels of scheme deck-3." in summary["notes"]


def test_a_coarse_model_has_no_answer_for_a_finer_scheme(tracked_workspace, dataset):
    with pytest.raises(EvaluationError, match=r"scheme deck-3 has no answer for deck-11: class 'E' of scheme deck-3"):
        evaluate_galaxies(request_of(tracked_workspace, dataset, "deck-11", trained_under="deck-3"))


def test_schemes_of_other_rules_under_a_shipped_name_are_not_summed(tracked_workspace, dataset):
    request = request_of(tracked_workspace, dataset, "deck-3")
    card = {**request.card, "scheme_digest": "0" * 64}
    with pytest.raises(EvaluationError, match="under 'deck-3', the classes"):
        evaluate_galaxies(EvaluationRequest(tracked_workspace, dataset, ReadsColours(), card, "test", "deck-3"))


def test_the_temperature_applies_before_the_sum(tracked_workspace, dataset):
    summed, sums = answer_for_scheme(request_of(tracked_workspace, dataset, "deck-3"))
    assert isinstance(summed.model, SummedModel)
    assert sums is not None
    images = np.stack([dataset.pixels[row] for row in range(11)])
    fine = ReadsColours().predict_on_batch(images)
    before = measures.apply_temperature(fine, 2.0)
    assert summed.model.predict_on_batch(images)[:, 0] == pytest.approx(before[:, :3].sum(axis=1), rel=1e-5)
    assert describe_sums(sums)[0].endswith("E of E0, E3, E7; S of Sa, Sb, Sc, Sd; SB of SBa, SBb, SBc, SBd.")
