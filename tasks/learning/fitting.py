"""Fitting a network epoch by epoch, resumable after the last finished one.

Batches depend on seed and epoch alone, so a resumed fit sees the same batches as one that was not interrupted. The loop
over epochs is ours: Keras' ``BackupAndRestore`` saves weights and optimiser, but not the state of early stopping and of
the rate's schedule, so a resumed fit would differ.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.learning.batches import naming_damage
from tasks.learning.checkpoints import EpochRecord, FitState, load_state, save_state
from tasks.learning.devices import Device
from tasks.learning.fit_settings import FitSettings, Optimizer
from tasks.learning.fit_spec import FitData, FitSpec
from tasks.learning.seeding import seeded
from tasks.learning.view_batches import Feed
from tasks.runtime.progress import progress

OPTIMIZERS: dict[Optimizer, Callable[[Any, float | None, FitSettings], keras.optimizers.Optimizer]] = {
    "sgd": lambda rate, decay, fit: keras.optimizers.SGD(rate, momentum=fit.momentum, weight_decay=decay),
    "adam": lambda rate, decay, fit: keras.optimizers.Adam(rate, weight_decay=decay),
    "adadelta": lambda rate, decay, fit: keras.optimizers.Adadelta(rate, weight_decay=decay),
}
"""Optimisers by name: from rate (a number or a schedule), weight decay and settings of the fit."""

_NOT_DECAYED = ["bias", "gamma", "beta"]


class NotFiniteError(RuntimeError):
    """A loss or a weight became NaN or infinite."""


@dataclass(frozen=True)
class Fitted:
    """A fitted network.

    Attributes
    ----------
    weights : list of ndarray
        Weights of the epoch that the settings keep.
    history : list of EpochRecord
    best_epoch : int
        The epoch of the weights.
    images_per_second : float
        Training images a second, over all epochs.
    """

    weights: list[NDArray]
    history: list[EpochRecord]
    best_epoch: int
    images_per_second: float


@dataclass(frozen=True)
class Fit:
    """One fit: network, samples, settings, and the folder of its state.

    Attributes
    ----------
    spec : FitSpec
    data : FitData
    settings : FitSettings
    optimizer : str
        One of `OPTIMIZERS`.
    seed : int
    device : Device
    folder : Path
        Holds the state of the last finished epoch.
    """

    spec: FitSpec
    data: FitData
    settings: FitSettings
    optimizer: Optimizer
    seed: int
    device: Device
    folder: Path

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-len(self.data.train) // self.settings.batch_size)

    @property
    def most_epochs(self) -> int:
        """Maximum number of epochs: the settings', or the number that `min_steps` takes."""
        return max(self.settings.epochs, math.ceil(self.settings.min_steps / self.steps))


def fit(plan: Fit, on_epoch: Callable[[EpochRecord], None] | None = None) -> Fitted:
    """Fit a network, continuing after the last epoch saved in `plan.folder`.

    Parameters
    ----------
    plan : Fit
    on_epoch : callable, optional
        Called with the record of every epoch before its state is saved; a process killed in between repeats the epoch.

    Raises
    ------
    NotFiniteError
        A loss or a weight became NaN or infinite.
    DamagedPixelsError
        Pixels cannot be read.
    """
    with seeded(plan.seed), plan.device.strategy().scope():
        network = plan.spec.build(plan.device.precision)
        trainer = plan.spec.trainer(network, plan.seed)
        trainer.compile(
            build_optimizer(plan), keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
        )
        trainer.optimizer.build(network.trainable_variables)
    state = load_state(plan.folder)
    if state.epoch:
        _restore(network, trainer.optimizer, state.variables)
    with naming_damage(plan.data.pixels), progress("training", plan.most_epochs * plan.steps) as advance:
        feed = Feed(plan.spec, plan.data, plan.settings, plan.seed)
        advance(state.epoch * plan.steps)
        counter = _StepCounter(advance)
        while not _finished(plan, state):
            record = _run_epoch(feed, trainer, state.epoch + 1, counter)
            _require_finite(plan, network, record)
            _take_in(plan, network, trainer.optimizer, state, record)
            if on_epoch:
                on_epoch(record)
            save_state(plan.folder, state)
    return _result(plan, network, state)


def build_optimizer(plan: Fit) -> keras.optimizers.Optimizer:
    """Return the optimiser of a plan, with its schedule and decay.

    Raises
    ------
    ValueError
        `OPTIMIZERS` lacks the name, or the settings have no learning rate for it.
    """
    settings = plan.settings
    usable = [name for name in OPTIMIZERS if name in settings.learning_rate]
    if plan.optimizer not in usable:
        raise ValueError(f"optimizer={plan.optimizer} cannot be used with these settings; use {', '.join(usable)}")
    highest = settings.learning_rate[plan.optimizer]
    rate: Any = highest
    if settings.schedule == "cosine":
        warming = min(plan.steps, plan.most_epochs * plan.steps // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            highest / 20,
            max(1, plan.most_epochs * plan.steps - warming),
            alpha=0.01,
            warmup_target=highest,
            warmup_steps=warming,
        )
    decay = settings.weight_decay or None
    optimizer = OPTIMIZERS[plan.optimizer](rate, decay, settings)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


def _run_epoch(feed: Feed, trainer: keras.Model, epoch: int, counter: keras.callbacks.Callback) -> EpochRecord:
    """Fit one epoch and measure the validation part."""
    rate = float(keras.ops.convert_to_numpy(trainer.optimizer.learning_rate))
    started = time.monotonic()
    logs = trainer.fit(feed.train(epoch), shuffle=False, verbose=0, callbacks=[counter]).history
    seconds = time.monotonic() - started
    validation = trainer.evaluate(feed.validation, return_dict=True, verbose=0)
    return EpochRecord(
        epoch=epoch,
        train_loss=float(logs["loss"][0]),
        train_accuracy=float(logs["accuracy"][0]),
        validation_loss=float(validation["loss"]),
        validation_accuracy=float(validation["accuracy"]),
        learning_rate=rate,
        seconds=seconds,
    )


def _require_finite(plan: Fit, network: keras.Model, record: EpochRecord) -> None:
    """Refuse NaN and infinity; TensorFlow's ReLU turns NaN into 0, so losses alone do not show them."""
    broken = [name for name in ("train_loss", "validation_loss") if not math.isfinite(getattr(record, name))]
    weights = ((weight.path, keras.ops.convert_to_numpy(weight)) for weight in network.weights)
    broken += [name for name, values in weights if not np.isfinite(values).all()][:1]
    if broken:
        raise NotFiniteError(
            f"{', '.join(broken)} not finite in epoch {record.epoch} (learning rate {record.learning_rate:g}, "
            f"optimizer {plan.optimizer}): choose another optimizer, preset or seed, or look at the dataset's images"
        )


def _take_in(
    plan: Fit, network: keras.Model, optimizer: keras.optimizers.Optimizer, state: FitState, record: EpochRecord
) -> None:
    """Add a finished epoch to the state; lower the rate on a plateau."""
    better = record.validation_loss < state.best_loss
    state.history.append(record)
    state.stalled = 0 if better else state.stalled + 1
    state.plateau = 0 if better else state.plateau + 1
    if better:
        state.best_epoch, state.best_weights = record.epoch, network.get_weights()
    if plan.settings.schedule == "plateau" and state.plateau >= plan.settings.plateau_after:
        optimizer.learning_rate = record.learning_rate * plan.settings.plateau_factor
        state.plateau = 0
    state.variables = [keras.ops.convert_to_numpy(variable) for variable in _variables(network, optimizer)]


def _variables(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    return [*network.variables, *optimizer.variables]


def _restore(network: keras.Model, optimizer: keras.optimizers.Optimizer, values: list[NDArray]) -> None:
    for variable, value in zip(_variables(network, optimizer), values, strict=True):
        variable.assign(value)


def _finished(plan: Fit, state: FitState) -> bool:
    patience = plan.settings.stop_after
    return state.epoch >= plan.most_epochs or (patience is not None and state.stalled >= patience)


def _result(plan: Fit, network: keras.Model, state: FitState) -> Fitted:
    best = plan.settings.keep == "best"
    seconds = sum(record.seconds for record in state.history)
    return Fitted(
        weights=state.best_weights if best else network.get_weights(),
        history=state.history,
        best_epoch=state.best_epoch if best else state.epoch,
        images_per_second=len(plan.data.train) * state.epoch / seconds if seconds else 0.0,
    )


class _StepCounter(keras.callbacks.Callback):
    """Advances a progress bar by one a step."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._advance(1)
