"""The MLflow runs of a study: one for the study, and one a row below it, which are selected and compared there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.runtime.workspace import Workspace
from tasks.store.files import write_json
from tasks.tracking.mlflow_runs import PARENT, TrackedRun, open_run

if TYPE_CHECKING:
    from tasks.store.dataset import Dataset

_STUDY = "study"


@dataclass(frozen=True)
class StudyRuns:
    """The runs of a study, by name; a study that is published again goes on with the same.

    Attributes
    ----------
    workspace : Workspace
    problem : str
        Experiment of the runs.
    record : Path
        JSON file that keeps their ids. MLflow's parameters never change, so each request of a study has its own.
    dataset : Dataset
    tags : mapping of str to str
        Of every run.
    """

    workspace: Workspace
    problem: str
    record: Path
    dataset: "Dataset"
    tags: Mapping[str, str]

    @cached_property
    def ids(self) -> dict[str, str]:
        """Ids of the runs that there are."""
        return dict(json.loads(self.record.read_text(encoding="utf-8"))) if self.record.exists() else {}

    @property
    def study_id(self) -> str:
        """Id of the study's run, once it was opened."""
        return self.ids[_STUDY]

    @contextmanager
    def open_study(self, name: str, params: Mapping[str, Any]) -> Iterator[TrackedRun]:
        """Open the study's run, tag ``kind=study``."""
        with self._open(_STUDY, name, params, {"kind": "study"}) as run:
            yield run

    @contextmanager
    def open_row(self, name: str, arm: str, params: Mapping[str, Any]) -> Iterator[TrackedRun]:
        """Open the run of a row below the study's, which was opened before; tags ``kind=study row`` and ``arm``.

        Parameters
        ----------
        name : str
            Unlike that of any other row.
        arm : str
            What is compared; rows that differ in the seed or the size alone share it.
        params : mapping of str to value
        """
        with self._open(name, name, params, {"kind": "study row", "arm": arm, PARENT: self.study_id}) as run:
            yield run

    @contextmanager
    def _open(self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[TrackedRun]:
        with open_run(
            self.workspace,
            problem=self.problem,
            run_name=name,
            params=params,
            tags={**self.tags, **tags},
            dataset=self.dataset,
            run_id=self.ids.get(key),
        ) as run:
            self.ids[key] = run.id
            write_json(self.record, self.ids)
            yield run
