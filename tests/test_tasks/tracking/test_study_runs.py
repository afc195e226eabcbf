"""The runs of a study: rows below one parent, the same ones when the study is published again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import open_client
from tasks.tracking.mlflow_runs import PARENT
from tasks.tracking.study_runs import StudyRuns

DATASET: Any = SimpleNamespace(name="sky", version=1, digest="0123456789abcdef" * 4)


def publish(workspace: Workspace, record: Path) -> StudyRuns:
    runs = StudyRuns(workspace, "realbogus", record, DATASET, {"pixels": "simulated"})
    with runs.open_study("compare-made sky", {"seeds": [0, 1]}):
        pass
    for seed in (0, 1):
        with runs.open_row(f"simple, seed {seed}", "simple", {"seed": seed}) as run:
            run.log_metrics({"test_auc": 0.9 + seed / 100})
    return runs


def test_rows_stand_below_the_study_and_share_the_names_of_metrics(
    tracked_workspace: Workspace, tmp_path: Path
) -> None:
    runs = publish(tracked_workspace, tmp_path / "runs.json")
    client = open_client(tracked_workspace)
    study = client.get_run(runs.study_id)
    assert study.data.tags["kind"] == "study"
    assert PARENT not in study.data.tags
    experiment = client.get_experiment_by_name("realbogus").experiment_id
    rows = client.search_runs([experiment], f"tags.`{PARENT}` = '{runs.study_id}'", order_by=["params.seed"])
    assert [row.data.metrics for row in rows] == [{"test_auc": 0.9}, {"test_auc": 0.91}]
    for row in rows:
        assert {"kind": "study row", "arm": "simple", "pixels": "simulated"}.items() <= row.data.tags.items()


def test_a_study_that_is_published_again_has_the_same_runs(tracked_workspace: Workspace, tmp_path: Path) -> None:
    first, again = (publish(tracked_workspace, tmp_path / "runs.json") for _ in range(2))
    assert first.ids == again.ids
    assert len(set(first.ids.values())) == 3
    assert publish(tracked_workspace, tmp_path / "other.json").study_id != first.study_id
