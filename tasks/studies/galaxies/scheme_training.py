"""Training the rows of a study of schemes: fit, probabilities of the tested galaxies, one MLflow run a row."""

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.learning import measures
from tasks.learning.fits.curves import curve_figures
from tasks.learning.predictions import classification_summary
from tasks.learning.scoring import IMAGE_BATCH, score
from tasks.learning.split_parts import SplitPart
from tasks.runtime.folder_lock import lock_folder
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_rows
from tasks.store.files import read_table, write_json, write_table
from tasks.store.schema import GALAXY
from tasks.studies.galaxies.scheme_study import NAME, OpenedRow, SchemeStudy, SchemeStudyRequest, open_scheme_study
from tasks.studies.resumable_rows import Settings, row_name, run_study
from tasks.tracking.mlflow_runs import PARENT, open_run
from tasks.training.train import fit_parts
from tasks.training.training_run import RunDetails, fit_details, open_training_run, record_epoch
from tasks.training.training_task import data_tags

if TYPE_CHECKING:
    from tasks.learning.fits.checkpoints import EpochRecord
    from tasks.learning.fits.fitting import Fitted

RUN_FILE = "run.json"


def train_schemes(workspace: Workspace, request: SchemeStudyRequest) -> list[dict[str, Any]]:
    """Train and score the rows of a study that have no result yet, and return the results of all, in their order.

    Raises
    ------
    EvaluationError
        See `open_scheme_study`.
    FolderBusyError
        Another process runs the same study.
    """
    study = open_scheme_study(workspace, request)
    by_name = {row_name(row.settings): row for row in study.rows}
    with lock_folder(study.folder):
        parent = open_study_run(study)
        return run_study(
            study.folder,
            [row.settings for row in study.rows],
            lambda settings: train_row(study, by_name[row_name(settings)], parent),
            run_logger().info,
        )


def open_study_run(study: SchemeStudy) -> str:
    """Return the id of the study's MLflow run, below which its rows are listed; made once a study."""
    record = study.folder / RUN_FILE
    if record.exists():
        return str(json.loads(record.read_text(encoding="utf-8"))["run_id"])
    dataset = study.dataset
    tested = f"{study.test_dataset.name}@{study.test_dataset.version}"
    tags = {**data_tags(dataset), "kind": "study", "test_dataset": tested}
    params = {"dataset": study.request.dataset, "test_dataset": study.request.test_dataset}
    with open_run(
        study.workspace,
        problem=GALAXY,
        run_name=f"{NAME} {dataset.name}",
        params=params,
        tags=tags,
        dataset=dataset,
    ) as run:
        write_json(record, {"run_id": run.id})
        return run.id


def train_row(study: SchemeStudy, row: OpenedRow, parent: str) -> dict[str, Any]:
    """Train one row, save its probabilities, and return its numbers; an interrupted fit goes on after its last epoch.

    Parameters
    ----------
    study : SchemeStudy
    row : OpenedRow
    parent : str
        MLflow run of the study.
    """
    quiet_tensorflow()
    import keras

    training, started = row.training, time.monotonic()
    device = training.choose_device()
    state = study.folder / f"fit-{row.settings['training']}"
    parts = training.part("train"), training.part("validation")
    with open_training_run(training, device, state, _details(study, row, parent)) as run:

        def log_epoch(record: "EpochRecord", epochs: int) -> None:
            run_logger().info("%s, %s: epoch %d/%d: %s", row.arm.name, row.scheme, record.epoch, epochs, record)
            record_epoch(run, record)

        fitted = fit_parts(training, parts, device, state / "fit", log_epoch)
        model = training.model(fitted.weights)
        outputs = score(model, training.dataset.pixels, parts[1].rows, IMAGE_BATCH)
        temperature = measures.fit_temperature(outputs, parts[1].labels)
        probabilities = score(model, study.test_dataset.pixels, study.scored.rows, IMAGE_BATCH)
        write_table(probabilities_path(study, row.settings), _table(study.scored, training.classes, probabilities))
        test, overlap = study.tests[training.scheme]
        numbers = classification_summary(saved_probabilities(study, row.settings, test), test.labels, temperature)
        curves = curve_figures(fitted.history, fitted.best_epoch)
        run.log_metrics({f"test_{name}": value for name, value in numbers.items()})
        run.log_metrics({**curves, "temperature": temperature, "best_epoch": fitted.best_epoch})
        run.log_metrics({"images_per_second": fitted.images_per_second})
        result = {
            **_described(row),
            **numbers,
            "overlap_with_training": overlap,
            "temperature": temperature,
            "trained_on": len(parts[0]),
            "epochs": len(fitted.history),
            "best_epoch": fitted.best_epoch,
            **curves,
            "fit_seconds": round(time.monotonic() - started, 1),
            "run_id": run.id,
            "history": _history(fitted),
        }
    shutil.rmtree(state)
    keras.backend.clear_session()
    return result


def saved_probabilities(study: SchemeStudy, settings: Settings, part: SplitPart) -> NDArray[np.float32]:
    """Return a row's probabilities (n, classes) of the galaxies of `part`, not calibrated.

    `settings` holds at least those of `OpenedRow.settings`, as a row's result does.
    """
    table = read_table(probabilities_path(study, settings))
    rows = align_rows(table, part.ids).drop_columns(["id"])
    return np.stack([column.to_numpy() for column in rows.columns], axis=1)


def probabilities_path(study: SchemeStudy, settings: Settings) -> Path:
    """Return the file of a row's probabilities; `settings` as in `saved_probabilities`."""
    key = {name: settings[name] for name in ("arm", "scheme", "seed", "training")}
    return study.folder / f"probabilities-{row_name(key)}.parquet"


def _table(scored: SplitPart, classes: list[str], probabilities: NDArray) -> pa.Table:
    columns = {f"probability_{name}": probabilities[:, position] for position, name in enumerate(classes)}
    return pa.table({"id": scored.ids, **columns})


def _details(study: SchemeStudy, row: OpenedRow, parent: str) -> RunDetails:
    tested, params = study.test_dataset, fit_details(row.training).params
    tags = {
        PARENT: parent,
        "kind": "study row",
        "arm": row.arm.name,
        "test_dataset": f"{tested.name}@{tested.version}",
    }
    return RunDetails(f"{row.scheme} {row.arm.name} seed {row.seed}", params, tags)


def _described(row: OpenedRow) -> dict[str, Any]:
    return {
        "network": row.arm.network,
        "preset": row.arm.preset,
        "weights": row.training.initial.source,
        "classes": len(row.training.classes),
    }


def _history(fitted: "Fitted") -> dict[str, list[float]]:
    return {
        name: [getattr(record, name) for record in fitted.history] for name in ("train_accuracy", "validation_accuracy")
    }
