"""Optimisers: what of the settings they have, and updates that are scaled per variable."""

from typing import Any, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from tasks.learning.fits.fit_settings import FitSettings, Optimizer
from tasks.learning.fits.optimizers import OPTIMIZERS, Steps, build_head_optimizer, build_optimizer

STEPS = Steps(10, 3)


def settings(**changes: Any) -> FitSettings:
    fixed = {"schedule": "plateau", "epochs": 3, "min_steps": 0, "batch_size": 32, "stop_after": None}
    rates = {"adam": 0.01, "sgd": 0.01}
    return FitSettings.model_validate(fixed | {"learning_rate": rates, "momentum": 0.9} | changes)


def test_every_optimiser_of_the_settings_is_in_the_table() -> None:
    assert set(OPTIMIZERS) == set(get_args(Optimizer))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", keras.optimizers.SGD), ("adam", keras.optimizers.Adam), ("adadelta", keras.optimizers.Adadelta)],
)
def test_an_optimiser_has_the_rate_momentum_and_decay_of_the_settings(name: Optimizer, kind: type) -> None:
    built = build_optimizer(name, settings(learning_rate={name: 0.25}, weight_decay=0.125, momentum=0.5), STEPS)
    assert type(built) is kind
    assert float(built.learning_rate) == 0.25
    assert built.weight_decay == 0.125
    assert getattr(built, "momentum", 0.5) == 0.5


def test_an_unknown_optimiser_is_refused_with_those_that_can_be_used() -> None:
    for build in (
        lambda: build_optimizer("adadelta", settings(), STEPS),
        lambda: build_head_optimizer("adadelta", settings()),
    ):
        with pytest.raises(ValueError, match=r"optimizer=adadelta cannot be used with these settings; use sgd, adam$"):
            build()


def test_a_head_alone_has_a_constant_rate_of_its_own() -> None:
    built = build_head_optimizer("adam", settings(schedule="cosine", head_rate_factor=5))
    assert float(built.learning_rate) == pytest.approx(0.05)


def moved(name: Optimizer, factors: dict[str, float] | None, steps: int = 3, **changes: Any) -> dict[str, np.ndarray]:
    """How far three variables are moved by the same gradients."""
    start = np.linspace(0.5, 2, 4).astype(np.float32)
    variables = [keras.Variable(start, name=path) for path in ("kernel_a", "kernel_b", "bias")]
    built = build_optimizer(name, settings(**changes), STEPS, factors)
    built.build(variables)
    for step in range(steps):
        built.apply([tf.constant(start * (step - 1.5))] * 3, variables)
    return {variable.path: variable.numpy() - start for variable in variables}


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_factor_scales_updates_and_decay_and_factors_of_one_change_nothing(name: Optimizer) -> None:
    plain = moved(name, None, weight_decay=0.1)
    one = moved(name, dict.fromkeys(plain, 1.0), weight_decay=0.1)
    for path, change in plain.items():
        np.testing.assert_allclose(one[path], change, rtol=1e-5, atol=1e-7)
    scaled = moved(name, {"kernel_a": 0.1, "kernel_b": 0.0, "bias": 1.0}, weight_decay=0.1)
    tenth = {"sgd": 0.001, "adam": 0.001}
    slow = moved(name, None, weight_decay=0.1, learning_rate=tenth)
    np.testing.assert_allclose(scaled["kernel_a"], slow["kernel_a"], rtol=1e-4, atol=1e-7)
    assert not scaled["kernel_b"].any()
    np.testing.assert_allclose(scaled["bias"], plain["bias"], rtol=1e-5, atol=1e-7)


def test_decay_scales_with_the_rate_of_a_variable_and_spares_biases() -> None:
    start = np.linspace(0.5, 2, 4).astype(np.float32)
    variables = [keras.Variable(start, name=path) for path in ("kernel_a", "bias")]
    built = build_optimizer("sgd", settings(weight_decay=0.5, momentum=0.0), STEPS, {"kernel_a": 0.1, "bias": 1.0})
    built.build(variables)
    built.apply([tf.zeros(4)] * 2, variables)
    np.testing.assert_allclose(variables[0].numpy(), start * (1 - 0.01 * 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(variables[1].numpy(), start)
