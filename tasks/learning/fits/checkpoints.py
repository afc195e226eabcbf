"""The state of a fit after its last finished epoch, on disk: whole or absent, never half.

A folder holds one subfolder for the newest epoch with ``state.json`` and ``arrays.npz``. An epoch is written
beside, synced and renamed; older ones are removed after that.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.store.files import whole_folder

CURVES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
"""Metrics recorded for every epoch, under the same names in MLflow."""


@dataclass(frozen=True)
class EpochRecord:
    """Metrics of one epoch. Losses are in nats, accuracies in [0, 1]; epochs count from 1."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"loss {self.train_loss:.3f}, accuracy {self.train_accuracy:.3f}; validation loss "
            f"{self.validation_loss:.3f}, accuracy {self.validation_accuracy:.3f}; {self.seconds:.0f} s"
        )


@dataclass
class FitState:
    """The state from which the next epoch continues.

    Attributes
    ----------
    history : list of EpochRecord
    best_epoch : int
        Epoch of the lowest validation loss, 0 before the first.
    stalled : int
        Epochs since then.
    plateau : int
        Epochs since the validation loss improved or the rate was lowered.
    variables, best_weights : list of ndarray
        The network's and the optimiser's variables; the network's weights at `best_epoch`.
    means : ndarray, (n, classes), optional
        Running means of the training samples' predicted probabilities, where the fit has them.
    predicted : ndarray, (n,), optional
        The training samples' predicted classes after the last epoch, where the fit keeps that at which they settle.
    changes : list of int
        How many of them changed from each epoch to the next.
    settled_weights : list of ndarray
        The network's weights at the epoch at which they settle, as far as is known.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    stalled: int = 0
    plateau: int = 0
    variables: list[NDArray] = field(default_factory=list)
    best_weights: list[NDArray] = field(default_factory=list)
    means: NDArray | None = None
    predicted: NDArray | None = None
    changes: list[int] = field(default_factory=list)
    settled_weights: list[NDArray] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The last finished epoch, 0 before the first."""
        return len(self.history)

    @property
    def best_loss(self) -> float:
        """The lowest validation loss so far."""
        return self.history[self.best_epoch - 1].validation_loss if self.best_epoch else float("inf")


def save_state(folder: Path, state: FitState) -> None:
    """Write `state` as the newest epoch of `folder` and remove the older ones."""
    target = folder / _epoch_name(state.epoch)
    arrays: dict[str, NDArray] = {}
    for prefix, weights in _weight_lists(state).items():
        arrays |= {f"{prefix}_{number:04d}": array for number, array in enumerate(weights)}
    of_samples = {"means": state.means, "predicted": state.predicted}
    arrays |= {name: array for name, array in of_samples.items() if array is not None}
    numbers: dict[str, Any] = {
        "history": [asdict(record) for record in state.history],
        "best_epoch": state.best_epoch,
        "stalled": state.stalled,
        "plateau": state.plateau,
        "changes": state.changes,
    }
    with whole_folder(target) as path:
        np.savez(path / "arrays.npz", allow_pickle=False, **arrays)
        (path / "state.json").write_text(json.dumps(numbers), encoding="utf-8")
    for older in _epochs(folder)[:-1]:
        shutil.rmtree(older)


def load_state(folder: Path) -> FitState:
    """Return the state of the newest epoch in `folder`, or a fresh one."""
    epochs = _epochs(folder)
    if not epochs:
        return FitState()
    numbers = json.loads((epochs[-1] / "state.json").read_text(encoding="utf-8"))
    with np.load(epochs[-1] / "arrays.npz", allow_pickle=False) as arrays:
        names = sorted(arrays.files)
        lists = {
            prefix: [arrays[name] for name in names if name.startswith(f"{prefix}_")]
            for prefix in _weight_lists(FitState())
        }
        of_samples = {name: arrays[name] for name in ("means", "predicted") if name in names}
    history = [EpochRecord(**record) for record in numbers.pop("history")]
    return FitState(
        history=history,
        variables=lists["variable"],
        best_weights=lists["weight"],
        settled_weights=lists["settled"],
        means=of_samples.get("means"),
        predicted=of_samples.get("predicted"),
        **numbers,
    )


def _weight_lists(state: FitState) -> dict[str, list[NDArray]]:
    """Return the state's lists of arrays by the prefix of their names on disk."""
    return {"variable": state.variables, "weight": state.best_weights, "settled": state.settled_weights}


def _epoch_name(epoch: int) -> str:
    return f"epoch-{epoch:06d}"


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-[0-9]*"))
