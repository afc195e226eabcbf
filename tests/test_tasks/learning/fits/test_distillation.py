"""Distillation: targets are the stated mix, teachers are other networks, and none is fitted twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import zarr
from pydantic import Field
from scipy.special import softmax

from tasks.learning.fits.checkpoints import EpochRecord, load_state
from tasks.learning.fits.devices import Device
from tasks.learning.fits.distillation import fit_distilled, mix_targets, teacher_plan, teacher_probabilities
from tasks.learning.fits.fit_settings import FitSettings, Optimizer, Schedule
from tasks.learning.fits.fit_spec import FitData, FitSpec
from tasks.learning.fits.fitting import Fit, Fitted
from tasks.learning.split_parts import UNLABELLED, SplitPart
from tasks.store import pixels

TRAIN, VALIDATION = 64, 32


class ShortFit(FitSettings):
    learning_rate: dict[Optimizer, float] = Field(default={"adam": 0.05})
    schedule: Schedule = "cosine"
    epochs: int = 3
    min_steps: int = 0
    batch_size: int = 16
    stop_after: int | None = None
    keep: Any = "last"
    distill_teachers: int = 2


def network(precision: str) -> keras.Model:
    views = keras.Input((2, 2, 1))
    inner = keras.layers.Dropout(0.2)(keras.layers.Dense(8, activation="relu")(keras.layers.Flatten()(views)))
    return keras.Model(views, keras.layers.Dense(2)(inner))


def brighter(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Random views that are unlike the plain ones."""
    return images + 0.5 + tf.random.stateless_normal(tf.shape(images), seed, stddev=0.1)


@pytest.fixture(scope="module")
def bright_or_dark(tmp_path_factory: pytest.TempPathFactory) -> zarr.Array:
    """Bright images in odd rows, dark ones in even rows: what labels say can be learnt."""
    signs = np.where(np.arange(TRAIN + VALIDATION) % 2, 1, -1).reshape(-1, 1, 1, 1)
    images = np.random.default_rng(0).normal(size=(TRAIN + VALIDATION, 2, 2, 1)) * 0.5 + signs
    store = pixels.create(tmp_path_factory.mktemp("store") / "pixels.zarr", images.shape[1:], "float32")
    pixels.grow(store, len(images))
    pixels.write_shard(store, 0, images.astype(np.float32))
    return store


def part(first: int, count: int) -> SplitPart:
    rows = np.arange(first, first + count)
    names = [str(row) for row in rows]
    return SplitPart(names, rows, (rows % 2).astype(np.int32), names)


def plan(array: zarr.Array, folder: Path, **settings: Any) -> Fit:
    return Fit(
        FitSpec(network, brighter, lambda images: images, 2),
        FitData(array, part(0, TRAIN), part(TRAIN, VALIDATION)),
        ShortFit(**settings),
        "adam",
        5,
        Device("cpu", ("/cpu:0",), "float32"),
        folder,
    )


def answers(fitted: Fitted, array: zarr.Array) -> np.ndarray:
    """Probability of the second class of the training part's plain views."""
    student = network("float32")
    student.set_weights(fitted.weights)
    return np.asarray(softmax(student.predict(np.asarray(array[:TRAIN]), verbose=0), axis=1)[:, 1])


@pytest.mark.parametrize(("weight", "expected"), [(0.25, 0.75), (1.0, 0.0)])
def test_the_student_follows_the_stated_mix_of_teachers_and_labels(
    bright_or_dark: zarr.Array, tmp_path: Path, weight: float, expected: float
) -> None:
    """Teachers that are sure of the opposite of every label: their share of the target is what the student answers."""
    opposite = np.eye(2, dtype=np.float32)[1 - part(0, TRAIN).labels]
    for number in (1, 2):
        np.save(tmp_path / f"teacher-{number}.npy", opposite)
    told: list[str] = []
    fitted = fit_distilled(plan(bright_or_dark, tmp_path, distill_weight=weight, epochs=60), log=told.append)
    assert not told, "finished teachers are not fitted again"
    bright = part(0, TRAIN).labels == 1
    found = answers(fitted, bright_or_dark)
    assert found[bright].mean() == pytest.approx(expected, abs=0.1)
    assert found[~bright].mean() == pytest.approx(1 - expected, abs=0.1)


def test_targets_are_the_mean_of_the_teachers_plain_views_beside_the_label(
    bright_or_dark: zarr.Array, tmp_path: Path
) -> None:
    given: list[tuple[np.ndarray, np.ndarray]] = []

    class Recording(keras.Model):
        """The network's cross-entropy, which keeps the targets that it is given."""

        def __init__(self, inner: keras.Model) -> None:
            super().__init__()
            self.inner = inner

        def compile(self, optimizer: keras.optimizers.Optimizer, *_: Any, **__: Any) -> None:
            super().compile(optimizer=optimizer, run_eagerly=True)

        def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
            given.append(tuple(entry.numpy() for entry in data))
            return {"loss": tf.constant(1.0), "accuracy": tf.constant(0.5)}

        def test_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
            return {"loss": tf.constant(1.0), "accuracy": tf.constant(0.5)}

    planned = plan(bright_or_dark, tmp_path / "distilled", distill_weight=0.25, epochs=1)
    spec = replace(planned.spec, random_view=lambda images, seed: images, trainer=lambda inner, seed: Recording(inner))
    teachers = [teacher_probabilities(planned, number) for number in (1, 2)]
    assert not np.allclose(*teachers, atol=1e-3), "other seeds"
    assert not list((tmp_path / "distilled").glob("teacher-*/*")), "the state of a finished teacher is removed"
    fit_distilled(replace(planned, spec=spec))
    views, targets = (np.concatenate([batch[place] for batch in given]) for place in (0, 1))
    images = np.asarray(bright_or_dark[:TRAIN])
    rows = [int(np.flatnonzero((images == view).all(axis=(1, 2, 3)))[0]) for view in views]
    assert sorted(rows) == list(range(TRAIN))
    labels = np.eye(2)[part(0, TRAIN).labels]
    np.testing.assert_allclose(targets, (0.25 * np.mean(teachers, axis=0) + 0.75 * labels)[rows], atol=1e-6)


def test_a_teacher_answers_for_the_plain_views_and_is_the_same_wherever_it_is_fitted(
    bright_or_dark: zarr.Array, tmp_path: Path
) -> None:
    planned = plan(bright_or_dark, tmp_path / "one")
    first = teacher_probabilities(planned, 1)
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(teacher_probabilities(plan(bright_or_dark, tmp_path / "two"), 1), first, atol=1e-5)
    seeds = [teacher_plan(planned, number, tmp_path).seed for number in (1, 2, 3)]
    assert len({planned.seed, *seeds}) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert teacher_plan(planned, 1, tmp_path).settings.distill_teachers == 0


def test_a_distillation_that_is_stopped_goes_on_where_it_was(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    whole = fit_distilled(plan(bright_or_dark, tmp_path / "whole"))
    stopped, told = plan(bright_or_dark, tmp_path / "stopped"), list[str]()

    def stop(message: str) -> None:
        told.append(message)
        raise KeyboardInterrupt

    def stop_student(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_distilled(stopped, log=stop)
    with pytest.raises(KeyboardInterrupt):
        fit_distilled(stopped, stop_student, log=told.append)
    assert load_state(stopped.folder).epoch == 1
    epochs: list[int] = []
    resumed = fit_distilled(stopped, lambda record: epochs.append(record.epoch), log=told.append)
    assert [message.partition(":")[0] for message in told] == ["teacher 1/2", "teacher 2/2"], "each is fitted once"
    assert epochs == [2, 3]
    np.testing.assert_allclose(answers(resumed, bright_or_dark), answers(whole, bright_or_dark), atol=1e-4)


def test_a_sample_keeps_its_weight_and_an_unlabelled_one_has_none() -> None:
    labels = np.array([1, 0, UNLABELLED])
    shares = (labels[:, None] == np.arange(2)).astype(np.float32) * np.array([[2.0], [1.0], [1.0]], np.float32)
    mixed = mix_targets(shares, np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), 0.5)
    np.testing.assert_allclose(mixed, [[0.5, 1.5], [0.6, 0.4], [0, 0]], atol=1e-6)
    np.testing.assert_array_equal(mix_targets(shares, np.full((3, 2), 0.5), 0.0), shares)
