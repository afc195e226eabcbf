"""Running the fits of a study of trainings, each saved when finished: a network, a linear probe, or a baseline."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy.models import baselines
from tasks.galaxies.baselines import image_scalars_of
from tasks.learning.fits.checkpoints import EpochRecord
from tasks.learning.linear_probe import fit_linear_probe
from tasks.learning.split_parts import SplitPart
from tasks.runtime.folder_lock import lock_folder
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file, write_table
from tasks.studies.galaxies.fit_costs import remaining_seconds
from tasks.studies.galaxies.frozen_features import frozen_features
from tasks.studies.galaxies.training_study import (
    MAJORITY,
    StudyFit,
    TrainingStudy,
    TrainingStudyRequest,
    open_training_study,
)
from tasks.studies.resumable_rows import row_name, run_study
from tasks.training.cross_validate import outputs_table
from tasks.training.out_of_fold import fit_fold, forget_state

HISTORY = ("train_accuracy", "validation_accuracy")
"""Curves of every fit that its result keeps."""


def run_fits(workspace: Workspace, request: TrainingStudyRequest) -> list[dict[str, Any]]:
    """Run the fits that have no result yet, and return the results of all, in the order of `TrainingStudy.fits`.

    Raises
    ------
    FolderBusyError
        Another process runs a study of the same dataset and scheme.
    PartError, ArmError, WeightsError, MethodError, UnknownPresetError
        See `open_training_study`.
    """
    quiet_tensorflow()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns that every fit traces a network of its own
    study = open_training_study(workspace, request)
    by_name = {row_name(study.settings(fit)): fit for fit in study.fits}
    fits = {name: study.settings(fit) for name, fit in by_name.items()}
    with lock_folder(study.folder):
        for arm in study.arms:
            if arm.fitting == "head":
                frozen_features(study.trainings[arm.name], study.part, study.folder)
        return run_study(
            study.folder,
            list(fits.values()),
            lambda settings: run_fit(study, by_name[row_name(settings)]),
            run_logger().info,
            lambda results, missing: remaining_seconds(study, results, [by_name[row_name(row)] for row in missing]),
        )


def run_fit(study: TrainingStudy, fit: StudyFit) -> dict[str, Any]:
    """Run one fit, save its probabilities, and return its numbers."""
    train, validation, scored = study.parts(fit)
    counts = {"trained_on": len(train), "validated_on": len(validation), "scored": len(scored)}
    if fit.arm is not None and fit.arm.fitting == "all":
        return counts | _fit_network(study, fit)
    numbers: dict[str, Any] = {}
    if fit.arm is None:
        outputs = _fit_baseline(study, fit, train, [validation, scored])
    else:
        outputs, numbers = _fit_probe(study, fit, train, [validation, scored])
    table = outputs_table(study.plain, (validation, scored), outputs, fit.fold)
    write_table(fit_path(study, fit), table)
    return counts | {"temperature": float(table["temperature"][0].as_py()), **numbers}


def fit_path(study: TrainingStudy, fit: StudyFit) -> Path:
    """Return the file of a fit's outputs."""
    return study.folder / f"outputs-{row_name(study.settings(fit))}.parquet"


def _fit_network(study: TrainingStudy, fit: StudyFit) -> dict[str, Any]:
    """Fit an arm's network and save the outputs of the fold."""
    import keras

    assert fit.arm is not None
    job = study.job(fit, fit.arm)
    fold_fit = fit_fold(job)
    table = job.tabulate(fold_fit)
    write_table(fit_path(study, fit), table)
    history: Sequence[EpochRecord] = fold_fit.fitted.history
    forget_state(job)
    keras.backend.clear_session()
    return {
        "temperature": float(table["temperature"][0].as_py()),
        "epochs": len(history),
        "best_epoch": fold_fit.fitted.best_epoch,
        **fold_fit.fitted.curve_figures,
        "epochs_seconds": round(sum(record.seconds for record in history), 1),
        "history": {name: [round(getattr(record, name), 4) for record in history] for name in HISTORY},
    }


def _fit_probe(
    study: TrainingStudy, fit: StudyFit, train: SplitPart, parts: Sequence[SplitPart]
) -> tuple[list[NDArray], dict[str, Any]]:
    """Return the probabilities (n, classes) of each part by a linear probe, and its strength."""
    features = frozen_features(study.trainings[fit.name], study.part, study.folder)
    probe = fit_linear_probe(features[positions(study, train)], train, len(study.classes), fit.seed)
    outputs = [probe.probabilities(features[positions(study, part)]) for part in parts]
    return outputs, {"features": features.shape[1], "strength": probe.strength}


def _fit_baseline(study: TrainingStudy, fit: StudyFit, train: SplitPart, parts: Sequence[SplitPart]) -> list[NDArray]:
    """Return the probabilities (n, classes) of each part by a baseline."""
    classes = len(study.classes)
    if fit.name == MAJORITY:
        return [baselines.majority(train.labels, len(part), classes) for part in parts]
    scalars = image_scalars(study)
    every = scalars[np.concatenate([positions(study, part) for part in parts])]
    probabilities = baselines.forest(scalars[positions(study, train)], train.labels, every, classes, fit.seed)
    return np.split(probabilities, np.cumsum([len(part) for part in parts])[:-1])


def image_scalars(study: TrainingStudy) -> NDArray:
    """Return the image scalars (n, k) of all samples, from the study's folder where they were computed before."""
    path = study.folder / "image-scalars.npy"
    if not path.exists():
        scalars = image_scalars_of(study.dataset, study.part)
        with whole_file(path) as beside, beside.open("wb") as stream:
            np.save(stream, scalars, allow_pickle=False)
    return np.asarray(np.load(path, allow_pickle=False))


def positions(study: TrainingStudy, part: SplitPart) -> NDArray[np.int64]:
    """Return the positions (n,) of a part's samples among all, both sorted by row."""
    return np.searchsorted(study.part.rows, part.rows)
