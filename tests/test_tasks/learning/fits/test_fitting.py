"""Fitting: a killed fit ends like an undisturbed one, a diverging one says so, and the rules of a recipe hold."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
import zarr
from pydantic import Field

from tasks.learning.fits import fitting
from tasks.learning.fits.checkpoints import EpochRecord, FitState, load_state, save_state
from tasks.learning.fits.devices import Device, DeviceError, choose_device
from tasks.learning.fits.fit_settings import FitSettings, KeptEpoch, Optimizer
from tasks.learning.fits.fit_spec import FitData, FitSpec
from tasks.learning.fits.fitting import Fit, NotFiniteError, fit
from tasks.learning.fits.fresh_subsets import FreshSubset
from tasks.learning.fits.seeding import seeded
from tasks.learning.fits.targets import scaled_targets
from tasks.learning.fits.view_batches import Feed
from tasks.learning.labels.dynamics import prediction_changes, settled_epoch
from tasks.learning.split_parts import SplitPart
from tasks.store import pixels

CPU = Device("cpu", ("/cpu:0",), "float32")
TRAIN = 96
VALIDATION = 32


class SmallFit(FitSettings):
    learning_rate: dict[Optimizer, float] = Field(default={"adam": 0.01, "sgd": 0.01})
    schedule: Literal["plateau", "cosine"] = "plateau"
    epochs: int = 4
    min_steps: int = 0
    batch_size: int = 32
    stop_after: int | None = None
    plateau_after: int = 3
    plateau_factor: float = 0.5
    momentum: float = 0.9
    keep: KeptEpoch = "best"


def network(precision: str) -> keras.Model:
    views = keras.Input((4, 4, 1))
    inner = keras.layers.Dense(8, activation="relu", dtype=precision)(keras.layers.Flatten()(views))
    return keras.Model(views, keras.layers.Dense(2, dtype="float32")(keras.layers.Dropout(0.2)(inner)))


def noisy(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return images + tf.random.stateless_normal(tf.shape(images), seed, stddev=0.3)


LEARNER = FitSpec(network, noisy, lambda images: images, 2)


def two_blocks(precision: str) -> keras.Model:
    """A body of two layers with batch normalisation, and a head."""
    views = keras.Input((4, 4, 1))
    inner = keras.layers.Dense(8, dtype=precision, name="first")(keras.layers.Flatten()(views))
    inner = keras.layers.BatchNormalization(dtype=precision, name="normalisation")(inner)
    inner = keras.layers.Dense(8, activation="relu", dtype=precision, name="second")(inner)
    inner = keras.layers.Dropout(0.2)(inner)
    return keras.Model(views, keras.layers.Dense(2, dtype="float32", name="head")(inner))


DEPTHS = {"first": 2, "normalisation": 2, "second": 1, "head": 0}
DEEP = FitSpec(two_blocks, noisy, lambda images: images, 2, depths=lambda network: DEPTHS)


def stored(folder: Path, images: np.ndarray) -> zarr.Array:
    store = pixels.create(folder / "pixels.zarr", images.shape[1:], "float32")
    pixels.grow(store, len(images))
    pixels.write_shard(store, 0, images)
    return store


@pytest.fixture(scope="module")
def bright_or_dark(tmp_path_factory: pytest.TempPathFactory) -> zarr.Array:
    """Noise about +1 in even rows and about -1 in odd ones."""
    rng = np.random.default_rng(0)
    signs = np.where(np.arange(TRAIN + VALIDATION) % 2, -1, 1).reshape(-1, 1, 1, 1)
    images = rng.normal(size=(TRAIN + VALIDATION, 4, 4, 1)) * 2 + signs
    return stored(tmp_path_factory.mktemp("store"), images.astype(np.float32))


def part(first: int, count: int, flipped: bool = False) -> SplitPart:
    rows = np.arange(first, first + count)
    return SplitPart(
        [str(row) for row in rows], rows, ((rows + flipped) % 2).astype(np.int32), [str(row) for row in rows]
    )


def plan(array: zarr.Array, folder: Path, recipe: SmallFit, flipped: bool = False, **more: Any) -> Fit:
    return Fit(
        **{
            "spec": LEARNER,
            "data": FitData(array, part(0, TRAIN), part(TRAIN, VALIDATION, flipped)),
            "settings": recipe,
            "optimizer": "adam",
            "seed": 5,
            "device": CPU,
            "folder": folder,
        }
        | more
    )


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_a_fit_that_is_stopped_goes_on_as_if_it_had_not_been(
    bright_or_dark: zarr.Array, tmp_path: Path, schedule: Literal["plateau", "cosine"]
) -> None:
    recipe = SmallFit(schedule=schedule, plateau_after=1, weight_decay=0.01, keep="last")
    whole = fit(plan(bright_or_dark, tmp_path / "whole", recipe))

    def stop(record: EpochRecord) -> None:
        if record.epoch == 3:
            raise KeyboardInterrupt

    stopped = plan(bright_or_dark, tmp_path / "stopped", recipe)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, stop)
    assert load_state(stopped.folder).epoch == 2
    later: list[int] = []
    resumed = fit(stopped, lambda record: later.append(record.epoch))
    assert later == [3, 4]
    for name in ("train_loss", "validation_loss", "learning_rate"):
        one, two = ([getattr(record, name) for record in fitted.history] for fitted in (whole, resumed))
        np.testing.assert_allclose(one, two, rtol=1e-4)
    for one, two in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_the_outputs_of_an_epoch_are_those_of_the_validated_weights_in_the_part_s_order(
    bright_or_dark: zarr.Array, tmp_path: Path
) -> None:
    outputs: dict[int, np.ndarray] = {}
    recipe = SmallFit(epochs=2, keep="last", weight_average=0.9)
    fitted = fit(plan(bright_or_dark, tmp_path, recipe), on_outputs=outputs.__setitem__)
    last = network("float32")
    last.set_weights(fitted.weights)
    assert list(outputs) == [1, 2]
    np.testing.assert_allclose(outputs[2], last.predict(np.asarray(bright_or_dark[:TRAIN]), verbose=0), atol=1e-5)


class Recording(keras.Model):
    """Trains nothing, and keeps what its steps are given."""

    def __init__(self, network: keras.Model, given: list[tuple[np.ndarray, ...]]) -> None:
        super().__init__()
        self.network, self.keep = network, given.append

    def compile(self, optimizer: keras.optimizers.Optimizer, *_: Any, **__: Any) -> None:
        super().compile(optimizer=optimizer, run_eagerly=True)

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        self.keep(tuple(entry.numpy() for entry in data))
        return {"loss": tf.constant(1.0), "accuracy": tf.constant(0.5)}

    def test_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        assert len(data) == 2
        return {"loss": tf.constant(1.0), "accuracy": tf.constant(0.5)}


def test_a_trainer_gets_the_running_means_of_its_samples_also_after_a_stop(
    bright_or_dark: zarr.Array, tmp_path: Path
) -> None:
    """The network is not trained, so after epoch t its means are (1 - 0.5^t) of its probabilities."""
    given: list[tuple[np.ndarray, ...]] = []
    spec = replace(
        LEARNER,
        random_view=lambda images, seed: images,
        trainer=lambda inner, seed: Recording(inner, given),
        mean_decay=0.5,
    )

    def stop(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    stopped = plan(bright_or_dark, tmp_path, SmallFit(epochs=3, keep="last"), spec=spec)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, stop)
    given.clear()
    fitted = fit(stopped)
    last = network("float32")
    last.set_weights(fitted.weights)
    steps = TRAIN // 32
    assert len(given) == 2 * steps
    for number, (views, targets, means) in enumerate(given):
        expected = tf.nn.softmax(last.predict(views, verbose=0)).numpy() * (1 - 0.5 ** (1 + number // steps))
        assert targets.shape == means.shape
        np.testing.assert_allclose(means, expected, atol=1e-5)


STRETCHES = {"head_epochs": 2, "layer_decay": 0.5, "weight_average": 0.9, "balance": "sampling"}


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_fit_of_head_and_averages_goes_on_after_any_epoch(
    bright_or_dark: zarr.Array, tmp_path: Path, last: int
) -> None:
    recipe = SmallFit(schedule="cosine", epochs=4, weight_decay=0.01, keep="last", **STRETCHES)
    whole = fit(plan(bright_or_dark, tmp_path / "whole", recipe, spec=DEEP))

    def stop(record: EpochRecord) -> None:
        if record.epoch == last + 1:
            raise KeyboardInterrupt

    stopped = plan(bright_or_dark, tmp_path / "stopped", recipe, spec=DEEP)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, stop)
    later: list[int] = []
    resumed = fit(stopped, lambda record: later.append(record.epoch))
    assert later == list(range(last + 1, 5))
    for one, two in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    finished = fit(stopped)
    for one, two in zip(resumed.weights, finished.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def layers_of(planned: Fit, weights: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Return weights by layer: those of a fit, or of a network."""
    built = planned.spec.build("float32")
    built.set_weights(weights)
    return {layer.name: layer.get_weights() for layer in built.layers if layer.weights}


def test_the_head_is_fitted_alone_at_first_and_its_patience_does_not_count(
    bright_or_dark: zarr.Array, tmp_path: Path
) -> None:
    recipe = SmallFit(epochs=4, head_epochs=2, stop_after=1, keep="last", learning_rate={"sgd": 1e-30})
    planned = plan(bright_or_dark, tmp_path, recipe, flipped=True, spec=DEEP, optimizer="sgd")
    fitted = fit(planned)
    assert [record.learning_rate for record in fitted.history[:3]] == pytest.approx([5e-30, 5e-30, 1e-30])
    recipe = SmallFit(epochs=2, head_epochs=1, keep="last", head_rate_factor=1.0)
    planned = plan(bright_or_dark, tmp_path / "two", recipe, spec=DEEP)
    with seeded(planned.seed):
        start = layers_of(planned, planned.spec.build("float32").get_weights())
    after: dict[int, dict[str, list[np.ndarray]]] = {}

    def keep(record: EpochRecord) -> None:
        if record.epoch == 2:
            count = len(planned.spec.build("float32").variables)
            saved = load_state(planned.folder).variables[:count]
            built = planned.spec.build("float32")
            for variable, value in zip(built.variables, saved, strict=True):
                variable.assign(value)
            after[1] = {layer.name: layer.get_weights() for layer in built.layers if layer.weights}

    after[2] = layers_of(planned, fit(planned, keep).weights)
    for name, depth in DEPTHS.items():
        for one, two, three in zip(start[name], after[1][name], after[2][name], strict=True):
            assert (one != two).any() == (depth == 0), name
            assert (two != three).any(), name


def test_a_layer_decay_slows_the_body_and_not_the_head(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    moved = {}
    for decay in (1.0, 0.01):
        recipe = SmallFit(epochs=1, layer_decay=decay, keep="last", batch_size=TRAIN)
        planned = plan(bright_or_dark, tmp_path / str(decay), recipe, spec=DEEP)
        with seeded(planned.seed):
            start = planned.spec.build("float32")
        kernels = {layer.name: layer.kernel.numpy() for layer in start.layers if hasattr(layer, "kernel")}
        ends = layers_of(planned, fit(planned).weights)
        moved[decay] = {name: ends[name][0] - kernel for name, kernel in kernels.items()}
    for name, factor in (("first", 1e-4), ("second", 1e-2), ("head", 1.0)):
        # The first step of Adam is the rate, whatever the gradient.
        np.testing.assert_allclose(moved[0.01][name], moved[1.0][name] * factor, rtol=0.05, atol=1e-7)


def test_layer_decay_needs_to_know_the_head(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layer_decay and head_epochs need a network whose head is known"):
        fit(plan(bright_or_dark, tmp_path, SmallFit(layer_decay=0.5)))


@pytest.mark.parametrize(("epochs", "head"), [(1, 0), (2, 1), (3, 1), (4, 2), (9, 2)])
def test_the_head_has_at_most_half_of_the_epochs(
    bright_or_dark: zarr.Array, tmp_path: Path, epochs: int, head: int
) -> None:
    assert plan(bright_or_dark, tmp_path, SmallFit(epochs=epochs, head_epochs=2)).head_epochs == head


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_averaged_weights_are_validated_and_kept(
    bright_or_dark: zarr.Array, tmp_path: Path, keep: Literal["best", "last"]
) -> None:
    recipe = SmallFit(epochs=3, weight_average=0.9, keep=keep, learning_rate={"adam": 0.05})
    planned = plan(bright_or_dark, tmp_path, recipe, spec=DEEP)
    fitted = fit(planned)
    network = two_blocks("float32")
    network.set_weights(fitted.weights)
    network.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    loss = network.evaluate(Feed(DEEP, planned.data, recipe, 5).validation, verbose=0)
    assert loss == pytest.approx(fitted.history[fitted.best_epoch - 1].validation_loss, rel=1e-4)
    own = load_state(tmp_path).variables[: len(network.weights)]
    assert any((one != two).any() for one, two in zip(own[:2], fitted.weights[:2], strict=True))


def uneven(labels: list[int], **more: Any) -> SplitPart:
    names = [str(row) for row in range(len(labels))]
    return SplitPart(names, np.arange(len(labels)), np.array(labels, np.int32), names, **more)


def read(feed: Feed, epoch: int = 1) -> list[list[np.ndarray]]:
    """The parts of an epoch's batches, joined."""
    batches = list(feed.train(epoch))
    return [np.concatenate([batch[place] for batch in batches]) for place in range(len(batches[0]))]


@pytest.mark.parametrize("held_bytes", [0, 1 << 20])
def test_epochs_with_a_fresh_subset_are_equally_long_and_a_resumed_fit_has_the_same_ones(
    bright_or_dark: zarr.Array, held_bytes: int
) -> None:
    """Of 48 a third is in each epoch beside the 48 others, so that three epochs show each of the 48 once."""
    spec = replace(
        LEARNER, random_view=lambda images, seed: images, prepare=lambda images: images, fresh=FreshSubset(1, 1 / 3)
    )
    data, images = FitData(bright_or_dark, part(0, TRAIN), part(TRAIN, VALIDATION)), bright_or_dark[:TRAIN]
    shown = []
    for epoch in (1, 2, 3):
        views, targets = read(Feed(spec, data, SmallFit(), 5, held_bytes), epoch)
        rows = [int(np.flatnonzero((images == view).all(axis=(1, 2, 3)))[0]) for view in views]
        assert len(set(rows)) == len(rows) == 64
        np.testing.assert_array_equal(targets[:, 1], np.array(rows) % 2)
        assert set(range(0, TRAIN, 2)) < set(rows)
        shown += [row for row in rows if row % 2]
        again, _ = read(Feed(spec, data, SmallFit(), 5, held_bytes), epoch)
        np.testing.assert_array_equal(again, views)
    assert sorted(shown) == list(range(1, TRAIN, 2))


def test_steps_are_those_of_an_epoch_with_a_fresh_subset(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    spec = replace(LEARNER, fresh=FreshSubset(1, 1 / 3))
    planned = plan(bright_or_dark, tmp_path, SmallFit(min_steps=9), spec=spec)
    assert (planned.epoch_size, planned.steps, planned.most_epochs) == (64, 2, 5)


def test_weights_of_classes_go_with_their_targets_and_validation_has_none(bright_or_dark: zarr.Array) -> None:
    labels = [0] * 30 + [1] * 10
    data = FitData(bright_or_dark, uneven(labels), part(TRAIN, VALIDATION))
    _, targets, weights = read(Feed(LEARNER, data, SmallFit(balance="weights", label_smoothing=0.2), 5))
    rare = targets[:, 1] > 0.5
    assert rare.sum() == 10
    np.testing.assert_allclose(weights[rare], 2.0)
    np.testing.assert_allclose(weights[~rare], 2 / 3, rtol=1e-6)
    assert len(next(iter(Feed(LEARNER, data, SmallFit(balance="weights"), 5).validation))) == 2
    assert len(read(Feed(LEARNER, data, SmallFit(), 5))) == 2


def test_weights_need_the_plain_loss(bright_or_dark: zarr.Array) -> None:
    own = replace(LEARNER, trainer=lambda network, seed: network)
    data = FitData(bright_or_dark, part(0, TRAIN), part(TRAIN, VALIDATION))
    with pytest.raises(ValueError, match="balance=weights needs the plain cross-entropy"):
        Feed(own, data, SmallFit(balance="weights"), 5)


@pytest.mark.parametrize("held_bytes", [0, 1 << 20])
def test_balanced_sampling_shows_every_class_equally_often_in_every_batch(
    bright_or_dark: zarr.Array, held_bytes: int
) -> None:
    spec = replace(LEARNER, random_view=lambda images, seed: images, prepare=lambda images: images)
    data = FitData(bright_or_dark, uneven([0] * 80 + [1] * 16), part(TRAIN, VALIDATION))
    feed = Feed(spec, data, SmallFit(balance="sampling"), 5, held_bytes)
    for batch, (views, targets) in enumerate(feed.train(1)):
        rows = [int(np.flatnonzero((bright_or_dark[:TRAIN] == view).all(axis=(1, 2, 3)))[0]) for view in views.numpy()]
        np.testing.assert_array_equal(np.array(rows) >= 80, targets[:, 1] == 1, err_msg=str(batch))
        assert 14 <= targets[:, 1].numpy().sum() <= 18
    for one, two in zip(read(feed, 2), read(feed, 2), strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(read(feed, 2), read(feed, 3), strict=True))


def test_soft_targets_are_fitted_and_their_labels_validate(bright_or_dark: zarr.Array) -> None:
    soft = np.random.default_rng(1).dirichlet([1, 1], 40).astype(np.float32)
    soft[3], soft[4] = 0, soft[4] / 4
    spec = replace(LEARNER, random_view=lambda images, seed: images)
    data = FitData(bright_or_dark, uneven([0, 1] * 20, targets=soft), uneven([0, 1] * 20, targets=soft[::-1]))
    views, targets, weights = read(Feed(spec, data, SmallFit(), 5))
    rows = [int(np.flatnonzero((bright_or_dark[:TRAIN] == view).all(axis=(1, 2, 3)))[0]) for view in views]
    np.testing.assert_allclose(targets, scaled_targets(soft)[rows], rtol=1e-6)
    np.testing.assert_allclose(weights, soft[rows].sum(axis=1), rtol=1e-6)
    on_validation = np.concatenate([batch for _, batch in Feed(spec, data, SmallFit(), 5).validation])
    np.testing.assert_array_equal(on_validation[:, 1], [0, 1] * 20)


def test_a_sample_of_less_weight_pulls_as_others_do_and_less(bright_or_dark: zarr.Array) -> None:
    """The gradient on the logits, (softmax - label) * weight, where the plain one of such a row is softmax - target."""
    labelled = np.eye(2, dtype=np.float32)[[0, 1] * 20]
    data = FitData(bright_or_dark, uneven([0, 1] * 20, targets=labelled * 0.25), part(TRAIN, VALIDATION))
    _, targets, weights = (tf.constant(of) for of in read(Feed(LEARNER, data, SmallFit(), 5)))
    logits = tf.Variable(tf.ones((40, 2)) * [2.0, -1.0])
    with tf.GradientTape() as tape:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)(targets, logits, weights)
    expected = 0.25 * (tf.nn.softmax(logits) - tf.one_hot(tf.argmax(targets, 1), 2)) / 40
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, rtol=1e-5)


def test_the_targets_of_a_view_may_be_others_than_its_images(bright_or_dark: zarr.Array) -> None:
    seeds = []

    def exchanged(targets: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seeds.append(seed.shape)
        return tf.reverse(targets, [1])

    data = FitData(bright_or_dark, uneven([0] * 30 + [1] * 10), part(TRAIN, VALIDATION))
    _, targets = read(Feed(replace(LEARNER, view_targets=exchanged), data, SmallFit(), 5))
    assert targets.sum(axis=0).tolist() == [10, 30]
    assert seeds == [(2,)]


@pytest.mark.parametrize(("prepare", "factor"), [(lambda images: images * 3, 3), (None, 1)])
def test_what_is_held_is_what_is_read(bright_or_dark: zarr.Array, prepare: Any, factor: int) -> None:
    learner = FitSpec(network, noisy, lambda images: images, 2, prepare)
    data = FitData(bright_or_dark, part(0, TRAIN), part(TRAIN, VALIDATION))
    held, read = (
        Feed(learner, data, SmallFit(batch_size=20, label_smoothing=0.1), 5, held_bytes)
        for held_bytes in ((TRAIN + VALIDATION) * 64, (TRAIN + VALIDATION) * 64 - 1)
    )
    assert held.held_images == TRAIN + VALIDATION
    assert read.held_images == 0
    for one, two in ((held.train(2), read.train(2)), (held.validation, read.validation)):
        for (views, targets), (read_views, read_targets) in zip(one, two, strict=True):
            np.testing.assert_array_equal(views, read_views)
            np.testing.assert_array_equal(targets, read_targets)
    seen = np.concatenate([views for views, _ in held.validation])
    np.testing.assert_array_equal(seen, bright_or_dark[TRAIN : TRAIN + VALIDATION] * factor)


def test_the_classes_are_learned(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    fitted = fit(plan(bright_or_dark, tmp_path, SmallFit(epochs=12)))
    assert fitted.history[-1].validation_accuracy > 0.8
    assert fitted.images_per_second > 0


def test_the_best_epoch_is_kept_and_a_stalled_fit_stops(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    # The better it learns the worse it does on swapped labels, so the first epochs are the best ones.
    recipe = SmallFit(epochs=40, stop_after=3, plateau_after=2, learning_rate={"adam": 0.03})
    fitted = fit(plan(bright_or_dark, tmp_path, recipe, flipped=True))
    losses = [record.validation_loss for record in fitted.history]
    assert fitted.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == fitted.best_epoch + 3
    rates = [record.learning_rate for record in fitted.history]
    assert rates[fitted.best_epoch + 1] == pytest.approx(0.03)
    assert rates[-1] == pytest.approx(0.03 * recipe.plateau_factor)
    assert all((one == two).all() for one, two in zip(fitted.weights, load_state(tmp_path).best_weights, strict=True))


def test_label_wave_keeps_the_epoch_at_which_the_predictions_settle_also_of_a_fit_that_was_stopped(
    bright_or_dark: zarr.Array, tmp_path: Path
) -> None:
    """A third of the labels are wrong: they are learned by heart after the predictions have settled."""
    rng = np.random.default_rng(3)
    train = part(0, TRAIN)
    train = replace(train, labels=np.where(rng.random(TRAIN) < 1 / 3, 1 - train.labels, train.labels))
    data = FitData(bright_or_dark, train, part(TRAIN, VALIDATION))
    recipe = SmallFit(epochs=14, keep="label-wave", weight_average=0.5, learning_rate={"adam": 0.03})
    outputs: list[np.ndarray] = []

    def watch(epoch: int, logits: np.ndarray) -> None:
        outputs.append(logits)

    fitted = fit(plan(bright_or_dark, tmp_path / "whole", recipe, data=data), on_outputs=watch)
    settled = settled_epoch(prediction_changes(np.stack(outputs)))
    assert settled < len(outputs), "the rule finds a minimum in this fit"
    assert (fitted.best_epoch, len(fitted.history)) == (settled, 14)
    kept = network("float32")
    kept.set_weights(fitted.weights)
    np.testing.assert_allclose(kept.predict(bright_or_dark[:TRAIN], verbose=0), outputs[settled - 1], atol=1e-4)

    def stop(record: EpochRecord) -> None:
        if record.epoch == settled + 1:
            raise KeyboardInterrupt

    stopped = plan(bright_or_dark, tmp_path / "stopped", recipe, data=data)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, stop)
    resumed = fit(stopped)
    assert resumed.best_epoch == settled
    for one, two in zip(fitted.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_the_cosine_rises_then_falls_to_nearly_nothing(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    recipe = SmallFit(schedule="cosine", epochs=10, batch_size=48)
    rates = [record.learning_rate for record in fit(plan(bright_or_dark, tmp_path, recipe)).history]
    assert rates[0] < rates[1]
    assert all(one > two for one, two in pairwise(rates[1:]))
    assert rates[-1] < 0.1 * max(rates)


def test_pixels_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    images = np.ones((TRAIN + VALIDATION, 4, 4, 1), np.float32)
    images[7, 2, 2] = np.nan
    with pytest.raises(NotFiniteError, match=r"not finite in epoch 1 \(learning rate 0.01, optimizer adam\)"):
        fit(plan(stored(tmp_path, images), tmp_path / "state", SmallFit()))
    assert load_state(tmp_path / "state").epoch == 0


def test_a_loss_that_is_not_finite_is_an_error(bright_or_dark: zarr.Array, tmp_path: Path) -> None:
    recipe = SmallFit(learning_rate={"sgd": 1e30})
    with pytest.raises(NotFiniteError, match="train_loss, validation_loss"):
        fit(plan(bright_or_dark, tmp_path, recipe, optimizer="sgd"))


@pytest.mark.parametrize(
    ("epochs", "min_steps", "asked", "expected"),
    [(30, 0, None, 30), (30, 300, None, 100), (30, 301, None, 101), (30, 300, 2, 2)],
)
def test_small_datasets_are_passed_over_more_often(
    bright_or_dark: zarr.Array, tmp_path: Path, epochs: int, min_steps: int, asked: int | None, expected: int
) -> None:
    planned = plan(bright_or_dark, tmp_path, SmallFit(epochs=epochs, min_steps=min_steps).with_overrides(asked, None))
    assert planned.steps == TRAIN // 32
    assert planned.most_epochs == expected


def test_only_the_newest_state_is_kept_and_comes_back_as_it_was(tmp_path: Path) -> None:
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]
    state = FitState(best_epoch=1, stalled=1, plateau=1, variables=arrays, best_weights=arrays[:1])
    for epoch in (1, 2):
        state.history.append(EpochRecord(epoch, 0.5, 0.7, 0.6, 0.6, 1e-3, 2.0))
        save_state(tmp_path, state)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000002"]
    loaded = load_state(tmp_path)
    assert loaded.history == state.history
    assert (loaded.best_epoch, loaded.stalled, loaded.plateau, loaded.best_loss) == (1, 1, 1, 0.6)
    for one, two in zip(loaded.variables + loaded.best_weights, arrays + arrays[:1], strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DeviceError, match="device=gpu, but TensorFlow finds no GPU"):
        choose_device("gpu")
    assert choose_device("auto").kind == "cpu"


MIRRORED = """
import sys
from itertools import pairwise
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from pathlib import Path
import importlib.util
spec = importlib.util.spec_from_file_location("case", sys.argv[1])
case = importlib.util.module_from_spec(spec)
spec.loader.exec_module(case)
case.fit_mirrored(Path(sys.argv[2]))
"""


def fit_mirrored(folder: Path) -> None:
    """Fit over two devices, stopped and resumed; runs in a process of its own."""
    rng = np.random.default_rng(0)
    signs = np.where(np.arange(TRAIN + VALIDATION) % 2, -1, 1).reshape(-1, 1, 1, 1)
    array = stored(folder, (rng.normal(size=(TRAIN + VALIDATION, 4, 4, 1)) + signs).astype(np.float32))
    device = Device("cpu", ("/cpu:0", "/cpu:1"), "float32")
    assert device.strategy().num_replicas_in_sync == 2
    for epochs in (2, 3):
        recipe = SmallFit(epochs=epochs, layer_decay=0.9, weight_average=0.5, head_epochs=1, weight_decay=0.01)
        fitted = fit(plan(array, folder / "state", recipe, device=device, spec=DEEP))
    losses = [record.train_loss for record in fitted.history]
    assert len(losses) == 3
    assert losses[2] < losses[0]


def test_several_devices_share_a_fit(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", MIRRORED, __file__, tmp_path], check=True, cwd=Path(__file__).parents[4])


class Rate:
    """An optimiser of which only the rate matters."""

    learning_rate = 0.1
    variables: tuple = ()


def plan_of(samples: int, **settings: Any) -> Fit:
    """A plan whose samples are only counted."""
    part = SplitPart([""] * samples, np.zeros(samples, np.int64), np.zeros(samples, np.int32), [""] * samples)
    data = FitData(None, part, part)  # type: ignore[arg-type]
    return Fit(LEARNER, data, SmallFit(**settings), "adam", 0, CPU, Path())


def take_in(losses: list[float], **settings: Any) -> tuple[list[tuple[int, int, int, float]], bool]:
    """Return best epoch, stalled, plateau and rate after each validation loss, and whether the fit is finished."""
    plan, model, optimizer, state = plan_of(1, epochs=9, **settings), network("float32"), Rate(), FitState()
    steps = []
    for epoch, loss in enumerate(losses, 1):
        record = EpochRecord(epoch, 1.0, 0.5, loss, 0.5, optimizer.learning_rate, 1.0)
        fitting._take_in(plan, model, optimizer, state, record)
        steps.append((state.best_epoch, state.stalled, state.plateau, optimizer.learning_rate))
    return steps, fitting._finished(plan, state)


def test_an_epoch_is_better_only_by_a_lower_loss_and_a_plateau_lowers_the_rate() -> None:
    steps, _ = take_in([0.5, 0.5, 0.6, 0.4, 0.4, 0.4, 0.4], plateau_after=2, plateau_factor=0.5)
    assert steps == [
        (1, 0, 0, 0.1),
        (1, 1, 1, 0.1),
        (1, 2, 0, 0.05),
        (4, 0, 0, 0.05),
        (4, 1, 1, 0.05),
        (4, 2, 0, 0.025),
        (4, 3, 1, 0.025),
    ]


def test_a_fixed_schedule_keeps_its_rate_and_patience_ends_the_fit() -> None:
    steps, finished = take_in([0.5, 0.6, 0.6], schedule="cosine", plateau_after=1, stop_after=2)
    assert [rate for *_, rate in steps] == [0.1, 0.1, 0.1]
    assert finished
    assert not take_in([0.5, 0.6], stop_after=2)[1]


@pytest.mark.parametrize(("samples", "steps"), [(32, 1), (33, 2), (64, 2), (65, 3)])
def test_steps_an_epoch_are_rounded_up_and_few_samples_take_more_epochs(samples: int, steps: int) -> None:
    plan = plan_of(samples, epochs=4, min_steps=9)
    assert plan.steps == steps
    assert plan.most_epochs == max(4, -(-9 // steps))


def test_a_fit_ends_after_its_last_epoch() -> None:
    assert not take_in([0.9 - number / 20 for number in range(8)])[1]
    assert take_in([0.9 - number / 20 for number in range(9)])[1]
