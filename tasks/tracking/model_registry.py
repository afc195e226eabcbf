"""Registered models: versions of a name, found by address; the aliases ``challenger`` and ``champion``."""

import contextlib
import hashlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import import_mlflow, lock, open_client, prepare
from tasks.tracking.tracking_store import tracking_store

CHALLENGER = "challenger"
"""Alias of the newest version of a name."""
CHAMPION = "champion"
"""Alias of the version in use; set for the first version of a name, then by decisions."""


class KerasModel(Protocol):
    """What the registry needs to know of a model: the shape of its output, for the signature."""

    output_shape: tuple[int | None, ...]


class UnknownModelError(LookupError):
    """No such model; the message names the models that exist."""


@dataclass(frozen=True)
class ModelRef:
    """A registered model: ``folder`` holds ``model.keras`` and ``model.json``."""

    uri: str
    name: str
    version: int
    run_id: str
    folder: Path


def register_model(
    workspace: Workspace, model: KerasModel, folder: Path, registered_name: str, example: NDArray[np.uint8]
) -> ModelRef:
    """Register the files of ``folder`` in the active run as a new version of ``registered_name``.

    Every file is copied unchanged, so the sha256 in ``model.json`` stays valid. The version gets the alias
    ``challenger``, and ``champion`` if no version of the name has it.

    Parameters
    ----------
    model
        The model that ``folder`` holds.
    folder
        Holds ``model.keras``, ``model.json`` and the files that belong to them.
    example : (n, height, width, channel)
        Images, for the signature only.
    """
    info = _import_keras_flavor().log_model(
        _SavedFolder(folder),
        name="model",
        registered_model_name=registered_name,
        signature=_signature(example, model.output_shape[-1]),
        pip_requirements=[f"{name}=={installed_version(name)}" for name in ("keras", "numpy")],
    )
    ref = _model_ref(workspace, registered_name, int(info.registered_model_version))
    client = open_client(workspace)
    client.set_registered_model_alias(ref.name, CHALLENGER, str(ref.version))
    with lock(workspace):  # two trainings may end at the same time: only one becomes the first champion
        if CHAMPION not in client.get_registered_model(ref.name).aliases:
            promote(workspace, ref.uri)
    return ref


def promote(workspace: Workspace, model: str, registered_name: str | None = None) -> ModelRef:
    """Give the alias ``champion`` to a registered model, which another version of its name may lose; return it.

    Raises
    ------
    UnknownModelError
        There is no such model; see `resolve_model`, which has the forms of `model`.
    """
    ref = resolve_model(workspace, model, registered_name)
    with lock(workspace):
        open_client(workspace).set_registered_model_alias(ref.name, CHAMPION, str(ref.version))
    return ref


def alias_address(workspace: Workspace, name: str, alias: str) -> str | None:
    """Return ``models:/NAME/VERSION`` of the version with the alias; None where the name or the alias is unknown."""
    prepare(workspace)
    try:
        return f"models:/{name}/{open_client(workspace).get_model_version_by_alias(name, alias).version}"
    except import_mlflow().MlflowException:
        return None


def registered_names(workspace: Workspace) -> list[str]:
    """Return the names under which models are registered, sorted."""
    prepare(workspace)
    return sorted(model.name for model in open_client(workspace).search_registered_models())


def require_name(workspace: Workspace, name: str) -> None:
    """Refuse a name under which no model is registered.

    Raises
    ------
    UnknownModelError
        The message names the models that exist.
    """
    if name not in registered_names(workspace):
        raise UnknownModelError(f"no model is registered as {name!r}; {_list_models(workspace)}")


def tag_model(workspace: Workspace, ref: ModelRef, tags: Mapping[str, str]) -> None:
    """Set tags of a model's version."""
    for key, value in tags.items():
        open_client(workspace).set_model_version_tag(ref.name, str(ref.version), key, value)


def resolve_model(workspace: Workspace, model: str, registered_name: str | None) -> ModelRef:
    """Return the registered model with the address ``model``.

    ``model`` is a run id, ``models:/NAME/VERSION``, ``models:/NAME@ALIAS``, ``NAME@ALIAS``, or an alias alone,
    which means an alias of ``registered_name``.

    Raises
    ------
    UnknownModelError
        There is no such model; the message names the models that exist.
    """
    prepare(workspace)
    if re.fullmatch(r"[0-9a-f]{32}", model):
        return _model_of_run(workspace, model, registered_name)
    name, separator, alias_or_version = _parse_address(model, registered_name)
    if not name:
        raise UnknownModelError(
            f"model={model!r} is an alias alone and no registered name goes with it: say NAME@{alias_or_version}, "
            f"or name the dataset and its scheme; {_list_models(workspace)}"
        )
    if separator == "@":
        return _model_ref(workspace, name, _version_of_alias(workspace, name, alias_or_version))
    return _model_ref(workspace, name, int(alias_or_version))


@dataclass(frozen=True)
class _SavedFolder:
    """Stands in for a Keras model when MLflow saves one: copies the saved files.

    MLflow would write ``model.keras`` again, with other bytes than those of the sha256 in ``model.json``.
    """

    folder: Path

    def save(self, path: str) -> None:
        shutil.copytree(self.folder, Path(path).parent, dirs_exist_ok=True)


def _parse_address(model: str, registered_name: str | None) -> tuple[str | None, str, str]:
    """Return name, separator (``@`` or ``/``) and alias or version of a model's address."""
    address = re.fullmatch(r"(?:models:/)?(?P<name>[\w.-]+)(?P<separator>[@/])(?P<version>[\w.-]+)", model)
    if address and (address["separator"] == "@" or address["version"].isdigit()):
        return address["name"], address["separator"], address["version"]
    if re.fullmatch(r"[\w.-]+", model):
        return registered_name, "@", model
    raise UnknownModelError(
        f"model={model!r} is no address of a model: give a run id (32 hexadecimal digits), "
        "models:/NAME/VERSION, models:/NAME@ALIAS, NAME@ALIAS or an alias such as champion"
    )


def _model_of_run(workspace: Workspace, run_id: str, registered_name: str | None) -> ModelRef:
    versions = [
        version
        for version in open_client(workspace).search_model_versions(f"run_id = '{run_id}'")
        if registered_name in (None, version.name)
    ]
    if not versions:
        raise UnknownModelError(f"run {run_id} has no registered model; {_list_models(workspace)}")
    latest = max(versions, key=lambda version: int(version.version))
    return _model_ref(workspace, latest.name, int(latest.version))


def _version_of_alias(workspace: Workspace, name: str, alias: str) -> int:
    try:
        return int(open_client(workspace).get_model_version_by_alias(name, alias).version)
    except import_mlflow().MlflowException as error:
        raise UnknownModelError(f"there is no model {name}@{alias}; {_list_models(workspace)}") from error


def _model_ref(workspace: Workspace, name: str, version: int) -> ModelRef:
    client = open_client(workspace)
    try:
        run_id = client.get_model_version(name, str(version)).run_id
    except import_mlflow().MlflowException as error:
        raise UnknownModelError(
            f"there is no model {name}, version {version}{_newest_versions(workspace, name)}; {_list_models(workspace)}"
        ) from error
    address = client.get_model_version_download_uri(name, str(version))
    folder = _local_copy(workspace, address, f"{name}/{version}/{run_id}") / "data"
    if not (folder / "model.json").is_file():
        raise UnknownModelError(f"model {name}, version {version} holds no model.json in {folder}")
    return ModelRef(f"models:/{name}/{version}", name, version, run_id, folder)


def _local_copy(workspace: Workspace, address: str, identity: str) -> Path:
    """Return the folder of an artifact; one of an MLflow server is fetched once, into ``mlartifacts/fetched/``."""
    download = import_mlflow().artifacts.download_artifacts
    if not tracking_store(workspace).is_web:
        return Path(download(artifact_uri=address))
    fetched = workspace.mlartifacts / "fetched" / hashlib.sha256(identity.encode()).hexdigest()[:32]
    if not fetched.is_dir():
        fetched.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=fetched.parent) as unfinished:
            whole = Path(download(artifact_uri=address, dst_path=unfinished))
            with contextlib.suppress(OSError):  # another process was faster
                whole.rename(fetched)
    return fetched


def _newest_versions(workspace: Workspace, name: str) -> str:
    """Return which versions a name has, in words; empty for an unknown name."""
    found = open_client(workspace).search_model_versions(f"name = '{name}'")
    versions = sorted(int(version.version) for version in found)
    return f" (its newest are {', '.join(map(str, versions[-5:]))})" if versions else ""


def _list_models(workspace: Workspace) -> str:
    models = [
        "".join([model.name, " (", ", ".join(sorted(f"@{alias}" for alias in model.aliases)) or "no alias", ")"])
        for model in open_client(workspace).search_registered_models()
    ]
    if not models:
        return f"the workspace {workspace.root} has no registered model: train one first"
    return f"the workspace {workspace.root} has {', '.join(sorted(models))}"


def _import_keras_flavor() -> Any:
    import_mlflow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow warns of its own type hints at the first import
        import mlflow.keras
        import mlflow.pyfunc.model
    return mlflow.keras


def _signature(example: np.ndarray, classes: int | None) -> Any:
    """Return the signature of a model: images to probabilities of galaxy classes, or to logits of candidates."""
    models, schema = import_mlflow().models, import_mlflow().types.schema
    images = schema.TensorSpec(example.dtype, (-1, *example.shape[1:]), name="images")
    outputs = schema.TensorSpec(np.dtype(np.float32), (-1, classes or -1), name="outputs")
    return models.ModelSignature(inputs=schema.Schema([images]), outputs=schema.Schema([outputs]))
