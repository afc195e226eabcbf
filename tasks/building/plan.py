"""The plan of a build: a folder in staging that records the request, so that a build that died can be resumed."""

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset, published_number
from tasks.store.errors import StoreError
from tasks.store.files import write_json
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.schema import STAGING
from tasks.store.staging import Staging, clear_others


class BuildParameters(Protocol):
    """The parameters that every build flow has."""

    @property
    def dataset(self) -> str:
        """Name of the dataset to build."""

    @property
    def source(self) -> str:
        """Name of the source of samples."""

    @property
    def seed(self) -> int:
        """Seed of the build."""

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Return all parameters by name."""


Request = TypeVar("Request", bound=BuildParameters, covariant=True)


@dataclass(frozen=True)
class Plan(Generic[Request]):
    """A plan on disk: ``plan.json`` in its staging folder, and the problem's own files beside it.

    Attributes
    ----------
    folder : Path
        The staging folder.
    request : pydantic model
        The parameters of the flow.
    """

    folder: Path
    request: Request

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The content of ``plan.json``.

        ``request``, ``digest`` (the same for equal requests), ``scheme`` (name, digest, classes; or None), ``parent``
        (the version that the build adds to), ``ask`` (number of work items), ``finished_before``, ``started`` (Unix
        time), on an object store ``batches`` (the address where they are staged), and the problem's own.
        """
        facts: dict[str, Any] = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
        return facts

    @property
    def digest(self) -> str:
        """Digest of the request, its key in the manifest's ``builds``."""
        return str(self.facts["digest"])

    @property
    def staging(self) -> Staging:
        """Where finished batches are written."""
        batches = self.facts.get("batches")
        return Staging(self.folder, None if batches is None else ObjectFolder(batches))

    @property
    def dataset(self) -> str:
        """Name of the dataset to build."""
        return self.request.dataset

    @property
    def source(self) -> str:
        """Name of the source of samples."""
        return self.request.source

    @property
    def scheme(self) -> str | None:
        """Name of the scheme that labels the dataset, or None."""
        return None if self.facts["scheme"] is None else str(self.facts["scheme"]["name"])

    @property
    def classes(self) -> list[str]:
        """The scheme's classes in order; empty without a scheme."""
        return [] if self.facts["scheme"] is None else list(self.facts["scheme"]["classes"])

    @property
    def work_items(self) -> int:
        """Number of samples or batches that are still to be collected."""
        return int(self.facts["ask"])

    @property
    def seconds(self) -> float:
        """Wall-clock time since this run wrote the plan."""
        return time.time() - float(self.facts["started"])

    @property
    def finished_before(self) -> bool:
        """Whether an earlier build of the published version finished the same request."""
        return bool(self.facts["finished_before"])

    def parent(self, workspace: Workspace) -> Dataset | None:
        """Open the version that the build adds to; None for a new dataset."""
        return None if self.facts["parent"] is None else Dataset.open(workspace, self.dataset)

    def is_finished(self) -> bool:
        """Tell whether the published version holds everything requested."""
        return self.work_items == 0 and self.finished_before


def begin_plan(
    dataset: Path, name: str, request: BuildParameters, facts: dict[str, Any], objects: ObjectFolder | None = None
) -> Path:
    """Write ``plan.json`` into the staging folder `name` of a dataset and return that folder.

    The staging folders of other requests are removed. `objects` is the dataset on an object store, where batches are
    staged; those of other requests stay there, because another machine may be at work on them.
    """
    folder = dataset / STAGING / name
    clear_others(dataset / STAGING, folder)
    if objects is not None:
        facts = facts | {"batches": str(objects / STAGING / name)}
    write_json(folder / "plan.json", {"request": request.model_dump(mode="json"), **facts, "started": time.time()})
    return folder


def published_parent(workspace: Workspace, name: str, problem: str) -> Dataset | None:
    """Return the published version of a dataset, or None where nothing is published.

    Raises
    ------
    StoreError
        The dataset is of another problem.
    """
    if published_number(workspace, name) is None:
        return None
    parent = Dataset.open(workspace, name)
    if parent.manifest["problem"] != problem:
        raise StoreError(f"dataset {name!r} is of problem {parent.manifest['problem']!r}, not {problem}")
    return parent
