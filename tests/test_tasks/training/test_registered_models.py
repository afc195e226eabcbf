"""Calibrated probabilities of registered models, galaxies and candidates."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tasks.learning.scoring import IMAGE_BATCH
from tasks.tracking.model_registry import ModelRef
from tasks.training.registered_models import RegisteredModel

REF: Any = ModelRef("models:/m/3", "m", 3, "0" * 32, None)  # type: ignore[arg-type]
COUNT = 2 * IMAGE_BATCH + 3


def registered(problem: str, outputs: Any, **card: Any) -> RegisteredModel:
    """A model whose outputs follow from the first pixel of an image."""
    model = SimpleNamespace(predict_on_batch=lambda images: outputs(images[:, 0, 0, 0].astype(float)))
    return RegisteredModel(REF, model, {"problem": problem, "input_shape": [2, 2, 3], **card})


def images_of(levels: np.ndarray) -> np.ndarray:
    return np.broadcast_to(levels[:, None, None, None], (len(levels), 2, 2, 3))


def test_a_galaxy_model_s_probabilities_have_its_temperature() -> None:
    raw = np.random.default_rng(0).uniform(0.01, 0.99, COUNT)
    model = registered("galaxy", lambda p: np.stack([p, 1 - p], axis=1), classes=["E", "S"], temperature=2.0)
    found = model.probabilities(images_of(raw))
    odds = np.sqrt(raw / (1 - raw))
    np.testing.assert_allclose(found[:, 0], odds / (1 + odds), rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert model.classes == ["E", "S"]


def test_a_candidate_model_s_logits_become_probabilities_by_its_card() -> None:
    logit = np.random.default_rng(0).normal(0, 3, COUNT)
    card = {"classes": ["bogus", "real"], "temperature": 2.0, "logit_offset": 0.5, "training_real_share": 0.3}
    model = registered("realbogus", lambda x: np.stack([-x / 2, x / 2], axis=1), **card)
    found = model.probabilities(images_of(logit))
    np.testing.assert_allclose(found[:, 1], expit(logit / 2 + 0.5))
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("shape", [(0, 2, 2, 3), (4, 2, 3, 3), (2, 2, 3)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = registered("galaxy", lambda p: np.stack([p, 1 - p], axis=1), classes=["E", "S"], temperature=1.0)
    with pytest.raises(ValueError, match=r"model m 3 takes \(n, \(2, 2, 3\)\)"):
        model.probabilities(np.zeros(shape))
