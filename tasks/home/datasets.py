"""The published versions of the workspace's datasets, from their manifests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.home.file_memory import FileMemory, Found, read_each
from tasks.home.status import DatasetStatus, SchemeCounts
from tasks.housekeeping.dataset_items import night_of
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import VERSIONS, Dataset, current_version, validation_address
from tasks.store.locks import builder_of
from tasks.store.schema import version_folder
from tasks.store.version_files import MANIFEST


def read_datasets(workspace: Workspace, memory: FileMemory) -> Found[DatasetStatus]:
    """Return the datasets by name, those of one night last, the newest night first."""
    folders = [path for path in workspace.datasets.glob("*") if path.is_dir() and path.name[0] != "."]
    rows, faults = read_each(
        sorted(folders), lambda folder: _read(workspace, folder, memory), lambda folder: f"dataset {folder.name}"
    )
    others = [row for row in rows if row.night is None]
    nights = sorted((row for row in rows if row.night is not None), key=lambda row: row.night or "", reverse=True)
    return [*others, *nights], faults


def published_version(workspace: Workspace, name: str, memory: FileMemory) -> DatasetStatus:
    """Return the published version of a dataset, as its manifest tells it; without a number where there is none."""
    folder = workspace.datasets / name
    version = current_version(folder)
    if version is None:
        return DatasetStatus(name=name, version=None, night=None)
    return memory.read(folder / VERSIONS / version_folder(version) / MANIFEST, _published)


def _read(workspace: Workspace, folder: Path, memory: FileMemory) -> DatasetStatus:
    published = published_version(workspace, folder.name, memory)
    report = None if published.version is None else f"{folder.name}-{published.version:06d}.html"
    validation = None if published.version is None else validation_address(folder.name, published.version)
    return published.model_copy(
        update={
            "name": folder.name,
            "night": night_of(folder.name),
            "builder": builder_of(folder),
            "report": report if report and (workspace.reports / report).is_file() else None,
            "validation": validation if validation and (workspace.datasets / validation).is_file() else None,
        }
    )


def _published(manifest_file: Path) -> DatasetStatus:
    """Return what the manifest of a version tells."""
    manifest = Dataset.at(manifest_file.parent).manifest
    return DatasetStatus(
        name=manifest["name"],
        version=manifest["version"],
        night=None,
        problem=manifest["problem"],
        pixels=manifest["pixels"],
        label_kind=manifest["label_kind"],
        asked=manifest["asked"],
        stored=manifest["stored"],
        rejected=manifest["rejected"],
        schemes=tuple(
            SchemeCounts(name=name, counts=facts.get("counts", {})) for name, facts in manifest["schemes"].items()
        ),
        parts=_parts(manifest),
        published_at=datetime.fromtimestamp(manifest_file.stat().st_mtime, UTC),
        digest=manifest["digest"],
    )


def _parts(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes of the split's parts by the newest build that tells them."""
    told = [build["split"] for build in manifest.get("builds", {}).values() if build.get("split")]
    return dict(told[-1]) if told else {}
