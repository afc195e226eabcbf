"""Training a classifier: fit on train, calibrate on validation, evaluate once on test, register.

TensorFlow takes long to import, so it is imported inside the functions.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import zarr

from tasks.learning.fits.checkpoints import CURVES
from tasks.learning.split_parts import SplitPart, require_every_class
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.runtime.folder_lock import lock_folder
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.server.slots import device_slots, hold_slots
from tasks.tracking.mlflow_runs import TrackedRun
from tasks.tracking.model_registry import ModelRef
from tasks.training.evaluation_record import EvaluationRequest
from tasks.training.training_run import fit_details, open_training_run, record_epoch
from tasks.training.training_task import TrainingTask, model_card

if TYPE_CHECKING:
    from tasks.learning.fits.checkpoints import EpochRecord
    from tasks.learning.fits.devices import Device
    from tasks.learning.fits.fitting import Fitted, OnOutputs


def train_model(training: TrainingTask) -> dict[str, Any]:
    """Train, register and return the summary; an interrupted training resumes after its last finished epoch.

    Raises
    ------
    FolderBusyError
        Another process is in the middle of the same training.
    PartError
        A part of the split is empty, or the training part lacks a class.
    """
    started = time.monotonic()
    # What cannot be trained on is refused before TensorFlow is imported.
    train_part, validation = training.part("train"), training.part("validation")
    training.part("test")
    quiet_tensorflow()
    device = training.choose_device()
    run_logger().info("fitting on %s", device)
    folder = training.folder()
    with lock_folder(folder), open_training_run(training, device, folder, fit_details(training)) as run:

        def log_epoch(record: "EpochRecord", epochs: int) -> None:
            run_logger().info("epoch %d/%d: %s", record.epoch, epochs, record)
            record_epoch(run, record)

        fitted = fit_parts(training, (train_part, validation), device, folder / "fit", log_epoch)
        summary = _register(training, fitted, (train_part, validation), run, folder)
        shutil.rmtree(folder)
    return {**summary, "seconds": round(time.monotonic() - started, 1)}


def fit_parts(
    training: TrainingTask,
    parts: tuple[SplitPart, SplitPart],
    device: "Device",
    folder: Path,
    on_epoch: "Callable[[EpochRecord, int], None] | None" = None,
    pixels: zarr.Array | None = None,
    on_outputs: "OnOutputs | None" = None,
) -> "Fitted":
    """Fit the training's network to given samples, once no other flow of the workspace fits on the device.

    With `distill_teachers` its teachers are fitted before it; see `tasks.learning.fits.distillation`.

    Parameters
    ----------
    training : TrainingTask
    parts : (SplitPart, SplitPart)
        Training and validation samples.
    device : Device
    folder : Path
        Keeps the state of the last finished epoch.
    on_epoch : callable, optional
        Called with every finished epoch and the maximum number of epochs.
    pixels : zarr.Array, (sample, y, x, channel), optional
        What the rows of the parts refer to; None: the dataset's array.
    on_outputs : callable, optional
        As in `tasks.learning.fits.fitting.fit`.

    Raises
    ------
    PartError
        The training samples lack a class.
    """
    from tasks.learning.fits.distillation import fit_distilled
    from tasks.learning.fits.fit_spec import FitData
    from tasks.learning.fits.fitting import Fit, fit

    train_part, validation = parts
    require_every_class(train_part, training.classes, "the train part")
    request = training.request
    plan = Fit(
        training.fit_spec(train_part),
        FitData(training.dataset.pixels if pixels is None else pixels, train_part, validation),
        training.preset.training.with_overrides(request.epochs, request.batch_size),
        training.description.optimizer,
        request.seed,
        device,
        folder,
    )
    with hold_slots(training.workspace, device_slots(device.kind, len(device.names))):
        on_record = (lambda record: on_epoch(record, plan.most_epochs)) if on_epoch else None
        if plan.settings.distill_teachers:
            return fit_distilled(plan, on_record, on_outputs, run_logger().info)
        return fit(plan, on_record, on_outputs)


def _register(
    training: TrainingTask, fitted: "Fitted", parts: tuple[SplitPart, SplitPart], run: TrackedRun, folder: Path
) -> dict[str, Any]:
    """Calibrate on validation, evaluate on test, save and register; return the summary."""
    from tasks.learning.models.saved_models import save_model
    from tasks.learning.scoring import IMAGE_BATCH, score

    train_part, validation = parts
    model, pixels = training.model(fitted.weights), training.dataset.pixels
    outputs = score(model, pixels, validation.rows, IMAGE_BATCH)
    calibration, metrics = training.calibrate(outputs, validation, train_part)
    run.log_metrics(
        {
            **{f"chosen_validation_{name}": value for name, value in metrics.items()},
            "temperature": calibration["temperature"],
            "best_epoch": fitted.best_epoch,
            "images_per_second": fitted.images_per_second,
            **fitted.curve_figures,
        }
    )
    run.log_folder(training.dataset.path / "validation", "validation")
    saved = folder / "model"
    card = save_model(model, saved, {**model_card(training), **calibration})
    seen = training.seen_samples()
    pq.write_table(seen, saved / TRAINING_SAMPLES_FILE)
    test = training.evaluate(
        EvaluationRequest(
            training.workspace,
            training.dataset,
            model,
            card,
            "test",
            training.scheme,
            history={name: [getattr(record, name) for record in fitted.history] for name in CURVES},
            best_epoch=fitted.best_epoch,
            run=run,
            training_samples=seen,
        )
    )
    example = np.zeros((1, *pixels.shape[1:]), pixels.dtype)
    ref = run.log_model(model, saved, training.description.registered_name, example)
    return _summary(training, fitted, ref, metrics, test)


def _summary(
    training: TrainingTask, fitted: "Fitted", ref: ModelRef, validation: dict[str, Any], test: dict[str, Any]
) -> dict[str, Any]:
    description = training.description
    return {
        "run_id": ref.run_id,
        "model_uri": ref.uri,
        "best_epoch": fitted.best_epoch,
        "epochs": len(fitted.history),
        **fitted.curve_figures,
        "validation": validation,
        "test": {name: test[name] for name in description.test_figures},
        description.speed: round(fitted.images_per_second, 1),
        **description.summary,
        "report": test["report"],
    }
