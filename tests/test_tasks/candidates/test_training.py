"""A training of candidates: detectors, losses and relabellings of a request, weights of rare classes, its names."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.candidates.training import (
    CandidateTraining,
    CandidateTrainRequest,
    class_weights,
    detectors_of,
    open_candidate_training,
)
from tasks.learning.calibration import Calibration
from tasks.learning.fits.fresh_subsets import FreshSubset
from tasks.learning.models.saved_models import load_model
from tasks.learning.split_parts import UNLABELLED, PartError
from tasks.runtime.workspace import Workspace
from tasks.store.sampling import hash_share
from tasks.tracking.model_registry import resolve_model
from tasks.training.train import train_model
from tests.small_candidates import publish_candidates

COUNT = 60


@pytest.mark.parametrize(
    ("bogus", "real", "weights"),
    [
        (8, 2, None),
        (9, 1, (10 / 18, 10 / 2)),
        (81, 19, (100 / 162, 100 / 38)),
        (80, 20, None),
        (19, 81, (100 / 38, 100 / 162)),
        (5, 0, None),
        (0, 5, None),
    ],
)
def test_classes_are_weighted_where_one_has_less_than_a_fifth(
    bogus: int, real: int, weights: tuple[float, float] | None
) -> None:
    labels = np.array([0] * bogus + [1] * real + [UNLABELLED] * 40)
    found = class_weights(labels)
    assert found == (None if weights is None else pytest.approx(weights))
    if found is not None:
        assert found[0] * bogus == pytest.approx(found[1] * real), "both classes count equally"
        assert found[0] * bogus + found[1] * real == pytest.approx(bogus + real)


def test_a_detector_alone_needs_its_treatment() -> None:
    CandidateTrainRequest(dataset="made", treatment="each", detector="a")
    CandidateTrainRequest(dataset="made", treatment="each")
    for treatment in ("all", "mix"):
        with pytest.raises(ValidationError, match=f"detector=a goes with treatment=each, not treatment={treatment}"):
            CandidateTrainRequest(dataset="made", treatment=treatment, detector="a")


@pytest.fixture
def survey(workspace: Workspace) -> Workspace:
    """Detector a has twice as many samples as b and c; one sample has none."""
    detectors: list[str | None] = [("a", "a", "b", "c")[row % 4] for row in range(COUNT)]
    detectors[3] = None
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(COUNT)]
    parts = [("train", "train", "train", "validation", "test")[row // 4 % 5] for row in range(COUNT)]
    cells = [f"cell {row // 4}" for row in range(COUNT)]
    publish_candidates(workspace, "made", labels, cells, parts, columns={"detector": detectors})
    return workspace


def opened(workspace: Workspace, **options: Any) -> CandidateTraining:
    return open_candidate_training(workspace, CandidateTrainRequest(dataset="made", network="first", **options))


def test_all_samples_a_detector_s_own_or_a_mix_of_that_size_are_trained_on(survey: Workspace) -> None:
    everything = opened(survey).part("train")
    assert len(everything) == COUNT * 3 // 5
    alone = opened(survey, treatment="each", detector="b")
    part = alone.part("train")
    assert set(alone.detectors_of(part)) == {"b"}
    assert len(part) == 9
    assert set(alone.detectors_of(alone.part("validation"))) == {"b"}
    mix = opened(survey, treatment="mix")
    mixed = mix.part("train")
    assert [mix.detectors_of(mixed).tolist().count(name) for name in ("", "a", "b", "c")] == [1, 4, 2, 2]
    assert (np.diff(mixed.rows) > 0).all()
    assert set(mixed.ids) < set(everything.ids)
    of_b = [name for name, of in zip(everything.ids, mix.detectors_of(everything), strict=True) if of == "b"]
    assert {name for name in mixed.ids if name in of_b} == set(sorted(of_b, key=lambda name: hash_share(name, 0))[:2])
    assert len(mix.part("validation")) == COUNT // 5, "the mix is of the training part alone"


def test_an_unknown_detector_is_named_with_those_there_are(survey: Workspace) -> None:
    training = opened(survey, treatment="each", detector="z")
    with pytest.raises(PartError, match="detector 'z' has no sample in part 'train'; the dataset's are: a, b, c"):
        training.part("train")
    assert detectors_of(training) == ["a", "b", "c"]


def test_losses_normalisation_and_kept_epoch_replace_the_preset_s(survey: Workspace) -> None:
    preset = opened(survey).preset
    changed = opened(survey, loss_ech=0.25, loss_lds=0.0, normalisation="min-max", keep="last").preset
    assert (changed.losses.ce, changed.losses.ech, changed.losses.lds) == (preset.losses.ce, 0.25, 0.0)
    assert (changed.normalisation, changed.training.keep) == ("min-max", "last")
    rest = {"losses", "normalisation", "training"}
    assert changed.model_dump(exclude=rest) == preset.model_dump(exclude=rest)
    assert opened(survey, keep=None).preset == preset
    consistent = opened(survey, loss_lds=1.0, smoothness="consistency")
    assert consistent.preset.losses.needs_strong_views
    assert consistent.preset.training.weight_average > 0
    assert "ce+lds consistency" in consistent.description.words
    assert opened(survey, smoothness="consistency").preset.training == preset.training, "without a weight it is nothing"


def test_a_training_is_named_by_what_distinguishes_it(survey: Workspace) -> None:
    plain = opened(survey).description
    assert plain.words == ["first", "small", "fixed", "all", "ce"]
    assert plain.registered_name == "realbogus-first"
    alone = opened(survey, treatment="each", detector="b", loss_ech=0.1, labels="doubt").description
    assert alone.words == ["first", "small", "fixed", "each", "b", "ce+ech", "labels doubt"]
    assert alone.registered_name == "realbogus-first-b"
    assert (alone.card["detector"], alone.card["labels"], alone.card["losses"]["ech"]) == ("b", "doubt", 0.1)
    assert alone.tags["detector"] == "b"
    assert "detector" not in plain.tags
    full = open_candidate_training(survey, CandidateTrainRequest(dataset="made", network="simple", optimizer="sgd"))
    assert (full.description.registered_name, full.description.optimizer) == ("realbogus", "sgd")


def test_logits_become_probabilities_by_the_softmax(survey: Workspace) -> None:
    probabilities = opened(survey).probabilities(np.array([[0.0, 0.0], [1.0, 3.0], [1000.0, 0.0]], np.float32))
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, [[0.5, 0.5], [1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2))], [1, 0]])


def test_calibration_sets_temperature_operating_points_and_the_training_mix(survey: Workspace) -> None:
    training = opened(survey)
    validation, train = training.part("validation"), training.part("train")
    outputs = np.stack([np.zeros(len(validation)), np.where(validation.labels == 1, 2.0, -1.0)], axis=1)
    card, metrics = training.calibrate(outputs, validation, train)
    assert card["training_real_share"] == 0.5
    assert card["operating_points"]["tpr90"]["threshold"] == 2.0
    assert metrics == {"count": len(validation), "auc": 1.0, "fpr_at_tpr90": 0.0}
    assert Calibration.of_card(card).share == 0.5
    of_detectors = card["detector_points"]["tpr90"]
    assert set(of_detectors["detectors"]) == {"a", "b"}, "the detectors of the reals"
    assert {point["threshold"] for point in of_detectors["detectors"].values()} == {2.0}
    assert not of_detectors["differ"]
    with pytest.raises(PartError, match="the validation part has no sample of bogus"):
        training.calibrate(outputs, validation.take(np.flatnonzero(validation.labels == 1)), train)


def test_the_mix_of_an_epoch_with_fresh_reals_sets_weights_and_prior(survey: Workspace) -> None:
    """Of 18 real and 18 bogus an epoch has 3 and 18: a rare class, and a seventh of the training mix."""
    training = opened(survey, methods={"fresh_reals": 1 / 6})
    train, validation = training.part("train"), training.part("validation")
    assert np.bincount(train.labels).tolist() == [18, 18]
    assert training.fit_spec(train).fresh == FreshSubset(1, 1 / 6)
    trainer = training.fit_spec(train).trainer(training.fit_spec(train).build("float32"), 0)
    assert trainer.class_weights == pytest.approx((21 / 36, 21 / 6))
    outputs = np.stack([np.zeros(len(validation)), validation.labels * 3.0 - 1], axis=1)
    assert training.calibrate(outputs, validation, train)[0]["training_real_share"] == pytest.approx(1 / 7)
    assert opened(survey).fit_spec(train).fresh is None
    assert training.description.card["methods"] == {"fresh_reals": 1 / 6}


RUN = """
import sys
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.runtime.workspace import Workspace
from tasks.training.train import train_model
train_model(open_candidate_training(Workspace.current(), CandidateTrainRequest.model_validate_json(sys.argv[1])))
"""


def test_a_training_of_fresh_reals_and_teachers_that_is_killed_goes_on_and_registers_one_network(
    workspace: Workspace,
) -> None:
    import mlflow

    count = 320
    labels = ["real" if row % 2 == 0 else "bogus" for row in range(count)]
    parts = [("validation", "test", "train", "train")[row // 8 % 4] for row in range(count)]
    columns = {"parameters": ["{}"] * count, "snr": [10.0] * count}
    publish_candidates(workspace, "made", labels, [f"cell {row // 8}" for row in range(count)], parts, columns=columns)
    methods = {"fresh_reals": 0.5, "distill_teachers": 2, "distill_weight": 0.5}
    request = CandidateTrainRequest.model_validate(
        {"dataset": "made", "network": "first", "epochs": 4, "batch_size": 16, "methods": methods}
    )
    words = [sys.executable, "-c", RUN, request.model_dump_json()]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[3], env=os.environ.copy())
    while not list(workspace.root.glob("training/*/fit/teacher-2/epoch-*")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    client = mlflow.MlflowClient(workspace.mlflow_uri)
    assert not client.search_registered_models()
    (begun,) = client.search_runs([client.get_experiment_by_name("realbogus").experiment_id])
    summary = train_model(open_candidate_training(workspace, request))
    assert summary["run_id"] == begun.info.run_id
    (registered,) = client.search_registered_models()
    assert registered.name == "realbogus-first"
    assert len(client.search_model_versions("name='realbogus-first'")) == 1
    assert (summary["epochs"], summary["methods"]) == (4, methods)
    params = client.get_run(summary["run_id"]).data.params
    assert [params[f"methods.{name}"] for name in methods] == ["0.5", "2", "0.5"]
    model, card = load_model(resolve_model(workspace, summary["model_uri"], None).folder)
    assert card["methods"] == methods
    assert card["training_real_share"] == pytest.approx(1 / 3)
    plain = opened(workspace).model(
        opened(workspace).fit_spec(opened(workspace).part("train")).build("float32").weights
    )
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in plain.weights]
    assert not list(workspace.root.glob("training/*/fit"))


def test_a_training_can_be_sent_to_a_worker(survey: Workspace) -> None:
    training = opened(survey, treatment="mix")
    sent = pickle.loads(pickle.dumps(training))
    assert sent.part("train").ids == training.part("train").ids
    assert sent.identity() == training.identity()
