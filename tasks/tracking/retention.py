"""What MLflow holds for a workspace, and its removal for good: registered versions, logged models, runs.

MLflow marks as deleted, and its command ``mlflow gc`` removes what is marked. A removal that was killed in between is
finished by the next one: a marked run is listed like any other, and a model without its version goes with its run.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import EXPERIMENTS, import_mlflow, lock, open_client, prepare
from tasks.tracking.tracking_store import tracking_store

UNFINISHED = frozenset({"RUNNING", "KILLED"})
"""Statuses of runs that may be resumed."""
_DELETED = "deleted"


class RetentionError(RuntimeError):
    """MLflow cannot remove; the message says why and what to do."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model.

    Attributes
    ----------
    name : str
    number : int
    aliases : tuple of str
    run_id : str
    model_id : str or None
        The logged model that it is; None for one of another origin.
    folder : Path or None
        Its artifacts.
    created_at : float
        Seconds since 1970.
    """

    name: str
    number: int
    aliases: tuple[str, ...]
    run_id: str
    model_id: str | None
    folder: Path | None
    created_at: float


@dataclass(frozen=True)
class RecordedRun:
    """A run of the workspace's experiments.

    Attributes
    ----------
    id, status : str
    deleted : bool
        Marked as deleted, by a person or by a removal that died.
    parent : str or None
        The run below which MLflow lists it.
    dataset : str or None
        NAME@VERSION that it used.
    folder : Path
        Its artifacts.
    models : dict of str to Path
        Artifacts of the logged models that it made, by their id.
    changed_at : float
        When it ended, or began, in seconds since 1970.
    """

    id: str
    status: str
    deleted: bool
    parent: str | None
    dataset: str | None
    folder: Path
    models: dict[str, Path]
    changed_at: float


def read_contents(workspace: Workspace) -> tuple[list[RegisteredVersion], list[RecordedRun]]:
    """Return the registered versions and the runs; a workspace without a database has none, and gets none.

    Of a group's MLflow there are none either: what is there is not the workspace's to remove.
    """
    if not tracking_store(workspace).is_own or not (workspace.root / "mlflow.db").is_file():
        return [], []
    prepare(workspace)
    client = open_client(workspace)
    experiments = [client.get_experiment_by_name(name).experiment_id for name in EXPERIMENTS]
    models = [model for one in experiments for model in _pages(client.search_logged_models, experiment_ids=[one])]
    folders = {model.model_id: _local(model.artifact_location) for model in models}
    return _registered_versions(client, folders), _recorded_runs(client, experiments, models, folders)


def _recorded_runs(
    client: Any, experiments: Sequence[str], models: Sequence[Any], folders: Mapping[str, Path]
) -> list[RecordedRun]:
    return [
        RecordedRun(
            run.info.run_id,
            run.info.status,
            run.info.lifecycle_stage == _DELETED,
            run.data.tags.get("mlflow.parentRunId"),
            run.data.tags.get("dataset"),
            _local(run.info.artifact_uri),
            {model.model_id: folders[model.model_id] for model in models if model.source_run_id == run.info.run_id},
            (run.info.end_time or run.info.start_time) / 1000,
        )
        for run in _pages(client.search_runs, experiment_ids=experiments, run_view_type=_view("ALL"))
    ]


def _registered_versions(client: Any, folders: Mapping[str, Path]) -> list[RegisteredVersion]:
    aliases = {model.name: model.aliases for model in _pages(client.search_registered_models)}
    versions = []
    for version in _pages(client.search_model_versions):
        number, model_id = int(version.version), version.source.removeprefix("models:/")
        versions.append(
            RegisteredVersion(
                version.name,
                number,
                tuple(sorted(alias for alias, of in aliases[version.name].items() if int(of) == number)),
                version.run_id,
                model_id if model_id in folders else None,
                folders.get(model_id),
                version.creation_timestamp / 1000,
            )
        )
    return versions


def remove_version(workspace: Workspace, version: RegisteredVersion) -> bool:
    """Remove a registered version and its model for good; return False for one that has got an alias meanwhile."""
    client = open_client(workspace)
    with lock(workspace):
        aliases = client.get_registered_model(version.name).aliases
        if any(int(number) == version.number for number in aliases.values()):
            return False
        client.delete_model_version(version.name, str(version.number))
    if version.model_id is not None:
        client.delete_logged_model(version.model_id)
        _collect(workspace, [], [version.model_id])
    return True


def remove_run(workspace: Workspace, run: RecordedRun) -> None:
    """Remove a run and the logged models that it made for good; none of them may be registered."""
    client = open_client(workspace)
    if not run.deleted:
        client.delete_run(run.id)
    there = [model for model in run.models if _is_there(client, model)]  # others went with their version
    for model in there:
        client.delete_logged_model(model)
    _collect(workspace, [run.id], there)


def require_no_deleted_experiments(workspace: Workspace) -> None:
    """Refuse a database with deleted experiments: ``mlflow gc`` has no option that spares them.

    Raises
    ------
    RetentionError
        There are some.
    """
    deleted = list(_pages(open_client(workspace).search_experiments, view_type=_view("DELETED_ONLY")))
    if deleted:
        names = ", ".join(sorted(experiment.name for experiment in deleted))
        raise RetentionError(
            f"MLflow holds deleted experiments ({names}), which `mlflow gc` would remove with the runs: restore them, "
            f"or remove them with `mlflow gc --backend-store-uri {workspace.mlflow_uri}`"
        )


def _collect(workspace: Workspace, runs: Sequence[str], models: Sequence[str]) -> None:
    """Run ``mlflow gc`` on deleted runs and logged models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow warns of its own type hints at the first import
        from mlflow.cli import gc

    # Without a run's id the command takes every deleted run, also what a person may want to restore.
    chosen = list(runs) or [_deleted_run(workspace)]
    words = ["--backend-store-uri", workspace.mlflow_uri, "--tracking-uri", workspace.mlflow_uri]
    words += ["--run-ids", ",".join(chosen), *(["--logged-model-ids", ",".join(models)] if models else [])]
    with contextlib.redirect_stdout(io.StringIO()):
        gc.main(args=words, standalone_mode=False)


def _deleted_run(workspace: Workspace) -> str:
    """Return the id of a new run that is deleted already."""
    client = open_client(workspace)
    run = client.create_run(client.get_experiment_by_name(EXPERIMENTS[0]).experiment_id).info.run_id
    client.delete_run(run)
    return str(run)


def _pages(search: Any, **conditions: Any) -> Iterator[Any]:
    """Yield all results of one of the client's searches, page after page."""
    token = None
    while True:
        page = search(**conditions, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _is_there(client: Any, model: str) -> bool:
    try:
        client.get_logged_model(model)
    except import_mlflow().MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def _view(name: str) -> Any:
    return getattr(import_mlflow().entities.ViewType, name)


def _local(address: str) -> Path:
    """Return the path of a ``file:`` address."""
    return Path(unquote(urlsplit(address).path))
