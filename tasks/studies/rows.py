"""The rows of a study and their setup: a training dataset, and a test survey with hidden truth.

A row trains on one dataset and chooses its epoch on that dataset's validation part. It is evaluated on another survey
against the hidden truth: reals are true transients that were not injected, bogus is what truly is bogus.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from realbogus.models.label_noise import NoiseKind
from realbogus.models.network_settings import Network, Profile, Size
from realbogus.models.preprocessing import Normalisation
from tasks.candidates.choices import Treatment
from tasks.candidates.methods import CandidateMethods
from tasks.candidates.presets import presets_digest
from tasks.candidates.rows import EvaluationRows, evaluation_rows
from tasks.candidates.training import REAL, CandidateTraining, CandidateTrainRequest, open_candidate_training
from tasks.learning.fits.fit_settings import Optimizer
from tasks.learning.split_parts import PartError, SplitPart
from tasks.runtime.cluster import Executor
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.pixels import PixelArray
from tasks.store.sampling import hash_order
from tasks.studies.choices import StudyHandling


class StudyRequest(BaseModel):
    """The parameters of every study."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    test_dataset: str
    seeds: list[int] = [0, 1, 2]
    epochs: int | None = Field(ge=1)
    """None: the preset's, of which few triplets get more."""
    limit: int | None = Field(default=None, ge=100)
    """Number of training triplets, selected by a hash of their ids; None: all."""
    folds: int = Field(default=5, ge=2)


class StudyRow(BaseModel):
    """One training of a study. Its fields name the files of its results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Name in tables; rows that differ in the seed alone share it."""
    seed: int
    network: Network = "complex"
    size: Size = "small"
    profile: Profile = "fixed"
    normalisation: Normalisation | None = None
    """None: the preset's."""
    treatment: Treatment = "all"
    loss_ce: float | None = None
    loss_ech: float | None = None
    loss_lds: float | None = None
    optimizer: Optimizer | None = None
    handling: StudyHandling = "none"
    noise_kind: NoiseKind = "none"
    noise: float = 0.0
    epochs: int | None = Field(default=None, ge=1)
    """None: the study's."""
    methods: CandidateMethods = CandidateMethods()
    """Changes of the preset for the fit that is evaluated; of these the fits that find suspects have `fresh_reals`."""
    train_reals: int | None = Field(default=None, ge=1)
    train_bogus: int | None = Field(default=None, ge=1)
    """Numbers of training triplets of either label, selected by a hash of their ids; None: all."""
    real_share: float | None = Field(default=None, gt=0, le=1)
    """In place of `train_reals` the share of the training triplets labelled real."""

    @model_validator(mode="after")
    def _reals_are_given_once(self) -> "StudyRow":
        if self.train_reals is not None and self.real_share is not None:
            raise ValueError(f"train_reals={self.train_reals} and real_share={self.real_share}: give one of them")
        return self

    @field_serializer("methods")
    def _given_methods(self, methods: CandidateMethods) -> dict[str, Any]:
        return methods.given


@dataclass(frozen=True)
class StudySetup:
    """The datasets and the folder that the rows of a study share.

    Attributes
    ----------
    workspace : Workspace
    request : StudyRequest
    folder : Path
        Holds rows, scores and folds.
    executor : Executor
        Runs folds.
    """

    workspace: Workspace
    request: StudyRequest
    folder: Path
    executor: Executor

    @cached_property
    def test(self) -> EvaluationRows:
        """The evaluated rows of the test survey: all parts, without injected reals.

        Raises
        ------
        PartError
            The test survey has no hidden truth.
        """
        dataset = Dataset.open(self.workspace, self.request.test_dataset)
        if dataset.truth() is None:
            raise PartError(f"dataset {dataset.name!r} has no hidden truth: a study is evaluated on a simulated survey")
        rows = evaluation_rows(dataset, dataset.schemes[0], "all")
        return rows.take(np.flatnonzero(rows.headline & (~rows.injected | ~rows.real)))

    @cached_property
    def test_pixels(self) -> PixelArray:
        """The test survey's pixels, (sample, y, x, channel)."""
        return Dataset.open(self.workspace, self.request.test_dataset).pixels

    def training(self, row: StudyRow, **changes: Any) -> CandidateTraining:
        """Open a row's training, with some fields of its request changed."""
        fields = (
            *("network", "size", "profile", "normalisation", "seed", "optimizer", "methods"),
            *("loss_ce", "loss_ech", "loss_lds"),
        )
        settings = {name: getattr(row, name) for name in fields}
        epochs = row.epochs or self.request.epochs
        request = {"dataset": self.request.dataset, "epochs": epochs, **settings, **changes}
        return open_candidate_training(self.workspace, CandidateTrainRequest(**request))

    def part(self, training: CandidateTraining, name: str) -> SplitPart:
        """Return a part of the training dataset; its train part holds at most `limit` samples."""
        part = training.part(name)
        limit = self.request.limit
        if name != "train" or limit is None or limit >= len(part):
            return part
        return part.take(np.sort(hash_order(part.ids, 0)[:limit]))

    def train_part(self, training: CandidateTraining, row: StudyRow) -> SplitPart:
        """Return a row's training part, as `part`, with the row's numbers of reals and bogus.

        A larger number of one class holds the smaller, whatever the number of the other.

        Raises
        ------
        PartError
            The part has fewer.
        """
        part = self.part(training, "train")
        order, kept = hash_order(part.ids, 0), np.ones(len(part), bool)
        reals = row.train_reals
        if row.real_share is not None:
            reals = max(1, round(row.real_share * int((part.labels == REAL).sum())))
        for name, label, count in (("real", REAL, reals), ("bogus", 1 - REAL, row.train_bogus)):
            of_label = order[part.labels[order] == label]
            if count is None:
                continue
            if count > len(of_label):
                raise PartError(
                    f"{count} training triplets labelled {name}: part 'train' of dataset {training.dataset.name!r} has "
                    f"{len(of_label)}"
                )
            kept[of_label[count:]] = False
        return part.take(np.flatnonzero(kept))


def study_folder(workspace: Workspace, name: str, request: StudyRequest) -> Path:
    """Return the folder of a study's rows.

    It follows from datasets, sizes and presets, so that a larger grid reuses rows, and rows of other presets are none.
    """
    sizes = request.model_dump(include={"epochs", "limit", "folds"})
    digests = [Dataset.open(workspace, reference).digest for reference in (request.dataset, request.test_dataset)]
    facts = json.dumps([sizes, digests, presets_digest()], sort_keys=True)
    return workspace.root / "studies" / f"{name}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
