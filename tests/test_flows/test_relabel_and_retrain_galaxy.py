"""Suspect labels of galaxies, end to end: what the flow gives, what goes on, and what must not leak."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from flows.relabel_and_retrain_galaxy import relabel_and_retrain_galaxy
from tasks.galaxies.relabelling.relabel import GalaxyRelabelRequest, GalaxyRelabelTask
from tasks.learning.models.saved_models import load_model
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.model_registry import resolve_model
from tasks.training.relabel import relabel_and_retrain
from tests.small_galaxies import CLASSES, PARTS, QUICK_RELABELLING, RELABELLED, RELABELLED_PX, SCHEME, publish_galaxies


def test_the_flow_ranks_weights_retrains_and_compares(flows_here: Workspace) -> None:
    wrong = [3, 10, 21, 40, 52, 63]
    dataset = publish_galaxies(flows_here, "sky", RELABELLED, size=RELABELLED_PX, wrong=wrong)
    before = (dataset.path / "labels" / f"{SCHEME}.parquet").read_bytes()
    asked = QUICK_RELABELLING | {"dataset": "sky", "handling": "weight", "rule": "misclassified"}
    relabel = GalaxyRelabelTask(flows_here, GalaxyRelabelRequest(**asked))
    selected = relabel_and_retrain(replace(relabel, request=GalaxyRelabelRequest(**asked, stage="select")), InProcess())
    summary = relabel_and_retrain_galaxy(**asked)
    assert summary["labels"] == selected["labels"]
    assert summary["suspects"] == selected["suspects"]
    assert set(summary["suspects"]) == set(CLASSES)

    queue = pq.read_table(summary["queue"]).to_pylist()
    trained = sum(part == "train" for part in PARTS) * RELABELLED // len(PARTS)
    assert [row["rank"] for row in queue] == list(range(1, trained + 1))
    assert sum(row["suspect"] for row in queue) == sum(summary["suspects"].values())
    assert all(row["suspect"] == (row["margin"] < 0) for row in queue)
    labels = {row["id"]: row for row in dataset.labels(SCHEME).to_pylist()}
    assert all(row["label"] == labels[row["id"]]["label"] for row in queue)
    assert all(row["vote_fraction"] == labels[row["id"]]["vote_fraction"] for row in queue)

    found = summary["noise_found"]
    assert (found["wrong"], found["suspects"]) == (len(wrong), sum(summary["suspects"].values()))
    for against, paired in summary["compared"].items():
        assert against in ("labels", "truth")
        assert paired["count"] == RELABELLED // len(PARTS)
        lead = (paired["second_only"] - paired["first_only"]) / paired["count"]
        assert np.isclose(paired["second"] - paired["first"], lead)
        assert np.isclose(paired["difference"], lead)
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert "The most suspect labels" in page
    assert f"../scores/{Path(summary['queue']).name}" in page

    current = Dataset.open(flows_here, "sky")
    assert (current.path / "labels" / f"{SCHEME}.parquet").read_bytes() == before
    _, card = load_model(resolve_model(flows_here, summary["model_uri"], None).folder)
    assert card["labels"] == summary["labels"]
    _, card = load_model(resolve_model(flows_here, summary["first"]["model_uri"], None).folder)
    assert "labels" not in card
    again = relabel_and_retrain(relabel, InProcess())
    assert (again["model_uri"], again["first"]) == (summary["model_uri"], summary["first"])
    assert Dataset.open(flows_here, "sky").version == current.version
