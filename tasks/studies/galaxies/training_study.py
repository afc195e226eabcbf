"""A study of ways to train, cross-validated at several numbers of training images: its request and its fits."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.galaxies.soft_labels import has_vote_shares
from tasks.galaxies.training import GalaxyTraining, open_galaxy_training
from tasks.learning.fits.fit_settings import DeviceName
from tasks.learning.part_sizes import shrink_parts
from tasks.learning.scoring import IMAGE_BATCH
from tasks.learning.split_parts import ALL, PartError, SplitPart, draw_folds, require_every_class, split_fold
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.studies.galaxies.ablation import ablation_arms
from tasks.studies.galaxies.arms import ArmError, TrainingArm
from tasks.studies.galaxies.frozen_features import features_digest
from tasks.studies.resumable_rows import row_name
from tasks.training.cross_validate import require_unseen, tabulate_outputs
from tasks.training.out_of_fold import FoldJob

NAME = "compare-trainings"
MAJORITY, FOREST = "majority class", "forest on image scalars"
BASELINES = (MAJORITY, FOREST)
FOLD_SEED = 0
"""Of the folds that all seeds share where each seed scores one."""

ScoredFolds = Literal["all", "one"]


class TrainingStudyRequest(BaseModel):
    """What to compare."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    scheme: str | None = None
    """None: the dataset's first scheme."""
    arms: list[TrainingArm] = []
    """All but the first are compared with the first."""
    ablation: TrainingArm | None = None
    """An arm whose methods are also changed one at a time; the changed arms are compared with it."""
    sizes: list[Annotated[int, Field(ge=1)] | None] = Field(default=[None], min_length=1)
    """Numbers of training images; None: all."""
    folds: int = Field(default=5, ge=2)
    seeds: list[int] = Field(default=[0], min_length=1)
    scored_folds: ScoredFolds = "one"
    """``all``: every fold of each seed. ``one``: seed i scores fold i modulo folds of one division into folds."""
    epochs: int | None = Field(default=None, ge=1)
    device: DeviceName = "auto"

    @model_validator(mode="after")
    def _is_a_study(self) -> "TrainingStudyRequest":
        for name in ("sizes", "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}={values} names one twice")
        if not self.arms and self.ablation is None:
            raise ValueError("arms is empty and there is no ablation: name at least one arm, such as cnn:tuned")
        for arm in self.arms:
            idle = [*arm.methods.given, *(["optimizer"] if arm.optimizer else [])]
            if arm.fitting == "head" and idle:
                raise ValueError(
                    f"arm {arm.name!r} has fitting=head, which trains no network: leave {', '.join(idle)} out"
                )
        return self


@dataclass(frozen=True)
class StudyFit:
    """One fit of a study.

    Attributes
    ----------
    name : str
        Of the arm or the baseline.
    arm : TrainingArm or None
        None of a baseline.
    size : int or None
        Training images; None: all.
    seed, fold : int
        The fold counts from 0.
    """

    name: str
    arm: TrainingArm | None
    size: int | None
    seed: int
    fold: int


@dataclass(frozen=True)
class TrainingStudy:
    """A study whose dataset and arms are opened.

    Attributes
    ----------
    workspace : Workspace
    request : TrainingStudyRequest
    trainings : dict of str to GalaxyTraining
        The training of every arm, of the first seed.
    references : dict of str to str
        The arm that each other arm is compared with.
    arms : list of TrainingArm
        In the order of the tables.
    changes : dict of str to str
        What each arm of the ablation changes.
    """

    workspace: Workspace
    request: TrainingStudyRequest
    trainings: dict[str, GalaxyTraining]
    references: dict[str, str]
    arms: list[TrainingArm]
    changes: dict[str, str]

    @property
    def plain(self) -> GalaxyTraining:
        """The training whose dataset, scheme and samples are the study's."""
        return next(iter(self.trainings.values()))

    @property
    def dataset(self) -> Dataset:
        """The dataset, of one version for all fits."""
        return self.plain.dataset

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.plain.classes

    @cached_property
    def part(self) -> SplitPart:
        """All labelled samples."""
        return self.plain.part(ALL)

    @cached_property
    def folder(self) -> Path:
        """Folder of the finished fits; it follows from dataset and scheme, so that a larger grid reuses them."""
        facts = json.dumps([self.dataset.digest, self.plain.scheme])
        return self.workspace.root / "studies" / f"{NAME}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"

    @property
    def stem(self) -> str:
        """Name of the report and the scores: dataset, scheme, and a digest of the request."""
        facts = self.request.model_dump_json(exclude={"device"})
        digest = hashlib.sha256((self.folder.name + facts).encode()).hexdigest()[:8]
        return f"{NAME}-{self.dataset.name}-{self.plain.scheme}-{digest}"

    @cached_property
    def names(self) -> list[str]:
        """Baselines and arms, in the order of the tables."""
        return [*BASELINES, *(arm.name for arm in self.arms)]

    @cached_property
    def fits(self) -> list[StudyFit]:
        """Every fit: seed by seed, the small sizes first, so that an interrupted study has whole seeds."""
        return [
            StudyFit(name, arm, size, seed, fold)
            for seed in self.request.seeds
            for size in self.sizes
            for name, arm in [*((name, None) for name in BASELINES), *((arm.name, arm) for arm in self.arms)]
            for fold in self.folds_of(seed)
        ]

    @property
    def sizes(self) -> list[int | None]:
        """The sizes, ascending, all images last."""
        sizes = self.request.sizes
        return [*sorted(size for size in sizes if size is not None), *([None] if None in sizes else [])]

    def folds_of(self, seed: int) -> list[int]:
        """Return the folds that a seed scores, from 0."""
        request = self.request
        return list(range(request.folds)) if request.scored_folds == "all" else [seed % request.folds]

    def fold_of(self, seed: int) -> NDArray[np.int32]:
        """Return the fold of every sample, (n,)."""
        drawn = seed if self.request.scored_folds == "all" else FOLD_SEED
        if drawn not in self._fold_of:
            self._fold_of[drawn] = draw_folds(self.part, self.request.folds, drawn)
        return self._fold_of[drawn]

    @cached_property
    def _fold_of(self) -> dict[int, NDArray[np.int32]]:
        return {}

    def training(self, arm: TrainingArm, seed: int) -> GalaxyTraining:
        """Return the training of an arm for a seed."""
        opened = self.trainings[arm.name]
        return replace(opened, request=opened.request.model_copy(update={"seed": seed}))

    def parts(self, fit: StudyFit) -> tuple[SplitPart, SplitPart, SplitPart]:
        """Return the training, validation and scored samples of a fit; they are the same for all arms."""
        train, validation, held_out = self.split(fit.seed, fit.fold)
        return *shrink_parts(train, validation, fit.size, fit.seed), held_out

    def split(self, seed: int, fold: int) -> tuple[SplitPart, SplitPart, SplitPart]:
        """Return all training, validation and left-out samples of a fold."""
        if (seed, fold) not in self._splits:
            self._splits[seed, fold] = split_fold(self.part, self.fold_of(seed), fold, seed)
        return self._splits[seed, fold]

    @cached_property
    def _splits(self) -> dict[tuple[int, int], tuple[SplitPart, SplitPart, SplitPart]]:
        return {}

    def job(self, fit: StudyFit, arm: TrainingArm) -> FoldJob:
        """Return the fit of an arm's network."""
        training = self.training(arm, fit.seed)
        return FoldJob(
            training,
            training.part(ALL),
            self.fold_of(fit.seed),
            fit.fold,
            self.folder / f"fit-{row_name(self.settings(fit))}.parquet",
            tabulate_outputs,
            IMAGE_BATCH,
            size=fit.size,
            hold=True,
        )

    def settings(self, fit: StudyFit) -> dict[str, Any]:
        """Return what names the files of a fit; ``fit`` is a digest of all that determines its result."""
        folds = hashlib.sha256(self.fold_of(fit.seed).tobytes()).hexdigest()
        if fit.arm is None:
            digest = hashlib.sha256(json.dumps([fit.name, folds]).encode()).hexdigest()[:16]
        elif fit.arm.fitting == "head":
            facts = [features_digest(self.trainings[fit.arm.name]), folds]
            digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        else:
            training = self.training(fit.arm, fit.seed)
            digest = training.folder(folds=folds, dataset=self.dataset.name, split_hash=None).name
        return {"name": fit.name, "size": fit.size or ALL, "seed": fit.seed, "fold": fit.fold + 1, "fit": digest}


def open_training_study(workspace: Workspace, request: TrainingStudyRequest) -> TrainingStudy:
    """Open the dataset and every arm of a study, and check that each fit is possible.

    Raises
    ------
    PartError
        A size is larger than a training part, a fold lacks a class to fit to, or an arm's weights have seen samples.
    ArmError, WeightsError, MethodError, UnknownPresetError
        An arm is not possible.
    """
    version = Dataset.open(workspace, request.dataset)
    reference = f"{version.name}@{version.version}"

    def opened(arm: TrainingArm) -> GalaxyTraining:
        asked = arm.request(reference, request.scheme, request.seeds[0], request.epochs)
        return open_galaxy_training(workspace, asked.model_copy(update={"device": request.device}))

    arms, changes, base = list(request.arms), dict[str, str](), request.ablation
    if base is not None:
        training = opened(base)
        changed = ablation_arms(base, training.preset, has_votes=has_vote_shares(training.dataset, training.scheme))
        changes = {arm.name: change for change, arm in changed.items()}
        known = {arm.name: arm for arm in arms}
        for arm in (base, *changed.values()):
            if known.get(arm.name, arm) != arm:
                raise ArmError(f"arm {arm.name!r} is another one than the ablation's of this name: rename one of them")
        arms += [arm for arm in (base, *changed.values()) if arm.name not in known]
    references = {arm.name: base.name if base and arm.name in changes else arms[0].name for arm in arms[1:]}
    study = TrainingStudy(workspace, request, {arm.name: opened(arm) for arm in arms}, references, arms, changes)
    _require_possible(study)
    return study


def _require_possible(study: TrainingStudy) -> None:
    for training in {training.initial.sha256: training for training in study.trainings.values()}.values():
        require_unseen(training, study.part)
    for fit in study.fits:
        if fit.name != MAJORITY:
            continue
        train, validation, _ = study.parts(fit)
        require_every_class(train, study.classes, f"the training part of fold {fit.fold + 1} of seed {fit.seed}")
        whole = study.split(fit.seed, fit.fold)[0]
        if fit.size is not None and fit.size > len(whole):
            raise PartError(
                f"size {fit.size} is more than the {len(whole)} training images of fold {fit.fold + 1}: use 'all' "
                "for as many as there are"
            )
        if not len(validation):
            raise PartError(f"fold {fit.fold + 1} of seed {fit.seed} has no validation image: use a larger dataset")
