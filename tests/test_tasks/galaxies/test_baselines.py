"""Baselines of a galaxy model: what a line holds, what it is fitted to, and what errors may depend on."""

from pathlib import Path

import numpy as np
import pytest

from galaxy.models import baselines as galaxy_baselines
from tasks.galaxies.baselines import altered_views, baseline_of, covariates, fit_baselines
from tasks.learning.predictions import Predictions
from tasks.learning.split_parts import SplitPart, part_rows
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.small_galaxies import CLASSES, SCHEME, Threshold, publish_galaxies


@pytest.fixture(autouse=True)
def _small_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galaxy_baselines, "FOREST_TREES", 25)
    monkeypatch.setattr("tasks.learning.predictions.BOOTSTRAPS", 30)


def predicted(labels: list[int], classes: list[str], chosen: list[int]) -> Predictions:
    """Predictions of certainty 0.9 for the chosen classes."""
    ids = [f"g{row}" for row in range(len(labels))]
    probabilities = np.full((len(labels), len(classes)), 0.1 / (len(classes) - 1))
    probabilities[np.arange(len(labels)), chosen] = 0.9
    return Predictions(SplitPart(ids, np.arange(len(ids)), np.array(labels, np.int32), ids), classes, probabilities)


def test_a_line_holds_accuracy_f1_and_auc_of_two_classes() -> None:
    line = baseline_of("some", predicted([0, 0, 1, 1], ["a", "b"], [0, 1, 1, 1]))
    assert (line.name, line.count, line.accuracy.value) == ("some", 4, 0.75)
    assert line.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert line.auc == 0.75  # of four pairs two are in order and two tie
    assert line.model_over_this is None


def test_three_classes_have_no_auc() -> None:
    assert baseline_of("some", predicted([0, 1, 2], ["a", "b", "c"], [0, 1, 1])).auc is None


def test_the_lead_is_the_models_accuracy_minus_the_lines() -> None:
    labels = [0, 1] * 20
    model, worse = (predicted(labels, ["a", "b"], chosen) for chosen in (labels, [0] * 40))
    line = baseline_of("zeros", worse, model)
    assert line.model_over_this is not None
    assert line.model_over_this.value == pytest.approx(0.5)
    assert line.model_over_this.low > 0.2


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return publish_galaxies(Workspace(tmp_path_factory.mktemp("galaxies")), "home")


def model_on(dataset: Dataset, part: SplitPart) -> Predictions:
    images = np.array([dataset.pixels[int(row)] for row in part.rows])
    return Predictions(part, CLASSES, Threshold().predict_on_batch(images))


def test_baselines_are_fitted_to_the_training_part_and_evaluated_on_the_models_rows(home: Dataset) -> None:
    test, train = part_rows(home, SCHEME, "test"), part_rows(home, SCHEME, "train")
    lines = fit_baselines(home, home, SCHEME, model_on(home, test))
    assert [line.name for line in lines] == ["majority class", "forest on redshift", "forest on image scalars"]
    assert {line.count for line in lines} == {len(test)}
    largest = np.bincount(train.labels).argmax()
    assert lines[0].accuracy.value == np.mean(test.labels == largest)
    assert lines[0].auc == 0.5
    assert lines[2].accuracy.value > lines[0].accuracy.value + 0.2  # discs differ in brightness


def test_a_scalar_that_one_ledger_lacks_is_not_used(home: Dataset, tmp_path: Path) -> None:
    unknown = {number: {"redshift": None} for number in range(40)}
    away = publish_galaxies(Workspace(tmp_path), "away", count=40, seed=3, changed=unknown)
    lines = fit_baselines(home, away, SCHEME, model_on(away, part_rows(away, SCHEME, "test")))
    assert [line.name for line in lines] == ["majority class", "forest on image scalars"]


def test_the_model_is_shown_altered_images(home: Dataset) -> None:
    test = part_rows(home, SCHEME, "test")
    model = model_on(home, test)
    (line,) = altered_views(Threshold(), home, model, 7)
    assert line.name == "this model, shown grey images"
    # The model reads the mean over channels, which grey images keep but for rounding.
    assert line.accuracy.value == pytest.approx(model.accuracy.value, abs=0.05)


def test_covariates_are_in_the_order_of_the_part_with_nan_for_null(home: Dataset) -> None:
    part = part_rows(home, SCHEME, "all")
    reverse = part.take(np.arange(len(part))[::-1])
    found = covariates(home, SCHEME, reverse)
    assert list(found) == ["redshift", "vote fraction of the label"]
    numbers = np.array([int(name.rpartition("-")[2]) for name in reverse.ids])
    expected = np.where(numbers % 9 == 0, np.nan, 0.03 + 0.0003 * numbers)
    np.testing.assert_allclose(found["redshift"], expected)
    assert ((found["vote fraction of the label"] >= 0.5) & (found["vote fraction of the label"] <= 1)).all()
