"""The night that is scored when none is named: the newest one that was made or ingested in the workspace."""

import json
from collections.abc import Iterator
from pathlib import Path

from tasks.night.models import NightError
from tasks.night.simulated import NIGHTS, PROGRESS
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import VERSIONS, current_version
from tasks.store.schema import REALBOGUS, version_folder


def newest_night(workspace: Workspace) -> str:
    """Return the path of the newest night: one of `make-night`, or a dataset of candidates without any label.

    Raises
    ------
    NightError
        There is neither.
    """
    nights = [*_made_nights(workspace), *_ingested_nights(workspace)]
    if not nights:
        raise NightError(
            f"there is no night to score in {workspace.root}: make one with `starloom run make-night`, ingest one with "
            "`starloom run build-realbogus-dataset -p source=alerts -p path=...`, or name one with path=..."
        )
    return str(max(nights)[1])


def _made_nights(workspace: Workspace) -> Iterator[tuple[int, str]]:
    """Yield the time at which each made night was finished, and its path."""
    for progress in (workspace.root / NIGHTS).glob(f"*/{PROGRESS}"):
        yield progress.stat().st_mtime_ns, str(progress.parent)


def _ingested_nights(workspace: Workspace) -> Iterator[tuple[int, str]]:
    """Yield the time at which each dataset of unlabelled candidates was published, and its folder or name."""
    for folder in workspace.datasets.glob("*"):
        version = current_version(folder)
        if version is None:
            continue
        manifest = folder / VERSIONS / version_folder(version) / "manifest.json"
        if _is_unlabelled(manifest):
            yield manifest.stat().st_mtime_ns, str(folder) if workspace.address is None else folder.name


def _is_unlabelled(manifest: Path) -> bool:
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    counts = [count for scheme in facts["schemes"].values() for count in scheme.get("counts", {}).values()]
    return bool(facts["problem"] == REALBOGUS and counts and not sum(counts) and facts["stored"])
