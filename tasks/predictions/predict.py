"""The prediction of galaxy classes from its request to its files: model, images, scores, MLflow run."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, model_validator

from galaxy.models.preprocessing import PREPROCESSING_VERSION
from tasks.galaxies.training_range import UNKNOWN, find_training_range
from tasks.learning.block_scoring import PartFiles, finished_parts, score_blocks
from tasks.learning.models import saved_models
from tasks.learning.models.inference import tensorflow_outputs
from tasks.learning.scoring import IMAGE_BATCH
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.predictions.prediction_rows import PredictedRows, Predictor, finish_rows, predict_block
from tasks.predictions.prediction_sources import ArchiveImages, DatasetImages, ImageSource, PredictionError
from tasks.runtime.folder_lock import lock_folder
from tasks.runtime.progress import progress
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import file_stem, whole_file
from tasks.store.schema import GALAXY
from tasks.tables.table_writing import SUFFIXES, write_table_as
from tasks.tracking.mlflow_runs import open_run
from tasks.tracking.model_registry import ModelRef, resolve_model
from tasks.training.registered_models import registered_name

ScoresFormat = Literal["parquet", "fits", "votable"]
DEFAULT_DATASET = "sky"


class PredictionRequest(BaseModel):
    """A model, and the images that it classifies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "champion"
    dataset: str | None = None
    """A dataset's stored samples; None without `images`: `DEFAULT_DATASET`."""
    images: str | None = None
    """A folder or zip of image files."""
    scheme: str | None = None
    """Completes an alias alone; None: the dataset's first."""
    name: str | None = None
    """Name of the scores file; None: source and model."""
    formats: list[ScoresFormat] = ["parquet"]
    """Parquet is always written."""

    @model_validator(mode="after")
    def _one_source(self) -> "PredictionRequest":
        if self.dataset is not None and self.images is not None:
            raise ValueError(f"dataset={self.dataset} and images={self.images} are given: choose one")
        return self


def predict_galaxies(workspace: Workspace, request: PredictionRequest) -> dict[str, Any]:
    """Classify images, write the scores file, and return the summary; an interrupted prediction is resumed.

    Raises
    ------
    PredictionError
        The images do not exist or do not suit the model, or the model is of another problem or preprocessing.
    UnknownModelError
        There is no such model.
    FolderBusyError
        Another process makes the same prediction.
    """
    started = time.monotonic()
    dataset = None if request.images is not None else Dataset.open(workspace, request.dataset or DEFAULT_DATASET)
    ref, card = find_model(workspace, request, dataset)
    training_range, crop_fraction = find_training_range(workspace, card)
    source = open_images(request, dataset, card, crop_fraction)
    notes = find_notes(dataset, training_range, crop_fraction)
    for note in notes:
        run_logger().warning("%s", note)
    target = workspace.scores / f"{file_stem(request.name or f'{source.name}-{ref.name}-{ref.version}')}.parquet"
    # What cannot be predicted is refused before TensorFlow is imported.
    predictor = open_predictor(ref, training_range)
    state = workspace.root / "scoring" / _identity(source, predictor)
    with lock_folder(state), progress("predicting", source.count) as advance:
        kept, begun = len(finished_parts(state)), time.monotonic()
        parts = score_blocks(source.blocks, partial(predict_block, predictor=predictor), PartFiles(state), advance, 1)
        seconds = time.monotonic() - begun
        new = sum(pq.read_metadata(path).num_rows for path in parts[kept:])
        rows = finish_rows(parts, predictor, target)
        shutil.rmtree(state)
    summary = {
        "path": str(target),
        "count": rows.count,
        "scored": rows.count - sum(rows.not_scored.values()),
        "not_scored": rows.not_scored,
        "classes": rows.classes,
        "outside_training": None if training_range is None else rows.outside_training,
        "in_training": None if predictor.training_samples is None else rows.in_training,
        "images_per_second": round(new / seconds, 1) if new else None,
        "model": ref.uri,
        "files": write_formats(target, request.formats),
        "notes": notes,
        "pixels": None if dataset is None else dataset.manifest["pixels"],
    }
    run_id = _record(workspace, request, dataset, predictor, summary, rows)
    return summary | {"run_id": run_id, "seconds": round(time.monotonic() - started, 1)}


def find_model(
    workspace: Workspace, request: PredictionRequest, dataset: Dataset | None
) -> tuple[ModelRef, dict[str, Any]]:
    """Return the registered model that a request names, and its card, checked.

    Raises
    ------
    PredictionError
        It is of another problem, or was trained with another version of the preprocessing.
    """
    scheme = request.scheme or (dataset.schemes[0] if dataset is not None and dataset.schemes else None)
    ref = resolve_model(workspace, request.model, None if scheme is None else registered_name(GALAXY, scheme))
    card = saved_models.checked_card(ref.folder)
    if card["problem"] != GALAXY:
        raise PredictionError(f"model {ref.uri} is of problem {card['problem']!r}, not {GALAXY}")
    if card["preprocessing_version"] != PREPROCESSING_VERSION:
        raise PredictionError(
            f"model {ref.uri} was trained with preprocessing {card['preprocessing_version']!r}, this code has "
            f"{PREPROCESSING_VERSION!r}: retrain it, or predict with the code that trained it"
        )
    return ref, card


def open_images(
    request: PredictionRequest, dataset: Dataset | None, card: Mapping[str, Any], crop_fraction: float | None
) -> ImageSource:
    """Return the images of a request, as wide as the model's.

    Raises
    ------
    PredictionError
        They do not exist, or the dataset does not suit the model.
    """
    size_px = int(card["input_shape"][0])
    if dataset is not None:
        return DatasetImages(dataset, size_px)
    source = ArchiveImages(Path(str(request.images)).expanduser(), size_px, crop_fraction or 1.0)
    if source.count == 0:
        raise PredictionError(f"images={request.images} holds no files")
    return source


def find_notes(
    dataset: Dataset | None, training_range: Mapping[str, Any] | None, crop_fraction: float | None
) -> list[str]:
    """Return what a reader of the scores should know of the images and the model's training images."""
    notes = [] if training_range is not None else [UNKNOWN]
    if dataset is None and crop_fraction is None:
        notes.append("whole images are classified: what part of each image the model was trained on is unknown")
    if dataset is not None and crop_fraction is not None:
        own = dataset.manifest.get("crop_fraction") or 1.0
        if own != crop_fraction:
            notes.append(
                f"dataset {dataset.name!r} has crop_fraction {own:g}, the model's training images had "
                f"{crop_fraction:g}: its galaxies are shown at another scale"
            )
    return notes


def open_predictor(ref: ModelRef, training_range: Mapping[str, Any] | None) -> Predictor:
    """Load a registered model."""
    model, card = saved_models.load_model(ref.folder)
    samples = ref.folder / TRAINING_SAMPLES_FILE
    return Predictor(
        f"{ref.name}/{ref.version}",
        card,
        tensorflow_outputs(model, IMAGE_BATCH),
        training_range,
        pq.read_table(samples) if samples.is_file() else None,
    )


def write_formats(scores: Path, formats: list[ScoresFormat]) -> list[str]:
    """Write a scores file in further formats beside it; return the paths of all."""
    paths = [scores]
    for kind in formats:
        if kind == "parquet":
            continue
        path = scores.with_suffix(SUFFIXES[kind])
        with whole_file(path) as unfinished:
            write_table_as(scores, unfinished, kind)
        paths.append(path)
    return [str(path) for path in dict.fromkeys(paths)]


def _identity(source: ImageSource, predictor: Predictor) -> str:
    """Return a digest of what the rows of the part files depend on."""
    words = [source.identity, predictor.name, predictor.card["sha256"], predictor.training_range]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]


def _record(
    workspace: Workspace,
    request: PredictionRequest,
    dataset: Dataset | None,
    predictor: Predictor,
    summary: Mapping[str, Any],
    rows: PredictedRows,
) -> str:
    """Record the prediction in MLflow and return the run's id."""
    with open_run(
        workspace,
        problem=GALAXY,
        run_name=f"predict {Path(summary['path']).stem}",
        params={name: value for name, value in request.model_dump().items() if value is not None},
        tags={
            "kind": "prediction",
            "model": summary["model"],
            "model_sha256": predictor.card["sha256"],
            "pixels": summary["pixels"] or "unknown",
            "code_version": code_version(),
        },
        dataset=dataset,
    ) as run:
        run.log_metrics(
            {
                **{name: summary[name] for name in ("count", "scored", "in_training", "images_per_second")},
                "not_scored": sum(rows.not_scored.values()),
            }
        )
        return run.id
