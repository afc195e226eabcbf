"""Training a galaxy classifier: fit on train, choose on validation, judge once on test, register.

TensorFlow takes long to import, so it is imported inside the task.
"""

import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from pydantic import BaseModel, ConfigDict, Field

from tasks.evaluation import CURVES, evaluate_model
from tasks.learning import measures
from tasks.learning.members import MEMBERS_FILE, training_members
from tasks.learning.parts import Part, PartError, part_rows, require_every_class
from tasks.provenance import code_version
from tasks.store.dataset import Dataset
from tasks.store.files import write_json
from tasks.tracking import TrackedRun, open_run
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from galaxy.presets import Preset
    from tasks.learning.checkpoints import EpochRecord
    from tasks.learning.devices import Device
    from tasks.learning.fitting import Fit, Fitted

PROBLEM = "galaxy"
SCORE_BATCH = 64
TEST_FIGURES = ("count", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "ece", "nll")


class TrainingBusyError(RuntimeError):
    """Another process is in the middle of the same training."""


class TrainRequest(BaseModel):
    """What to train on, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    scheme: str | None = None
    """None: the dataset's first scheme."""
    network: Literal["cnn"] = "cnn"
    optimizer: Literal["sgd", "adam"] = "adam"
    preset: Literal["deck", "tuned"] = "tuned"
    epochs: int | None = Field(default=None, ge=1)
    """None: the preset's rule."""
    batch_size: int | None = Field(default=None, ge=2)
    """Images; None: the preset's."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "gpu"] = "auto"
    grey: bool = False
    """Colour is replaced by luminance inside the model."""


@dataclass(frozen=True)
class Training:
    """A request with what it names opened and checked."""

    request: TrainRequest
    workspace: Workspace
    dataset: Dataset
    scheme: str
    classes: list[str]
    preset: "Preset"

    @property
    def size_px(self) -> int:
        """Width of the stored images."""
        return int(self.dataset.pixels.shape[1])

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
            "preset": self.request.preset,
            "device": str(device),
            "seed": str(self.request.seed),
            "code_version": code_version(),
        }


@task(name="train", description="Fit the network, choose on validation, judge on test, register", cache_policy=NO_CACHE)
def train(workspace: Workspace, request: TrainRequest) -> dict[str, Any]:
    """Train, and return the summary; an interrupted training goes on after its last finished epoch."""
    quiet_tensorflow()
    from tasks.learning.devices import choose_device
    from tasks.learning.fitting import fit

    started = time.monotonic()
    training = open_training(workspace, request)
    device = choose_device(request.device)
    run_logger().info("fitting on %s", device)
    parts = {name: part_rows(training.dataset, training.scheme, name) for name in ("train", "validation", "test")}
    require_every_class(parts["train"], training.classes, "the train part")
    folder = training.folder()
    grey = " grey" if request.grey else ""
    name = f"{training.scheme} {request.network} {request.preset} {request.optimizer}{grey} seed {request.seed}"
    with alone(folder), tracked(training, device, folder, name, _flat(training.preset), {}) as run:
        plan = plan_fit(training, parts["train"], parts["validation"], device, folder)
        fitted = fit(plan, lambda record: _log_epoch(run, record, plan.most_epochs))
        summary = _finish(training, fitted, parts, run, folder)
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


def open_training(workspace: Workspace, request: TrainRequest) -> Training:
    """Open the dataset, scheme and preset that a request names.

    Raises
    ------
    PartError
        The dataset is of another problem, or has no labels.
    """
    from galaxy.presets import load_preset

    dataset = Dataset.open(workspace, request.dataset)
    if dataset.manifest["problem"] != PROBLEM:
        raise PartError(f"dataset {dataset.name!r} is of problem {dataset.manifest['problem']!r}, not {PROBLEM}")
    if not dataset.schemes:
        raise PartError(f"dataset {dataset.name!r} version {dataset.version} has no labels: build it with a scheme")
    scheme = request.scheme or dataset.schemes[0]
    return Training(
        request, workspace, dataset, scheme, dataset.classes(scheme), load_preset(request.network, request.preset)
    )


def plan_fit(training: Training, train_part: Part, validation: Part, device: "Device", folder: Path) -> "Fit":
    """Return the fit of a training on the given parts."""
    from galaxy.augmentation import centre_view, random_view
    from galaxy.models import build_network, view_px
    from tasks.learning.fitting import Fit, Learner

    preset, request, size_px = training.preset, training.request, training.size_px
    width, classes = view_px(preset, size_px), len(training.classes)
    learner = Learner(
        lambda precision: build_network(preset, size_px, classes, grey=request.grey, precision=precision),
        lambda images, seed: random_view(images, seed, preset.augmentation, width),
        lambda images: centre_view(images, width),
        classes,
    )
    return Fit(
        learner,
        training.dataset.pixels,
        train_part,
        validation,
        preset.training,
        request.optimizer,
        request.seed,
        device,
        folder / "fit",
        request.epochs,
        request.batch_size,
    )


def fitted_model(training: Training, fitted: "Fitted") -> Any:
    """Return the model to save or score with: stored images to probabilities."""
    from galaxy.models import build_model

    return build_model(
        training.preset,
        training.size_px,
        len(training.classes),
        grey=training.request.grey,
        weights=fitted.weights,
    )


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
    training: Training, device: "Device", folder: Path, name: str, params: dict[str, Any], tags: dict[str, str]
) -> Iterator[TrackedRun]:
    """Open the MLflow run of what is done in `folder`; what goes on, goes on with its run."""
    record = folder / "run.json"
    run_id = json.loads(record.read_text(encoding="utf-8"))["run_id"] if record.exists() else None
    with open_run(
        training.workspace,
        problem=PROBLEM,
        run_name=name,
        params={**training.request.model_dump(exclude={"device"}), "scheme": training.scheme, **params},
        tags={**training.tags(device), **tags},
        dataset=training.dataset,
        run_id=run_id,
    ) as run:
        write_json(record, {"run_id": run.id})
        yield run


def _flat(preset: "Preset") -> dict[str, Any]:
    """Return a preset's settings under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in preset.model_dump(mode="json").items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"preset.{name}.{key}".rstrip("."): entry for key, entry in inner.items()}
    return flat


def run_logger() -> Any:
    """Return the logger of the present run, or this module's where a stage is called without Prefect."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)


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
    training: Training, fitted: "Fitted", parts: dict[str, Part], run: TrackedRun, folder: Path
) -> dict[str, Any]:
    """Calibrate on validation, judge on test, save and register."""
    from tasks.learning.saved import save_model
    from tasks.learning.scoring import score

    model, pixels = fitted_model(training, fitted), training.dataset.pixels
    on_validation = score(model, pixels, parts["validation"].rows, SCORE_BATCH)
    temperature = measures.fit_temperature(on_validation, parts["validation"].labels)
    validation = judge(on_validation, parts["validation"].labels, temperature)
    run.log_metrics(
        {
            **{f"chosen_validation_{name}": value for name, value in validation.items()},
            "temperature": temperature,
            "best_epoch": fitted.best_epoch,
            "images_per_second": fitted.images_per_second,
        }
    )
    run.log_folder(training.dataset.path / "validation", "validation")
    saved = folder / "model"
    card = save_model(model, saved, _card(training, temperature))
    pq.write_table(training_members(training.dataset), saved / MEMBERS_FILE)
    history = {name: [getattr(record, name) for record in fitted.history] for name in CURVES}
    test = evaluate_model(
        training.workspace,
        training.dataset,
        model,
        card,
        "test",
        training.scheme,
        history,
        run,
        best_epoch=fitted.best_epoch,
    )
    example = np.zeros((1, *pixels.shape[1:]), pixels.dtype)
    ref = run.log_model(model, saved, f"{PROBLEM}-{training.scheme}", example)
    return {
        "run_id": run.id,
        "model_uri": ref.uri,
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted.history),
        "validation": validation,
        "test": {name: test[name] for name in TEST_FIGURES},
        "report": test["report"],
        "images_per_second": round(fitted.images_per_second, 1),
    }


def judge(probabilities: np.ndarray, labels: np.ndarray, temperature: float) -> dict[str, Any]:
    """Return a part's figures: accuracy with Wilson's interval, macro-F1, and ECE and NLL at `temperature`."""
    predicted = probabilities.argmax(axis=1)
    calibrated = measures.apply_temperature(probabilities, temperature)
    accuracy = measures.accuracy(labels, predicted)
    return {
        "count": len(labels),
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "macro_f1": measures.macro_f1(measures.confusion(labels, predicted, probabilities.shape[1])),
        "ece": measures.ece(calibrated, labels),
        "nll": measures.nll(calibrated, labels),
    }


def _card(training: Training, temperature: float) -> dict[str, Any]:
    from galaxy.models import PREPROCESSING_VERSION

    manifest = training.dataset.manifest
    return {
        "problem": PROBLEM,
        "scheme": training.scheme,
        "scheme_digest": manifest["schemes"][training.scheme]["digest"],
        "classes": training.classes,
        "preprocessing_version": PREPROCESSING_VERSION,
        "grey": training.request.grey,
        "temperature": temperature,
        "operating_points": {},
        "dataset": training.dataset.name,
        "dataset_version": training.dataset.version,
        "dataset_digest": training.dataset.digest,
        "split_hash": manifest["split_hash"],
        "network": training.request.network,
        "preset": training.request.preset,
        "optimizer": training.request.optimizer,
        "seed": training.request.seed,
        "code_version": code_version(),
    }
