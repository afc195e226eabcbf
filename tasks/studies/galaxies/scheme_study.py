"""A study of arms under several class schemes of one dataset: its request, its rows, and the galaxies that it tests."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from galaxy.labels.scheme_sums import SchemeSums, find_sums
from galaxy.labels.schemes import Scheme, SchemeError
from tasks.galaxies.rows import unseen_rows
from tasks.galaxies.summed_answers import shipped_scheme
from tasks.galaxies.training import GalaxyTraining, open_galaxy_training
from tasks.learning.fits.fit_settings import DeviceName
from tasks.learning.split_parts import UNLABELLED, PartError, SplitPart
from tasks.learning.training_overlap import read_training_samples
from tasks.runtime.workspace import Workspace
from tasks.store.columns import drop_ids
from tasks.store.dataset import Dataset
from tasks.store.schema import GALAXY
from tasks.studies.galaxies.arms import TrainingArm
from tasks.training.evaluation_record import EvaluationError

NAME = "compare-schemes"
DECK_SCHEMES = ("deck-3", "deck-7", "deck-9", "deck-11")
TWO_CLASSES = "gz2-2class"
DEFAULT_SCHEMES = (*DECK_SCHEMES, TWO_CLASSES)


class SchemeStudyRequest(BaseModel):
    """What to train, and under which schemes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    test_dataset: str | None = None
    """None: the test part of `dataset`; else all labelled galaxies of another one that no training has seen."""
    schemes: list[str] | None = None
    """None: of `DEFAULT_SCHEMES` those that label the dataset."""
    arms: list[TrainingArm] = Field(min_length=1)
    seeds: list[int] = Field(default=[0], min_length=1)
    hierarchical: bool = True
    """Also answer for every scheme by sums of the finest one's model."""
    epochs: int | None = Field(default=None, ge=1)
    """None: each preset's rule."""
    device: DeviceName = "auto"

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds={seeds} names one twice")
        return seeds


@dataclass(frozen=True)
class OpenedRow:
    """One training of a study.

    Attributes
    ----------
    arm : TrainingArm
    scheme : str
    seed : int
    training : GalaxyTraining
    """

    arm: TrainingArm
    scheme: str
    seed: int
    training: GalaxyTraining

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The row's settings; ``training`` is a digest of all that determines the weights, also of the preset."""
        training = self.training.folder().name
        return {"arm": self.arm.name, "scheme": self.scheme, "seed": self.seed, "training": training}


@dataclass(frozen=True)
class SchemeStudy:
    """A study whose datasets are opened and checked.

    Attributes
    ----------
    workspace : Workspace
    request : SchemeStudyRequest
    dataset, test_dataset : Dataset
        One and the same where the test part is the dataset's own.
    schemes : list of str
        By number of classes.
    """

    workspace: Workspace
    request: SchemeStudyRequest
    dataset: Dataset
    test_dataset: Dataset
    schemes: list[str]

    @cached_property
    def rows(self) -> list[OpenedRow]:
        """Every training, one seed after another."""
        request = self.request
        return [
            OpenedRow(arm, scheme, seed, self.training(arm, scheme, seed))
            for seed in request.seeds
            for scheme in self.schemes
            for arm in request.arms
        ]

    def training(self, arm: TrainingArm, scheme: str, seed: int) -> GalaxyTraining:
        """Open the training of an arm under a scheme."""
        request = arm.request(f"{self.dataset.name}@{self.dataset.version}", scheme, seed, self.request.epochs)
        return open_galaxy_training(self.workspace, request.model_copy(update={"device": self.request.device}))

    @cached_property
    def folder(self) -> Path:
        """Folder of the rows; it follows from the data and the tested galaxies, so that a larger grid reuses them."""
        facts = json.dumps([self.dataset.digest, self.test_dataset.digest, self.scored.ids])
        return self.workspace.root / "studies" / f"{NAME}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"

    @property
    def test_part(self) -> str:
        """Part of the test dataset that is tested."""
        return "test" if self.request.test_dataset is None else "all"

    @cached_property
    def seen_samples(self) -> pa.Table:
        """The samples that any training, or the model that one starts from, has seen; see `training_overlap`."""
        seen = read_training_samples(self.dataset)
        for table in {row.training.initial.sha256: row.training.earlier_samples for row in self.rows}.values():
            if table is not None:
                others = drop_ids(table.select(seen.column_names), seen["id"])
                seen = pa.concat_tables([seen, others.cast(seen.schema)])
        return seen

    @cached_property
    def tests(self) -> dict[str, tuple[SplitPart, int]]:
        """The tested galaxies by scheme of the test dataset, and the number left out because a training saw them."""
        found = {}
        for scheme in self.test_dataset.schemes:
            try:
                rows, overlap = unseen_rows(self.test_dataset, scheme, self.test_part, self.seen_samples)
            except (EvaluationError, PartError):
                if scheme in self.schemes:
                    raise
                continue  # no galaxy of a scheme that nobody asks for
            found[scheme] = (rows, overlap or 0)
        return found

    @cached_property
    def scored(self) -> SplitPart:
        """The galaxies that every model scores: those tested under any scheme, so that its answers can be summed."""
        ids: dict[str, int] = {}
        for part, _ in self.tests.values():
            ids |= dict(zip(part.ids, part.rows.tolist(), strict=True))
        names = sorted(ids, key=ids.__getitem__)
        rows = np.array([ids[name] for name in names], np.int64)
        return SplitPart(names, rows, np.full(len(names), UNLABELLED, np.int32), names)

    def rules(self, scheme: str) -> Scheme | None:
        """Return the rules of a shipped scheme; None of a user's, of which the dataset has only the labels."""
        return shipped_scheme(scheme, str(self.dataset.manifest["schemes"][scheme]["digest"]))

    @cached_property
    def finest(self) -> str:
        """The scheme of most classes."""
        return self.schemes[-1]

    @cached_property
    def sums(self) -> dict[str, SchemeSums]:
        """By coarser scheme, how the finest one's classes add up to it; those of other catalogues are absent."""
        fine = self.rules(self.finest)
        found: dict[str, SchemeSums] = {}
        for scheme in self.schemes[:-1] if self.request.hierarchical and fine else ():
            coarse = self.rules(scheme)
            try:
                found |= {} if fine is None or coarse is None else {scheme: find_sums(fine, coarse)}
            except SchemeError:
                continue  # another catalogue's classes: the table shows a dash
        return found


def open_scheme_study(workspace: Workspace, request: SchemeStudyRequest) -> SchemeStudy:
    """Open and check the datasets of a request.

    Raises
    ------
    EvaluationError
        A dataset is not of galaxies or lacks a scheme, the two differ in a scheme's rules or in the images' shape, or
        an arm fits its head alone.
    """
    dataset = Dataset.open(workspace, request.dataset)
    test_dataset = dataset if request.test_dataset is None else Dataset.open(workspace, request.test_dataset)
    labelled = [scheme for scheme in DEFAULT_SCHEMES if scheme in dataset.schemes]
    schemes = list(dict.fromkeys(request.schemes or labelled or DECK_SCHEMES))
    for of in (dataset, test_dataset):
        _require_schemes(of, schemes)
    _require_comparable(dataset, test_dataset, schemes)
    heads = [arm.name for arm in request.arms if arm.fitting != "all"]
    if heads:
        raise EvaluationError(f"arm {heads[0]!r} has fitting=head, but {NAME} fits all layers: leave fitting out")
    by_classes = sorted(schemes, key=lambda scheme: len(dataset.classes(scheme)))
    return SchemeStudy(workspace, request, dataset, test_dataset, by_classes)


def _require_comparable(dataset: Dataset, test_dataset: Dataset, schemes: Sequence[str]) -> None:
    """Refuse two datasets whose labels follow other rules, or whose images have another shape."""
    for scheme in schemes:
        first, second = (of.manifest["schemes"][scheme]["digest"] for of in (dataset, test_dataset))
        if first != second:
            raise EvaluationError(
                f"datasets {dataset.name!r} and {test_dataset.name!r} are labelled by other rules under the name "
                f"{scheme!r} (digests {first[:12]} and {second[:12]}): test on a dataset of the same scheme"
            )
    first_shape, second_shape = (list(of.pixels.shape[1:]) for of in (dataset, test_dataset))
    if first_shape != second_shape:
        raise EvaluationError(
            f"images of {test_dataset.name!r} have shape {second_shape}, those of {dataset.name!r} {first_shape}: "
            "build the test dataset with the same size_px"
        )


def _require_schemes(dataset: Dataset, schemes: list[str]) -> None:
    if dataset.manifest["problem"] != GALAXY:
        raise EvaluationError(f"dataset {dataset.name!r} is of problem {dataset.manifest['problem']!r}, not {GALAXY}")
    missing = [scheme for scheme in schemes if scheme not in dataset.schemes]
    if missing:
        raise EvaluationError(
            f"dataset {dataset.name!r} has no labels of scheme {', '.join(missing)} (it has "
            f"{', '.join(dataset.schemes) or 'none'}): add them with backfill-class-scheme -p dataset={dataset.name} "
            f"-p scheme={missing[0]}, or name the schemes to compare in schemes"
        )
