"""Runs in a workspace's MLflow database: parameters, tags, metrics, artifacts and the dataset that was used."""

import csv
import io
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image

from tasks.runtime.flow_command import flow_command
from tasks.runtime.workspace import Workspace
from tasks.tracking.database import import_mlflow, open_client, prepare
from tasks.tracking.dead_runs import PROCESS, mark_killed, this_process
from tasks.tracking.model_registry import KerasModel, ModelRef, register_model
from tasks.tracking.notes import NOTE, REPORT_FOLDER, run_note
from tasks.tracking.tracking_store import require_tracking_server

if TYPE_CHECKING:
    from tasks.store.dataset import Dataset

PARENT = "mlflow.parentRunId"
"""Tag below whose run MLflow lists a run."""

_DIGEST_LENGTH = 36  # the column of MLflow's table of datasets; a tag holds the whole digest


@dataclass(frozen=True)
class TrackedRun:
    """An MLflow run that is being recorded."""

    id: str
    workspace: Workspace

    def log_metrics(self, metrics: Mapping[str, float | None], step: int | None = None) -> None:
        """Record numbers, except None and NaN, which mean that nothing was measured."""
        measured = {name: float(value) for name, value in metrics.items() if value is not None}
        import_mlflow().log_metrics(
            {name: value for name, value in measured.items() if not np.isnan(value)},
            step=step,
            run_id=self.id,
        )

    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags of the run."""
        for name, value in tags.items():
            open_client(self.workspace).set_tag(self.id, name, value)

    def log_figure(self, png: bytes, key: str, step: int = 0) -> None:
        """Store a picture, PNG or JPEG, as the image ``key`` of a step.

        MLflow's charts show the images of several runs side by side where key and step are the same.
        """
        with Image.open(io.BytesIO(png)) as image:
            open_client(self.workspace).log_image(self.id, image, key=mlflow_name(key), step=step)

    def log_report(self, path: Path) -> None:
        """Store a copy of a report under ``report/``, and name it in the run's note."""
        self.log_file(path, REPORT_FOLDER)
        self._set_note(path.name)

    def _set_note(self, report: str | None) -> None:
        client = open_client(self.workspace)
        note = run_note(client.get_run(self.id).info.experiment_id, self.id, report, flow_command())
        if note:
            client.set_tag(self.id, NOTE, note)

    def log_table(self, table: pa.Table | Mapping[str, Sequence], name: str) -> None:
        """Store a table, columns of equal length, as ``tables/NAME.csv``, which MLflow's page shows as a table."""
        columns = table.to_pydict() if isinstance(table, pa.Table) else table
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.csv")
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))
            self.log_file(path, "tables")

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Store a copy of the file ``path``."""
        open_client(self.workspace).log_artifact(self.id, str(path), folder)

    def log_folder(self, path: Path, name: str) -> None:
        """Store a copy of the files under ``path`` as the artifact folder ``name``."""
        open_client(self.workspace).log_artifacts(self.id, str(path), name)

    def log_text(self, text: str, name: str) -> None:
        """Store ``text`` as the artifact ``name``."""
        open_client(self.workspace).log_text(self.id, text, name)

    def log_model(self, model: KerasModel, folder: Path, registered_name: str, example: np.ndarray) -> ModelRef:
        """Register the files of ``folder`` as a new version of ``registered_name``; see `register_model`."""
        return register_model(self.workspace, model, folder, registered_name, example)


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
    """Record a run in the experiment ``problem``; with ``run_id``, resume that run.

    The run is marked failed when the block raises. Its note is the command that repeats the flow run, if there is one.
    Runs of the experiment whose process died are marked killed.

    Raises
    ------
    AddressError
        A group's MLflow was lost meanwhile.
    """
    prepare(workspace)
    mlflow = import_mlflow()
    experiment = mlflow.set_experiment(problem)
    try:
        mark_killed(open_client(workspace), experiment.experiment_id)
        with mlflow.start_run(run_id=run_id, run_name=None if run_id else run_name) as started:
            mlflow.log_params(dict(params))
            mlflow.set_tags({**tags, PROCESS: this_process()})
            if dataset is not None:
                _log_dataset(dataset)
            run = TrackedRun(started.info.run_id, workspace)
            if run_id is None:
                run._set_note(None)
            yield run
    except mlflow.MlflowException:
        require_tracking_server()  # says which server was lost
        raise


def newest_run(
    workspace: Workspace, problem: str, tags: Mapping[str, str], measured: str, params: Mapping[str, str] | None = None
) -> tuple[str, dict[str, float]] | None:
    """Return id and metrics of the newest finished run with these tags and the metric ``measured``.

    A run whose parameters are others than `params` is passed over; one that lacks a parameter is not. So is a run that
    belongs to another, such as a row of a study.
    """
    prepare(workspace)
    client = open_client(workspace)
    experiment = client.get_experiment_by_name(problem)
    conditions = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
    runs = client.search_runs(
        [experiment.experiment_id],
        " and ".join(["attributes.status = 'FINISHED'", *conditions]),
        order_by=["attributes.start_time DESC"],
    )
    wanted = (params or {}).items()
    alone = (run for run in runs if PARENT not in run.data.tags)
    fitting = (run for run in alone if all(run.data.params.get(name, value) == value for name, value in wanted))
    return next(((run.info.run_id, run.data.metrics) for run in fitting if measured in run.data.metrics), None)


def runs_tagged(workspace: Workspace, problem: str, tags: Mapping[str, str]) -> list[str]:
    """Return the ids of the runs with these tags, the newest first."""
    prepare(workspace)
    client = open_client(workspace)
    experiment = client.get_experiment_by_name(problem)
    if experiment is None:
        return []
    conditions = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    runs = client.search_runs([experiment.experiment_id], conditions, order_by=["attributes.start_time DESC"])
    return [run.info.run_id for run in runs]


def has_finished_run(workspace: Workspace, problem: str, tags: Mapping[str, str]) -> bool:
    """Return whether the experiment ``problem`` has a finished run with these tags."""
    prepare(workspace)
    client = open_client(workspace)
    conditions = ["attributes.status = 'FINISHED'", *(f"tags.`{name}` = '{value}'" for name, value in tags.items())]
    experiment = client.get_experiment_by_name(problem)
    return bool(client.search_runs([experiment.experiment_id], " and ".join(conditions), max_results=1))


def metric_history(workspace: Workspace, run_id: str, names: Sequence[str]) -> dict[str, list[float]]:
    """Return the values of each metric in the order of their steps; a metric without values is absent."""
    client = open_client(workspace)
    histories = {name: client.get_metric_history(run_id, name) for name in names}
    return {name: [point.value for point in sorted(points, key=_step)] for name, points in histories.items() if points}


def mlflow_name(name: str) -> str:
    """Return a name as MLflow accepts it for a metric or an image: other characters become ``_``."""
    return re.sub(r"[^\w./ -]", "_", name)


def _step(point: Any) -> int:
    return int(point.step)


def _log_dataset(dataset: "Dataset") -> None:
    data = import_mlflow().data
    source = data.code_dataset_source.CodeDatasetSource(
        tags={"dataset": f"{dataset.name}@{dataset.version}", "digest": dataset.digest}
    )
    recorded = data.meta_dataset.MetaDataset(source, name=dataset.name, digest=dataset.digest[:_DIGEST_LENGTH])
    import_mlflow().log_input(recorded, context=f"version {dataset.version}")
