"""What every problem's training has: its request, the dataset it names, and what the problem decides.

A problem derives from `TrainingTask` in `tasks.galaxies.training` or `tasks.candidates.training`.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from expectations.split_shares import PARTS
from tasks.learning.fits.fit_settings import DeviceName, Optimizer
from tasks.learning.split_parts import PartError, SplitPart, part_rows
from tasks.learning.training_overlap import read_training_samples
from tasks.reports.page import Block
from tasks.runtime.provenance import code_version
from tasks.runtime.workspace import Workspace
from tasks.server.slots import GPU_POOL, is_of_gpu_pool
from tasks.store.columns import drop_ids
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import EvaluationRequest
from tasks.training.methods import PresetMethods

if TYPE_CHECKING:
    from tasks.learning.fits.devices import Device
    from tasks.learning.fits.fit_spec import FitSpec


class TrainRequest(BaseModel):
    """What to train on, and how; a problem adds its own fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    scheme: str | None = None
    """None: the dataset's first scheme."""
    epochs: int | None = Field(default=None, ge=1)
    """None: the preset's rule."""
    batch_size: int | None = Field(default=None, ge=2)
    """Samples a step; None: the preset's."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: DeviceName = "auto"
    labels: str | None = None
    """Name of a relabelling, used for the training part alone; None: the original labels."""
    methods: PresetMethods = PresetMethods()
    """Changes of the preset, of the problem's own type; null: none."""

    @field_validator("methods", mode="before")
    @classmethod
    def _null_is_no_method(cls, given: Any) -> Any:
        return {} if given is None else given


@dataclass(frozen=True)
class TrainingDescription:
    """How a training is named and recorded.

    Attributes
    ----------
    words : list of str
        Distinguish this training from others on the same dataset and scheme.
    registered_name : str
        Name in the model registry.
    optimizer : str
    preprocessing_version : str
        Version of the preprocessing inside the model.
    card, tags : dict
        The problem's own entries of ``model.json`` and tags of the MLflow run.
    summary : dict
        The problem's own entries of the summary of a training or a cross-validation.
    test_figures : tuple of str
        Entries of the evaluation's summary that the training's summary repeats.
    speed : str
        Name of the fitting speed in the summary.
    """

    words: list[str]
    registered_name: str
    optimizer: Optimizer
    preprocessing_version: str
    card: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    test_figures: tuple[str, ...] = ()
    speed: str = "samples_per_second"


@dataclass(frozen=True)
class TrainingTask(ABC):
    """A training request whose dataset, scheme and preset are opened and checked.

    Attributes
    ----------
    request : TrainRequest
    workspace : Workspace
    dataset : Dataset
    scheme : str
    preset : pydantic model
        The problem's settings; `preset.training` is a `FitSettings`.
    """

    request: Any
    workspace: Workspace
    dataset: Dataset
    scheme: str
    preset: Any

    @property
    @abstractmethod
    def description(self) -> TrainingDescription:
        """How this training is named and recorded."""

    @abstractmethod
    def part(self, name: str) -> SplitPart:
        """Return the samples of a part of the split that this training uses."""

    @abstractmethod
    def fit_spec(self, train: SplitPart) -> "FitSpec":
        """Return the network, views and losses for a fit to the samples `train`."""

    @abstractmethod
    def model(self, weights: list[NDArray]) -> Any:
        """Return the model to save or score with: stored samples to outputs (n, classes)."""

    @abstractmethod
    def probabilities(self, outputs: NDArray) -> NDArray:
        """Return class probabilities (n, classes) of the model's outputs (n, classes)."""

    @abstractmethod
    def calibrate(
        self, outputs: NDArray, validation: SplitPart, train: SplitPart
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the model card's entries that are chosen on the validation part, and the metrics there.

        Parameters
        ----------
        outputs : (n, classes)
            The model's outputs on `validation`.
        validation, train : SplitPart
        """

    @abstractmethod
    def evaluate(self, request: EvaluationRequest) -> dict[str, Any]:
        """Evaluate the trained model and return the summary."""

    def summarise_folds(
        self, part: SplitPart, outputs: NDArray, folds: NDArray[np.int32]
    ) -> tuple[dict[str, Any], list[Block]]:
        """Return the problem's own metrics of a cross-validation, and blocks of its page.

        Parameters
        ----------
        part : SplitPart
            All n labelled samples.
        outputs : (n, classes)
            Out-of-fold outputs.
        folds : (n,)
            The fold of each sample.
        """
        return {}, []

    @property
    def earlier_samples(self) -> pa.Table | None:
        """Samples that the initial weights were fitted to, columns of `training_overlap.COLUMNS`; None: none known."""
        return None

    def seen_samples(self) -> pa.Table:
        """Return the samples, columns as above, that the trained model will have seen."""
        own, earlier = read_training_samples(self.dataset), self.earlier_samples
        if earlier is None:
            return own
        others = drop_ids(earlier.select(own.column_names), own["id"])
        return pa.concat_tables([own, others.cast(own.schema)])

    @property
    def classes(self) -> list[str]:
        """Names of the classes in the scheme's order."""
        return self.dataset.classes(self.scheme)

    @property
    def problem(self) -> str:
        """The dataset's problem, galaxy or realbogus."""
        return str(self.dataset.manifest["problem"])

    @property
    def relabelling(self) -> dict[str, str]:
        """Name and sha256 of the relabelling that the training part has; empty for the original labels."""
        name = self.request.labels
        return {} if name is None else {"labels": name, "labels_sha256": self.dataset.labels_sha256(self.scheme, name)}

    def choose_device(self) -> "Device":
        """Return the device to fit on, with the precision of the preset; it imports TensorFlow.

        Raises
        ------
        DeviceError
            A GPU was requested and there is none: by ``device=gpu``, or by sending the run to the work pool of GPUs.
        """
        from tasks.learning.fits.devices import choose_device

        wanted, asked = self.request.device, "device=gpu"
        if wanted == "auto" and is_of_gpu_pool():
            wanted, asked = "gpu", f"device=auto in the work pool {GPU_POOL!r}"
        return choose_device(wanted, self.preset.training.mixed_precision, asked)

    def identity(self, **more: Any) -> dict[str, Any]:
        """Return all that determines the result; the device does not."""
        return {
            **self.request.model_dump(exclude={"device", "dataset", "scheme"}),
            "dataset": f"{self.dataset.name}@{self.dataset.version}",
            "dataset_digest": self.dataset.digest,
            "split_hash": self.dataset.manifest["split_hash"],
            "scheme": self.scheme,
            "settings": self.preset.model_dump(mode="json"),
            **more,
        }

    def folder(self, **more: Any) -> Path:
        """Return the folder of this training's resumable state, named by a digest of `identity`."""
        text = json.dumps(self.identity(**more), sort_keys=True)
        return self.workspace.root / "training" / hashlib.sha256(text.encode()).hexdigest()[:16]


def data_tags(dataset: Dataset) -> dict[str, str]:
    """Return the MLflow tags by which a number says what data and code it comes from."""
    manifest = dataset.manifest
    return {
        "pixels": manifest["pixels"],
        "labels": manifest["label_kind"],
        "split_hash": manifest["split_hash"],
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset_digest": dataset.digest,
        "code_version": code_version(),
    }


def run_tags(training: TrainingTask, device: "Device") -> dict[str, str]:
    """Return the MLflow tags of a training."""
    return {
        **data_tags(training.dataset),
        "kind": "training",
        "scheme": training.scheme,
        "device": str(device),
        "seed": str(training.request.seed),
        **{name.replace("labels", "relabelling"): value for name, value in training.relabelling.items()},
        **training.description.tags,
    }


def model_card(training: TrainingTask) -> dict[str, Any]:
    """Return the entries of ``model.json`` that are known before the fit."""
    dataset, manifest, description = training.dataset, training.dataset.manifest, training.description
    return {
        "problem": training.problem,
        "scheme": training.scheme,
        "scheme_digest": manifest["schemes"][training.scheme]["digest"],
        "classes": training.classes,
        "preprocessing_version": description.preprocessing_version,
        "dataset": dataset.name,
        "dataset_version": dataset.version,
        "dataset_digest": dataset.digest,
        "split_hash": manifest["split_hash"],
        "optimizer": description.optimizer,
        "seed": training.request.seed,
        "code_version": code_version(),
        **training.relabelling,
        **description.card,
    }


def open_labelled(
    workspace: Workspace, name: str, problem: str, scheme: str | None, *, every_part: bool = False
) -> tuple[Dataset, str]:
    """Return a labelled dataset and the scheme to train on: `scheme`, else the dataset's first.

    Parameters
    ----------
    workspace : Workspace
    name, problem : str
    scheme : str or None
    every_part : bool
        Whether each part of the split is needed.

    Raises
    ------
    PartError
        The dataset is of another problem, has no labels, lacks the scheme, or lacks labelled samples of a part that is
        needed.
    """
    dataset = Dataset.open(workspace, name)
    if dataset.manifest["problem"] != problem:
        raise PartError(f"dataset {dataset.name!r} is of problem {dataset.manifest['problem']!r}, not {problem}")
    if not dataset.schemes:
        raise PartError(f"dataset {dataset.name!r} version {dataset.version} has no labels: build it with a scheme")
    scheme = scheme or dataset.schemes[0]
    dataset.classes(scheme)  # refuses a scheme that the dataset lacks
    for part in PARTS if every_part else ():
        part_rows(dataset, scheme, part)  # refuses a part without labelled samples
    return dataset, scheme
