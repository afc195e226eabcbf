"""The flow `compare-trainings`: a network and frozen features at two sizes, killed and run again."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.compare_trainings import compare_trainings
from galaxy.models import baselines
from tasks.runtime.workspace import Workspace
from tasks.studies.galaxies import training_fits
from tests.small_schemes import publish_schemes

# Keras turns its variables into arrays in a way that NumPy 2 will stop taking.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
HEAD = {"name": "random features", "network": "cnn", "fitting": "head"}
REQUEST = {
    "dataset": "eleven",
    "arms": ["cnn:deck", HEAD],
    "sizes": [24, "all"],
    "folds": 2,
    "seeds": [0, 1],
    "epochs": 1,
}
NAMES = ["majority class", "forest on image scalars", "cnn deck", "random features"]


def test_arms_are_fitted_once_and_compared_on_the_same_galaxies(
    flows_here: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setattr(baselines, "FOREST_TREES", 10)
    publish_schemes(flows_here, "eleven", count=110, side=48, schemes=("gz2-2class",))
    fitted: list[tuple[int, int | None]] = []
    fit = training_fits.fit_fold

    def dies_at_the_third(job):  # type: ignore[no-untyped-def]
        fitted.append((job.training.request.seed, job.size))
        if len(fitted) == 3:
            raise KeyboardInterrupt
        return fit(job)

    monkeypatch.setattr(training_fits, "fit_fold", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        compare_trainings(**REQUEST)
    summary = compare_trainings(**REQUEST)
    assert fitted == [(0, 24), (0, None), (1, 24), (1, 24), (1, None)]

    rows = {(row["name"], row["size"]): row for row in summary["rows"]}
    assert list(rows) == [(name, size) for size in (24, "all") for name in NAMES]
    table = pq.read_table(summary["scores"])
    probability = np.stack([table[name].to_numpy() for name in table.column_names if name.startswith("probability_")])
    np.testing.assert_allclose(probability.sum(axis=0), 1, atol=1e-6)
    classes = [name.removeprefix("probability_") for name in table.column_names if name.startswith("probability_")]
    right = np.array(classes)[probability.argmax(axis=0)] == np.array(table["label"].to_pylist())
    arm, seed = np.array(table["arm"].to_pylist()), table["seed"].to_numpy()
    small = np.array([size == 24 for size in table["size"].to_pylist()])
    ids = np.array(table["id"].to_pylist())
    for (name, size), row in rows.items():
        own = (arm == name) & (small == (size == 24))
        assert row["accuracy"] == pytest.approx(np.mean([right[own & (seed == number)].mean() for number in (0, 1)]))
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
        assert sorted(ids[own]) == sorted(set(ids)), "every galaxy is scored once, by one seed"
        assert row["scored"] == own.sum() == 110
        first = rows["cnn deck", size]
        if name != "cnn deck":
            assert row["accuracy_difference"] == pytest.approx(row["accuracy"] - first["accuracy"])
    assert rows["cnn deck", 24]["trained_on"] == 24
    assert rows["cnn deck", 24]["validated_on"] <= 6
    assert rows["random features", "all"]["accuracy"] > 0.9, "the class stands in the colour"
    assert rows["random features", "all"]["accuracy_difference_low"] is not None

    client = mlflow.MlflowClient(tracking_uri=flows_here.mlflow_uri)
    runs = {run.info.run_id: run for run in client.search_runs([client.get_experiment_by_name("galaxy").experiment_id])}
    children = [run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") == summary["run_id"]]
    assert len(children) == len(rows) == len(runs) - 1
    for run in children:
        size = run.data.params["size"]
        row = rows[run.data.params["arm"], size if size == "all" else int(size)]
        assert run.data.metrics["out_of_fold_accuracy"] == pytest.approx(row["accuracy"])
        assert {"dataset_digest", "split_hash", "scheme", "code_version", "seed", "device"} <= set(run.data.tags)
    assert "cnn deck" in Path(summary["report"]).read_text(encoding="utf-8")

    again = compare_trainings(**REQUEST)
    assert len(fitted) == 5
    assert {**again, "seconds": 0} == {**summary, "seconds": 0}
    assert len(client.search_runs([client.get_experiment_by_name("galaxy").experiment_id])) == len(runs)
