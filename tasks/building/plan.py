"""What the plan of any build is: a folder in staging that says what was asked, so that it can go on after dying."""

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset, current_version
from tasks.store.errors import StoreError
from tasks.store.files import write_json
from tasks.store.staging import Staging, clear_others


@dataclass(frozen=True)
class Plan:
    """A plan on disk: ``plan.json`` in its staging folder, and what the problem adds beside it.

    `facts` holds ``request``, ``digest`` (what makes two requests the same), ``scheme`` (name, digest, classes, or
    None), ``parent`` (version that is added to), ``ask`` (items of work), ``finished_before`` and ``started``.
    """

    folder: Path

    @classmethod
    def begin(cls, dataset: Path, name: str, facts: dict[str, Any]) -> Self:
        """Write the facts into the staging folder `name` of a dataset, and remove what other requests left."""
        staging = dataset / "staging" / name
        clear_others(dataset / "staging", staging)
        write_json(staging / "plan.json", facts | {"started": time.time()})
        return cls(staging)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What was asked and what is there already."""
        facts: dict[str, Any] = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
        return facts

    @property
    def request(self) -> dict[str, Any]:
        """The parameters of the flow."""
        request: dict[str, Any] = self.facts["request"]
        return request

    @property
    def digest(self) -> str:
        """Names the request in the manifest's ``builds``."""
        return str(self.facts["digest"])

    @property
    def staging(self) -> Staging:
        """Where finished batches are left."""
        return Staging(self.folder)

    @property
    def dataset(self) -> str:
        """The name of the dataset that is built."""
        return str(self.request["dataset"])

    @property
    def source(self) -> str:
        """The name of the source."""
        return str(self.request["source"])

    @property
    def scheme(self) -> str | None:
        """The name of the scheme that labels it, or None."""
        return None if self.facts["scheme"] is None else str(self.facts["scheme"]["name"])

    @property
    def seconds(self) -> float:
        """Wall-clock time since this run made or found the plan."""
        return time.time() - float(self.facts["started"])

    def parent(self, workspace: Workspace) -> Dataset | None:
        """Open the version that is added to, or return None for a new dataset."""
        return None if self.facts["parent"] is None else Dataset.open(workspace, self.dataset)

    def is_finished(self) -> bool:
        """Tell whether the published version holds all that was asked."""
        return self.facts["ask"] == 0 and self.facts["finished_before"]


def published_parent(workspace: Workspace, name: str, problem: str) -> Dataset | None:
    """Return the published version of a dataset, or None where nothing is published.

    Raises
    ------
    StoreError
        The dataset is of another problem.
    """
    if current_version(workspace.datasets / name) is None:
        return None
    parent = Dataset.open(workspace, name)
    if parent.manifest["problem"] != problem:
        raise StoreError(f"dataset {name!r} is of problem {parent.manifest['problem']!r}, not {problem}")
    return parent
