"""The MLflow run of a training: its name, parameters and tags, and its reopening after an interruption."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tasks.store.files import write_json
from tasks.tracking.mlflow_runs import TrackedRun, open_run
from tasks.training.training_task import TrainingTask, run_tags

if TYPE_CHECKING:
    from tasks.learning.fits.checkpoints import EpochRecord
    from tasks.learning.fits.devices import Device


@dataclass(frozen=True)
class RunDetails:
    """Name of an MLflow run, and its parameters and tags beside those of every training."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_training_run(
    training: TrainingTask, device: "Device", folder: Path, details: RunDetails
) -> Iterator[TrackedRun]:
    """Open the MLflow run that belongs to `folder`; resume the recorded run if there is one."""
    record = folder / "run.json"
    run_id = json.loads(record.read_text(encoding="utf-8"))["run_id"] if record.exists() else None
    with open_run(
        training.workspace,
        problem=training.problem,
        run_name=details.name,
        params={**flatten_request(training.request), "scheme": training.scheme, **details.params},
        tags={**run_tags(training, device), **details.tags},
        dataset=training.dataset,
        run_id=run_id,
    ) as run:
        write_json(record, {"run_id": run.id})
        yield run


def fit_details(training: TrainingTask) -> RunDetails:
    """Return the name of a training's run, and its preset's settings as parameters."""
    name = " ".join([training.scheme, *training.description.words, f"seed {training.request.seed}"])
    return RunDetails(name, flatten_settings(training.preset))


def flatten_request(request: BaseModel) -> dict[str, Any]:
    """Return a request's fields but the device; those of a nested model under dotted names, where they are not None."""
    flat: dict[str, Any] = {}
    for name, value in request.model_dump(exclude={"device"}).items():
        nested = isinstance(value, dict)
        flat |= (
            {f"{name}.{key}": entry for key, entry in value.items() if entry is not None} if nested else {name: value}
        )
    return flat


def flatten_settings(preset: BaseModel) -> dict[str, Any]:
    """Return a preset's settings under dotted names, such as ``preset.training.epochs``."""
    flat: dict[str, Any] = {}
    for name, value in preset.model_dump(mode="json").items():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"preset.{name}.{key}".rstrip("."): entry for key, entry in inner.items()}
    return flat


def record_epoch(run: TrackedRun, record: "EpochRecord") -> None:
    """Record an epoch's losses, accuracies and rate in the run."""
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
