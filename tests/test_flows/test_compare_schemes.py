"""The flow `compare-schemes`: rows, page, MLflow runs and artifact of two schemes; it goes on after a kill."""

import json
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.compare_schemes import compare_schemes
from galaxy.models import baselines
from tasks.learning.fits.checkpoints import EpochRecord
from tasks.runtime.workspace import Workspace
from tasks.studies.galaxies import scheme_training
from tasks.tracking.mlflow_runs import TrackedRun
from tests.small_schemes import publish_schemes

# Keras turns its variables into arrays in a way that NumPy 2 will stop taking.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
REQUEST = {"dataset": "eleven", "schemes": ["deck-11", "deck-3"], "arms": ["cnn:deck"], "epochs": 2}


def table_shown() -> list[dict[str, str]]:
    """The newest artifact ``accuracy`` of the runs so far."""
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": ["accuracy"]}}})
    newest = max(answer.json(), key=lambda item: item["created"])
    return json.loads(newest["data"])  # type: ignore[no-any-return]


def test_a_study_of_two_schemes_is_trained_once_and_shown_everywhere(
    flows_here: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setattr(baselines, "FOREST_TREES", 10)
    publish_schemes(flows_here, "eleven", count=110, side=48)
    recorded: list[tuple[str, int]] = []
    record_epoch = scheme_training.record_epoch

    def dies_in_the_second_fit(run: TrackedRun, record: EpochRecord) -> None:
        recorded.append((run.id, record.epoch))
        if len(recorded) == 4:
            raise KeyboardInterrupt
        record_epoch(run, record)

    monkeypatch.setattr(scheme_training, "record_epoch", dies_in_the_second_fit)
    with pytest.raises(KeyboardInterrupt):
        compare_schemes(**REQUEST)
    summary = compare_schemes(**REQUEST)
    first, second = (row["run_id"] for row in summary["rows"])
    assert recorded == [(first, 1), (first, 2), (second, 1), (second, 2), (second, 2)]
    rows = summary["rows"]
    assert [(row["scheme"], row["arm"]) for row in rows] == [("deck-3", "cnn deck"), ("deck-11", "cnn deck")]
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    compared = summary["compared"]
    for row in rows:
        own = compared[row["scheme"]]["arms"][row["arm"]]["own"]
        assert own["accuracy"] == pytest.approx(row["accuracy"])
        assert own["macro_f1"] == pytest.approx(row["macro_f1"])
    assert compared["deck-3"]["arms"]["cnn deck"]["summed"] is not None
    assert compared["deck-11"]["arms"]["cnn deck"]["summed"] is None

    client = mlflow.MlflowClient(tracking_uri=flows_here.mlflow_uri)
    runs = client.search_runs([client.get_experiment_by_name("galaxy").experiment_id])
    children = {run.info.run_id: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert {row["run_id"] for row in rows} == set(children)
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {summary["run_id"]}
    assert {run.info.status for run in runs} == {"FINISHED"}
    for row in rows:
        assert children[row["run_id"]].data.metrics["test_accuracy"] == row["accuracy"]
    assert client.search_registered_models() == []

    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert "Barchi et al. 2020 (other data)" in page
    assert "cnn deck (simulated)" in page
    shown = table_shown()
    assert [line["scheme"] for line in shown] == ["deck-3", "deck-11"]
    assert shown[1]["Barchi et al. 2020 (other data)"] == "65.2"
    assert shown[0]["cnn deck (simulated)"].startswith(f"{100 * rows[0]['accuracy']:.1f}")
