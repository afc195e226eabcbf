"""Training a classifier: fit on train, choose on validation, judge once on test, register.

What a problem brings is its `TrainingTask`: which samples, what network, how it is judged. TensorFlow takes long to
import, so it is imported inside the task.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field

from tasks.learning.checkpoints import CURVES
from tasks.learning.split_parts import PartError, SplitPart, require_every_class
from tasks.learning.training_overlap import MEMBERS_FILE, training_members
from tasks.reports.page import Block
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import write_json
from tasks.tracking.mlflow_runs import TrackedRun, open_run

if TYPE_CHECKING:
    from tasks.learning.checkpoints import EpochRecord
    from tasks.learning.devices import Device
    from tasks.learning.fit_spec import FitSpec
    from tasks.learning.fitting import Fitted, Recipe

SCORE_BATCH = 64


class TrainingBusyError(RuntimeError):
    """Another process is in the middle of the same training."""


class TrainRequest(BaseModel):
    """What to train on, and how; a problem adds what is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    scheme: str | None = None
    """None: the dataset's first scheme."""
    epochs: int | None = Field(default=None, ge=1)
    """None: the preset's rule."""
    batch_size: int | None = Field(default=None, ge=2)
    """Samples a step; None: the preset's."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "gpu"] = "auto"


@dataclass(frozen=True)
class TrainingTask(ABC):
    """A request with what it names opened and checked.

    Attributes
    ----------
    request : TrainRequest
    workspace : Workspace
    dataset : Dataset
    scheme : str
    classes : list of str
        In the scheme's order.
    preset : pydantic model
        The problem's settings; `preset.training` is the recipe.
    """

    request: Any
    workspace: Workspace
    dataset: Dataset
    scheme: str
    classes: list[str]
    preset: Any

    PROBLEM: ClassVar[str]

    @property
    @abstractmethod
    def words(self) -> list[str]:
        """What tells this training from others of the dataset and scheme, in a few words."""

    @property
    @abstractmethod
    def registered_name(self) -> str:
        """The name that the model is registered under."""

    @property
    @abstractmethod
    def optimizer(self) -> Literal["sgd", "adam", "adadelta"]:
        """Which optimiser fits."""

    @abstractmethod
    def part(self, name: str) -> SplitPart:
        """Return the samples of a part of the split that this training takes."""

    @abstractmethod
    def learner(self, train: SplitPart) -> "FitSpec":
        """Return what is fitted to the samples `train`."""

    @abstractmethod
    def model(self, weights: list[NDArray]) -> Any:
        """Return the model to save or score with: stored samples to what it gives."""

    @abstractmethod
    def probabilities(self, outputs: NDArray) -> NDArray:
        """Return (n, classes) probabilities of what the model gives."""

    @abstractmethod
    def settle(
        self, outputs: NDArray, validation: SplitPart, train: SplitPart
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what is chosen on the validation part, for the card, and the figures there."""

    @abstractmethod
    def evaluate(
        self,
        model: Any,
        card: Mapping[str, Any],
        part: str,
        history: Mapping[str, Sequence[float]],
        run: TrackedRun,
        best_epoch: int,
    ) -> dict[str, Any]:
        """Judge the model and return the summary."""

    @abstractmethod
    def summary(self, test: Mapping[str, Any], validation: Mapping[str, Any], fitted: "Fitted") -> dict[str, Any]:
        """Return the problem's own entries of the training's summary."""

    @property
    @abstractmethod
    def preprocessing_version(self) -> str:
        """Version of what the model does before its network."""

    def pooled(
        self, part: SplitPart, probabilities: NDArray, folds: NDArray[np.int32]
    ) -> tuple[dict[str, Any], list[Block]]:
        """Return the problem's own figures of a cross-validation, and the blocks of its page.

        Parameters
        ----------
        part : SplitPart
            All judged samples.
        probabilities : (n, classes)
            Out of fold.
        folds : (n,)
        """
        return {}, []

    @property
    def recipe(self) -> "Recipe":
        """How the network is fitted."""
        recipe: Recipe = self.preset.training
        return recipe

    def identity(self, **more: Any) -> dict[str, Any]:
        """Return what decides the result, whatever the device."""
        asked = self.request.model_dump(exclude={"device", "dataset", "scheme"})
        return {
            **asked,
            "dataset": f"{self.dataset.name}@{self.dataset.version}",
            "dataset_digest": self.dataset.digest,
            "split_hash": self.dataset.manifest["split_hash"],
            "scheme": self.scheme,
            "settings": self.preset.model_dump(mode="json"),
            **more,
        }

    def folder(self, **more: Any) -> Path:
        """Return where this training keeps its state."""
        text = json.dumps(self.identity(**more), sort_keys=True)
        return self.workspace.root / "training" / hashlib.sha256(text.encode()).hexdigest()[:16]

    def tags(self, device: "Device") -> dict[str, str]:
        """Return what stands beside every figure of this training."""
        manifest = self.dataset.manifest
        return {
            "pixels": manifest["pixels"],
            "labels": manifest["label_kind"],
            "scheme": self.scheme,
            "split_hash": manifest["split_hash"],
            "dataset": f"{self.dataset.name}@{self.dataset.version}",
            "dataset_digest": self.dataset.digest,
            "device": str(device),
            "seed": str(self.request.seed),
            "code_version": code_version(),
        }

    def card(self) -> dict[str, Any]:
        """Return what ``model.json`` says of every training; a problem adds its own."""
        manifest = self.dataset.manifest
        return {
            "problem": self.PROBLEM,
            "scheme": self.scheme,
            "scheme_digest": manifest["schemes"][self.scheme]["digest"],
            "classes": self.classes,
            "preprocessing_version": self.preprocessing_version,
            "dataset": self.dataset.name,
            "dataset_version": self.dataset.version,
            "dataset_digest": self.dataset.digest,
            "split_hash": manifest["split_hash"],
            "optimizer": self.optimizer,
            "seed": self.request.seed,
            "code_version": code_version(),
        }


@task(name="train", description="Fit the network, choose on validation, judge on test, register", cache_policy=NO_CACHE)
def train(training: TrainingTask) -> dict[str, Any]:
    """Train, and return the summary; an interrupted training goes on after its last finished epoch."""
    quiet_tensorflow()
    from tasks.learning.devices import choose_device

    started = time.monotonic()
    device = choose_device(training.request.device)
    run_logger().info("fitting on %s", device)
    train_part, validation = training.part("train"), training.part("validation")
    training.part("test")  # what cannot be judged is not fitted
    folder = training.folder()
    with alone(folder), tracked(training, device, folder, run_name(training), flat(training.preset), {}) as run:
        fitted = fit_parts(
            training,
            train_part,
            validation,
            device,
            folder / "fit",
            lambda record, most: _log_epoch(run, record, most),
        )
        summary = _finish(training, fitted, train_part, validation, run, folder)
        shutil.rmtree(folder)
    return {**summary, "seconds": round(time.monotonic() - started, 1)}


def quiet_tensorflow() -> None:
    """Import TensorFlow without the start-up remarks that its C++ part writes whatever the log level is."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def open_labelled(workspace: Workspace, name: str, problem: str, scheme: str | None) -> tuple[Dataset, str]:
    """Return the dataset of a problem and the scheme that a request names.

    Raises
    ------
    PartError
        The dataset is of another problem, or has no labels.
    """
    dataset = Dataset.open(workspace, name)
    if dataset.manifest["problem"] != problem:
        raise PartError(f"dataset {dataset.name!r} is of problem {dataset.manifest['problem']!r}, not {problem}")
    if not dataset.schemes:
        raise PartError(f"dataset {dataset.name!r} version {dataset.version} has no labels: build it with a scheme")
    return dataset, scheme or dataset.schemes[0]


def fit_parts(
    training: TrainingTask,
    train_part: SplitPart,
    validation: SplitPart,
    device: "Device",
    folder: Path,
    on_epoch: "Callable[[EpochRecord, int], None] | None" = None,
) -> "Fitted":
    """Fit the training's network to given samples; its state is kept in `folder`.

    `on_epoch` is called with every finished epoch and the number of epochs at most.
    """
    from tasks.learning.fitting import Fit, fit

    require_every_class(train_part, training.classes, "the train part")
    request = training.request
    plan = Fit(
        training.learner(train_part),
        training.dataset.pixels,
        train_part,
        validation,
        training.recipe,
        training.optimizer,
        request.seed,
        device,
        folder,
        request.epochs,
        request.batch_size,
    )
    return fit(plan, (lambda record: on_epoch(record, plan.most_epochs)) if on_epoch else None)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process work in `folder` meanwhile.

    Raises
    ------
    TrainingBusyError
        One does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingBusyError(
            f"another process is in the middle of the same training ({folder}): wait for it, or choose another seed"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def tracked(
    training: TrainingTask, device: "Device", folder: Path, name: str, params: dict[str, Any], tags: dict[str, str]
) -> Iterator[TrackedRun]:
    """Open the MLflow run of what is done in `folder`; what goes on, goes on with its run."""
    record = folder / "run.json"
    run_id = json.loads(record.read_text(encoding="utf-8"))["run_id"] if record.exists() else None
    with open_run(
        training.workspace,
        problem=training.PROBLEM,
        run_name=name,
        params={**training.request.model_dump(exclude={"device"}), "scheme": training.scheme, **params},
        tags={**training.tags(device), **tags},
        dataset=training.dataset,
        run_id=run_id,
    ) as run:
        write_json(record, {"run_id": run.id})
        yield run


def run_name(training: TrainingTask) -> str:
    """Return what the training is called in MLflow."""
    return " ".join([training.scheme, *training.words, f"seed {training.request.seed}"])


def flat(preset: BaseModel) -> dict[str, Any]:
    """Return a preset's settings under dotted names."""
    flattened: dict[str, Any] = {}
    for name, value in preset.model_dump(mode="json").items():
        inner = value if isinstance(value, dict) else {"": value}
        flattened |= {f"preset.{name}.{key}".rstrip("."): entry for key, entry in inner.items()}
    return flattened


def _log_epoch(run: TrackedRun, record: "EpochRecord", most_epochs: int) -> None:
    run_logger().info("epoch %d/%d: %s", record.epoch, most_epochs, record)
    run.log_metrics(
        {
            "train_loss": record.train_loss,
            "train_accuracy": record.train_accuracy,
            "validation_loss": record.validation_loss,
            "validation_accuracy": record.validation_accuracy,
            "learning_rate": record.learning_rate,
        },
        step=record.epoch,
    )


def _finish(
    training: TrainingTask,
    fitted: "Fitted",
    train_part: SplitPart,
    validation: SplitPart,
    run: TrackedRun,
    folder: Path,
) -> dict[str, Any]:
    """Calibrate on validation, judge on test, save and register."""
    from tasks.learning.saved_models import save_model
    from tasks.learning.scoring import score

    model, pixels = training.model(fitted.weights), training.dataset.pixels
    outputs = score(model, pixels, validation.rows, SCORE_BATCH)
    settled, figures = training.settle(outputs, validation, train_part)
    run.log_metrics(
        {
            **{f"chosen_validation_{name}": value for name, value in figures.items()},
            "temperature": settled["temperature"],
            "best_epoch": fitted.best_epoch,
            "images_per_second": fitted.images_per_second,
        }
    )
    run.log_folder(training.dataset.path / "validation", "validation")
    saved = folder / "model"
    card = save_model(model, saved, {**training.card(), **settled})
    pq.write_table(training_members(training.dataset), saved / MEMBERS_FILE)
    history = {name: [getattr(record, name) for record in fitted.history] for name in CURVES}
    test = training.evaluate(model, card, "test", history, run, fitted.best_epoch)
    example = np.zeros((1, *pixels.shape[1:]), pixels.dtype)
    ref = run.log_model(model, saved, training.registered_name, example)
    return {
        "run_id": run.id,
        "model_uri": ref.uri,
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted.history),
        **training.summary(test, figures, fitted),
        "report": test["report"],
    }
