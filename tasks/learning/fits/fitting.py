"""Fitting a network epoch by epoch, resumable after the last finished one.

Batches depend on seed and epoch alone, so a resumed fit sees the same batches as one that was not interrupted. The loop
over epochs is ours: Keras' ``BackupAndRestore`` saves weights and optimiser, but not the state of early stopping and of
the rate's schedule, so a resumed fit would differ.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.learning.fits.batches import naming_damage
from tasks.learning.fits.checkpoints import EpochRecord, FitState, load_state, save_state
from tasks.learning.fits.curves import curve_figures
from tasks.learning.fits.devices import Device
from tasks.learning.fits.fit_settings import FitSettings, Optimizer
from tasks.learning.fits.fit_spec import FitData, FitSpec
from tasks.learning.fits.optimizers import Steps, build_head_optimizer, build_optimizer
from tasks.learning.fits.running_means import update_means
from tasks.learning.fits.seeding import seeded
from tasks.learning.fits.view_batches import Feed
from tasks.learning.fits.weight_average import WeightAverage
from tasks.learning.labels.dynamics import settled_epoch
from tasks.runtime.progress import progress


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

    @property
    def curve_figures(self) -> dict[str, int | float]:
        """``epoch_to_95pct`` and ``generalisation_gap`` of the history."""
        return curve_figures(self.history, self.best_epoch)


@dataclass(frozen=True)
class Fit:
    """One fit: network, samples, settings, and the folder of its state.

    Attributes
    ----------
    spec : FitSpec
    data : FitData
    settings : FitSettings
    optimizer : str
        One of `tasks.learning.fits.optimizers.OPTIMIZERS`.
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
    def epoch_size(self) -> int:
        """Training samples an epoch."""
        train, fresh = self.data.train, self.spec.fresh
        return len(train) if fresh is None else fresh.size(train.labels)

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-self.epoch_size // self.settings.batch_size)

    @property
    def most_epochs(self) -> int:
        """Maximum number of epochs: the settings', or the number that `min_steps` takes."""
        return max(self.settings.epochs, math.ceil(self.settings.min_steps / self.steps))

    @property
    def head_epochs(self) -> int:
        """Epochs of the head alone."""
        return min(self.settings.head_epochs, self.most_epochs // 2)


OnOutputs = Callable[[int, NDArray], None]
"""Takes the number of an epoch, from 1, and the network's outputs (n, classes) for the plain training views."""


def fit(
    plan: Fit, on_epoch: Callable[[EpochRecord], None] | None = None, on_outputs: OnOutputs | None = None
) -> Fitted:
    """Fit a network, continuing after the last epoch saved in `plan.folder`.

    Parameters
    ----------
    plan : Fit
    on_epoch : callable, optional
        Called with the record of every epoch before its state is saved; a process killed in between repeats the epoch.
    on_outputs : callable, optional
        Called likewise with what the network predicts of the training part after the epoch; it costs another pass.

    Raises
    ------
    NotFiniteError
        A loss or a weight became NaN or infinite.
    DamagedPixelsError
        Pixels cannot be read.
    """
    state = load_state(plan.folder)
    if plan.spec.mean_decay is not None and state.means is None:
        state.means = np.zeros((len(plan.data.train), plan.spec.classes), np.float32)
    with seeded(plan.seed):
        fitted = _InTraining(plan, state)
    with naming_damage(plan.data.pixels), progress("training", plan.most_epochs * plan.steps) as advance:
        feed = Feed(plan.spec, plan.data, plan.settings, plan.seed)
        advance(state.epoch * plan.steps)
        counter = _StepCounter(advance)
        while not _finished(plan, state):
            fitted.prepare(state.epoch + 1)
            record = _run_epoch(feed, fitted, state, counter)
            with fitted.averaged():
                _require_finite(plan, fitted.network, record)
                _take_in(plan, fitted.network, fitted.optimizer, state, record)
                if on_outputs or state.means is not None or plan.settings.keep == "label-wave":
                    outputs = fitted.network.predict(feed.training_views(), verbose=0)
                    _follow_outputs(plan, fitted.network, state, outputs, on_outputs)
            state.variables = fitted.variables()
            advance.say(f"epoch {record.epoch}: validation loss {record.validation_loss:.3f}")
            if on_epoch:
                on_epoch(record)
            save_state(plan.folder, state)
    with fitted.averaged():
        return _result(plan, fitted.network, state)


class _InTraining:
    """A network in training, with its optimiser and the average of its weights.

    With `head_epochs` the head is fitted alone first, by an optimiser of its own; the body then keeps its weights and
    its normalisation's statistics.
    """

    def __init__(self, plan: Fit, state: FitState) -> None:
        self._plan = plan
        self._strategy = plan.device.strategy()
        with self._strategy.scope():
            self.network = self.trainer = plan.spec.build(plan.device.precision)
        decay = plan.settings.weight_average
        self.average = WeightAverage(self.network.weights, decay) if decay else None
        self._depths = _depths(plan, self.network)
        self._body = {layer: layer.trainable for layer in self.network.layers if self._depths.get(layer.name)}
        self._head_alone: bool | None = None
        self._saved_head_alone = state.epoch <= plan.head_epochs if state.epoch else None
        self._saved = state.variables[len(self._kept) :]
        if state.epoch:
            _restore(self._kept, state.variables[: len(self._kept)])

    @property
    def _kept(self) -> list[Any]:
        """What every epoch continues: the optimiser's variables are those of its stretch alone."""
        return [*self.network.variables, *([] if self.average is None else self.average.variables)]

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """The optimiser of the present epoch."""
        return self.trainer.optimizer

    def variables(self) -> list[NDArray]:
        """Return the values of all that the next epoch depends on."""
        return [keras.ops.convert_to_numpy(variable) for variable in (*self._kept, *self.optimizer.variables)]

    def averaged(self) -> AbstractContextManager[None]:
        """Give the network its averaged weights for a while, where it has an average."""
        return nullcontext() if self.average is None else self.average.in_place()

    def prepare(self, epoch: int) -> None:
        """Choose the layers and the optimiser of an epoch."""
        plan, head_alone = self._plan, epoch <= self._plan.head_epochs
        if head_alone == self._head_alone:
            return
        self._head_alone = head_alone
        for layer, trainable in self._body.items():
            layer.trainable = trainable and not head_alone
        with self._strategy.scope():
            self.trainer = plan.spec.trainer(self.network, plan.seed)
            self.trainer.compile(
                self._build_optimizer(head_alone),
                keras.losses.CategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
            )
            self.optimizer.build(self.network.trainable_variables)
        if self._saved_head_alone == head_alone:
            _restore(self.optimizer.variables, self._saved)

    def _build_optimizer(self, head_alone: bool) -> keras.optimizers.Optimizer:
        plan, decay = self._plan, self._plan.settings.layer_decay
        if head_alone:
            return build_head_optimizer(plan.optimizer, plan.settings)
        factors = {
            variable.path: decay ** self._depths.get(layer.name, 0)
            for layer in self.network.layers
            for variable in layer.trainable_variables
        }
        steps = Steps(plan.steps, plan.most_epochs - plan.head_epochs)
        return build_optimizer(plan.optimizer, plan.settings, steps, None if decay == 1 else factors)


def _depths(plan: Fit, network: keras.Model) -> Mapping[str, int]:
    """Return the depth of the network's layers by name where the settings need it, else nothing."""
    if plan.settings.layer_decay == 1 and not plan.head_epochs:
        return {}
    if plan.spec.depths is None:
        raise ValueError("layer_decay and head_epochs need a network whose head is known apart from its body")
    return plan.spec.depths(network)


def _run_epoch(feed: Feed, fitted: _InTraining, state: FitState, counter: keras.callbacks.Callback) -> EpochRecord:
    """Fit the epoch after those of the state and measure the validation part."""
    epoch = state.epoch + 1
    trainer, callbacks = fitted.trainer, [counter] if fitted.average is None else [counter, fitted.average]
    rate = float(keras.ops.convert_to_numpy(fitted.optimizer.learning_rate))
    started = time.monotonic()
    logs = trainer.fit(feed.train(epoch, state.means), shuffle=False, verbose=0, callbacks=callbacks).history
    seconds = time.monotonic() - started
    with fitted.averaged():
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
    """Add a finished epoch to the state; lower the rate on a plateau. No patience is lost on the head alone."""
    better = record.validation_loss < state.best_loss
    state.history.append(record)
    renewed = better or record.epoch <= plan.head_epochs
    state.stalled = 0 if renewed else state.stalled + 1
    state.plateau = 0 if renewed else state.plateau + 1
    if better:
        state.best_epoch, state.best_weights = record.epoch, network.get_weights()
    if plan.settings.schedule == "plateau" and state.plateau >= plan.settings.plateau_after:
        optimizer.learning_rate = record.learning_rate * plan.settings.plateau_factor
        state.plateau = 0


def _follow_outputs(
    plan: Fit, network: keras.Model, state: FitState, outputs: NDArray, on_outputs: OnOutputs | None
) -> None:
    """Take in the network's outputs (n, classes) for the training part after the state's last epoch."""
    if state.means is not None and plan.spec.mean_decay is not None:
        state.means = update_means(state.means, outputs, plan.spec.mean_decay)
    if plan.settings.keep == "label-wave":
        predicted = outputs.argmax(axis=1)
        if state.predicted is not None:
            state.changes.append(int((predicted != state.predicted).sum()))
        state.predicted = predicted
        if settled_epoch(state.changes) == state.epoch:
            state.settled_weights = network.get_weights()
    if on_outputs:
        on_outputs(state.epoch, outputs)


def _restore(variables: Sequence[Any], values: Sequence[NDArray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _finished(plan: Fit, state: FitState) -> bool:
    patience = plan.settings.stop_after
    return state.epoch >= plan.most_epochs or (patience is not None and state.stalled >= patience)


def _result(plan: Fit, network: keras.Model, state: FitState) -> Fitted:
    weights, epoch = {
        "best": (state.best_weights, state.best_epoch),
        "last": (network.get_weights(), state.epoch),
        "label-wave": (state.settled_weights, settled_epoch(state.changes)),
    }[plan.settings.keep]
    seconds = sum(record.seconds for record in state.history)
    return Fitted(
        weights=weights,
        history=state.history,
        best_epoch=epoch,
        images_per_second=plan.epoch_size * state.epoch / seconds if seconds else 0.0,
    )


class _StepCounter(keras.callbacks.Callback):
    """Advances a progress bar by one a step."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._advance(1)
