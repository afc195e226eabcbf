"""MLflow in a workspace: runs, metrics, artifacts and the model registry, on SQLite, without telemetry.

MLflow takes about 5 s to import, so it is imported where it is first needed. Its database keeps artifact
addresses as absolute paths; ``prepare`` rewrites them when the workspace lies elsewhere than they say.
"""

import csv
import logging
import os
import re
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np
import pyarrow as pa
from filelock import FileLock

from tasks.runtime.workspace import Workspace
from tasks.store.schema import Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tasks.store.dataset import Dataset

EXPERIMENTS = get_args(Problem)
"""Names of MLflow's experiments: one a problem."""
CHALLENGER = "challenger"
CHAMPION = "champion"

_ADDRESS_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
_DIGEST_LENGTH = 36  # what MLflow's table of datasets holds; the whole digest is a tag


class KerasModel(Protocol):
    """What the registry needs to know of a model: its output's shape, for the signature."""

    output_shape: tuple[int | None, ...]


class UnknownModelError(LookupError):
    """No such model; the message names what exists."""


@dataclass(frozen=True)
class ModelRef:
    """A registered model: ``folder`` holds ``model.keras`` and ``model.json``."""

    uri: str
    name: str
    version: int
    run_id: str
    folder: Path


@dataclass(frozen=True)
class TrackedRun:
    """A run that is being recorded."""

    id: str
    workspace: Workspace

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """Record numbers; what is None or NaN has not been measured and is left out."""
        measured = {name: float(value) for name, value in metrics.items() if value is not None}
        _mlflow().log_metrics(
            {name: value for name, value in measured.items() if not np.isnan(value)},
            step=step,
            run_id=self.id,
        )

    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Record words about the run."""
        for name, value in tags.items():
            _client(self.workspace).set_tag(self.id, name, value)

    def log_figure(self, png: bytes, name: str) -> None:
        """Keep a picture as ``figures/NAME.png``."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.png")
            path.write_bytes(png)
            self.log_file(path, "figures")

    def log_table(self, table: pa.Table | Mapping[str, Sequence], name: str) -> None:
        """Keep a table as ``tables/NAME.csv``, which the MLflow page shows as a table."""
        columns = table.to_pydict() if isinstance(table, pa.Table) else table
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.csv")
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))
            self.log_file(path, "tables")

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of the file ``path``."""
        _client(self.workspace).log_artifact(self.id, str(path), folder)

    def log_folder(self, path: Path, name: str) -> None:
        """Keep a copy of the files under ``path`` as the artifact folder ``name``."""
        _client(self.workspace).log_artifacts(self.id, str(path), name)

    def log_text(self, text: str, name: str) -> None:
        """Keep ``text`` as the artifact ``name``."""
        _client(self.workspace).log_text(self.id, text, name)

    def log_model(self, model: KerasModel, folder: Path, registered_name: str, example: np.ndarray) -> ModelRef:
        """Register the files of ``folder`` as a new version of ``registered_name``, alias ``challenger``.

        Every file of the folder is copied as it is, so that the sha256 in ``model.json`` holds. The alias
        ``champion`` is set only where the name has none.

        Parameters
        ----------
        model
            The model that ``folder`` holds.
        folder
            Holds ``model.keras``, ``model.json`` and what else belongs beside them.
        example
            uint8 images (any number, height, width, channel), for the signature alone.
        """
        info = _keras_flavor().log_model(
            _SavedFolder(folder),
            name="model",
            registered_model_name=registered_name,
            signature=_signature(example, model.output_shape[-1]),
            pip_requirements=[f"{name}=={installed_version(name)}" for name in ("keras", "numpy")],
        )
        ref = _model_ref(self.workspace, registered_name, int(info.registered_model_version))
        _set_aliases(self.workspace, ref)
        return ref


@dataclass(frozen=True)
class _SavedFolder:
    """Stands in for a Keras model when MLflow saves one: copies the files that are already there.

    MLflow would write ``model.keras`` anew, with other bytes than those whose sha256 ``model.json`` gives.
    """

    folder: Path

    def save(self, path: str) -> None:
        shutil.copytree(self.folder, Path(path).parent, dirs_exist_ok=True)


def prepare(workspace: Workspace) -> None:
    """Make the workspace's MLflow database if there is none, and mend its addresses if it was moved."""
    workspace.root.mkdir(parents=True, exist_ok=True)
    with _lock(workspace):
        _mend_addresses(workspace)
        _mlflow().set_tracking_uri(workspace.mlflow_uri)
        client = _client(workspace)
        for name in EXPERIMENTS:
            if client.get_experiment_by_name(name) is None:
                client.create_experiment(name, artifact_location=f"{workspace.mlartifacts.as_uri()}/{name}")


@contextmanager
def open_run(
    workspace: Workspace,
    *,
    problem: str,
    run_name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
    dataset: "Dataset | None",
    run_id: str | None = None,
) -> Iterator[TrackedRun]:
    """Record a run in the experiment ``problem``; ``run_id`` goes on with an earlier one.

    The run is marked failed when the block raises.
    """
    prepare(workspace)
    mlflow = _mlflow()
    mlflow.set_experiment(problem)
    with mlflow.start_run(run_id=run_id, run_name=None if run_id else run_name) as started:
        mlflow.log_params(dict(params))
        mlflow.set_tags(dict(tags))
        if dataset is not None:
            _log_dataset(dataset)
        yield TrackedRun(started.info.run_id, workspace)


def resolve_model(workspace: Workspace, model: str, registered_name: str | None) -> ModelRef:
    """Return the registered model that ``model`` names.

    ``model`` is a run id, ``models:/NAME/VERSION``, ``models:/NAME@ALIAS``, ``NAME@ALIAS``, or an alias
    alone, which is completed from ``registered_name``.

    Raises
    ------
    UnknownModelError
        There is no such model; the message names the models that there are.
    """
    prepare(workspace)
    if re.fullmatch(r"[0-9a-f]{32}", model):
        return _model_of_run(workspace, model, registered_name)
    name, separator, wanted = _parse_address(model, registered_name)
    if not name:
        raise UnknownModelError(
            f"model={model!r} is an alias alone and no registered name goes with it: say NAME@{wanted}, "
            f"or name the dataset and its scheme; {_what_exists(workspace)}"
        )
    if separator == "@":
        return _model_ref(workspace, name, _version_of_alias(workspace, name, wanted))
    return _model_ref(workspace, name, int(wanted))


def newest_run(
    workspace: Workspace, problem: str, tags: Mapping[str, str], measured: str
) -> tuple[str, dict[str, float]] | None:
    """Return id and metrics of the newest finished run with these tags that has measured ``measured``."""
    prepare(workspace)
    client = _client(workspace)
    experiment = client.get_experiment_by_name(problem)
    wanted = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
    found = client.search_runs(
        [experiment.experiment_id],
        " and ".join(["attributes.status = 'FINISHED'", *wanted]),
        order_by=["attributes.start_time DESC"],
    )
    return next(((run.info.run_id, run.data.metrics) for run in found if measured in run.data.metrics), None)


def metric_history(workspace: Workspace, run_id: str, names: Sequence[str]) -> dict[str, list[float]]:
    """Return the values that a run recorded under each name, in the order of their steps."""
    client = _client(workspace)
    found = {name: client.get_metric_history(run_id, name) for name in names}
    return {name: [point.value for point in sorted(points, key=_step)] for name, points in found.items() if points}


def _step(point: Any) -> int:
    return int(point.step)


def _parse_address(model: str, registered_name: str | None) -> tuple[str | None, str, str]:
    """Return name, separator (``@`` or ``/``) and alias or version of a model's address."""
    address = re.fullmatch(r"(?:models:/)?(?P<name>[\w.-]+)(?P<separator>[@/])(?P<wanted>[\w.-]+)", model)
    if address and (address["separator"] == "@" or address["wanted"].isdigit()):
        return address["name"], address["separator"], address["wanted"]
    if re.fullmatch(r"[\w.-]+", model):
        return registered_name, "@", model
    raise UnknownModelError(
        f"model={model!r} is no address of a model: give a run id (32 hexadecimal digits), "
        "models:/NAME/VERSION, models:/NAME@ALIAS, NAME@ALIAS or an alias such as champion"
    )


def _model_of_run(workspace: Workspace, run_id: str, registered_name: str | None) -> ModelRef:
    versions = [
        version
        for version in _client(workspace).search_model_versions(f"run_id = '{run_id}'")
        if registered_name in (None, version.name)
    ]
    if not versions:
        raise UnknownModelError(f"run {run_id} has no registered model; {_what_exists(workspace)}")
    latest = max(versions, key=lambda version: int(version.version))
    return _model_ref(workspace, latest.name, int(latest.version))


def _version_of_alias(workspace: Workspace, name: str, alias: str) -> int:
    try:
        return int(_client(workspace).get_model_version_by_alias(name, alias).version)
    except _mlflow().MlflowException as error:
        raise UnknownModelError(f"there is no model {name}@{alias}; {_what_exists(workspace)}") from error


def _model_ref(workspace: Workspace, name: str, version: int) -> ModelRef:
    client = _client(workspace)
    try:
        run_id = client.get_model_version(name, str(version)).run_id
    except _mlflow().MlflowException as error:
        raise UnknownModelError(f"there is no model {name}, version {version}; {_what_exists(workspace)}") from error
    address = client.get_model_version_download_uri(name, str(version))
    folder = Path(_mlflow().artifacts.download_artifacts(artifact_uri=address), "data")
    if not (folder / "model.json").is_file():
        raise UnknownModelError(f"model {name}, version {version} holds no model.json in {folder}")
    return ModelRef(f"models:/{name}/{version}", name, version, run_id, folder)


def _what_exists(workspace: Workspace) -> str:
    models = [
        "".join([model.name, " (", ", ".join(sorted(f"@{alias}" for alias in model.aliases)) or "no alias", ")"])
        for model in _client(workspace).search_registered_models()
    ]
    if not models:
        return f"the workspace {workspace.root} has no registered model: train one first"
    return f"the workspace {workspace.root} has {', '.join(sorted(models))}"


def _set_aliases(workspace: Workspace, ref: ModelRef) -> None:
    client = _client(workspace)
    client.set_registered_model_alias(ref.name, CHALLENGER, str(ref.version))
    with _lock(workspace):  # two trainings may end at once: only one becomes the first champion
        if CHAMPION not in client.get_registered_model(ref.name).aliases:
            client.set_registered_model_alias(ref.name, CHAMPION, str(ref.version))


def _keras_flavor() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow, of its own type hints, at the first import
        import mlflow.keras
        import mlflow.pyfunc.model
    return mlflow.keras


def _signature(example: np.ndarray, classes: int | None) -> Any:
    models, schema = _mlflow().models, _mlflow().types.schema
    images = schema.TensorSpec(example.dtype, (-1, *example.shape[1:]), name="images")
    scores = schema.TensorSpec(np.dtype(np.float32), (-1, classes or -1), name="probabilities")
    return models.ModelSignature(inputs=schema.Schema([images]), outputs=schema.Schema([scores]))


def _log_dataset(dataset: "Dataset") -> None:
    data = _mlflow().data
    source = data.code_dataset_source.CodeDatasetSource(
        tags={"dataset": f"{dataset.name}@{dataset.version}", "digest": dataset.digest}
    )
    recorded = data.meta_dataset.MetaDataset(source, name=dataset.name, digest=dataset.digest[:_DIGEST_LENGTH])
    _mlflow().log_input(recorded, context=f"version {dataset.version}")


def _client(workspace: Workspace) -> "MlflowClient":
    return _mlflow().MlflowClient(tracking_uri=workspace.mlflow_uri)


def _mlflow() -> Any:
    _silence()
    import mlflow

    return mlflow


def _lock(workspace: Workspace) -> FileLock:
    return FileLock(workspace.root / "mlflow.lock", timeout=120)


def _silence() -> None:
    """Keep MLflow from calling home and from telling every step; it reads this while it is imported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _mend_addresses(workspace: Workspace) -> None:
    """Point the database's artifact addresses to where the workspace is now, all or none."""
    database = workspace.root / "mlflow.db"
    if not database.is_file():
        return
    present = workspace.mlartifacts.as_uri()
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for recorded in _recorded_roots(connection) - {present}:
            for table, column in _ADDRESS_COLUMNS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (present, len(recorded) + 1, len(recorded) + 1, f"{recorded}/"),
                )


def _recorded_roots(connection: sqlite3.Connection) -> set[str]:
    """Return the artifact roots that the experiments name (a database just made has no tables)."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "experiments" not in tables:
        return set()
    names = ", ".join("?" * len(EXPERIMENTS))
    rows = connection.execute(f"SELECT artifact_location FROM experiments WHERE name IN ({names})", EXPERIMENTS)
    return {address.rpartition("/")[0] for (address,) in rows}
