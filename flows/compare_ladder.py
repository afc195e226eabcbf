"""Compare a sequence of changes, from the conventional network on one detector to two-stage training."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.run_study import run_rows
from tasks.stages.show import show_summary
from tasks.studies.report import compare_rows, publish_study
from tasks.studies.rows import StudyRequest, StudyRow
from tasks.training.out_of_fold import ITEMS_A_FOLD

NAME = "compare-ladder"
STEPS: dict[str, dict[str, Any]] = {
    "simple, one detector each": {"network": "simple", "treatment": "each"},
    "simple, all detectors at the size of one": {"network": "simple", "treatment": "mix"},
    "simple, all": {"network": "simple"},
    "complex, all": {"network": "complex"},
    "complex + AUC loss": {"network": "complex", "loss_ech": 0.1},
    "complex + AUC loss + two stages": {
        "network": "complex",
        "loss_ech": 0.1,
        "loss_lds": 1.0,
        "handling": "unlabel",
    },
}


@flow(name=NAME, description="Compare one detector, all detectors, a deeper network, the AUC loss and two stages")
def compare_ladder(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
    epochs: parameter_types.StudyEpochs = 8,
    limit: parameter_types.StudyLimit = 8000,
    folds: parameter_types.Folds = 5,
) -> dict[str, Any]:
    """Train and evaluate every step; return rows, ratios and the report."""
    request, workspace = (
        StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit, folds=folds),
        Workspace.current(),
    )
    rows = [StudyRow(name=name, seed=seed, **step) for seed in seeds for name, step in STEPS.items()]
    with cluster(ITEMS_A_FOLD * folds) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    compared = compare_rows(workspace, NAME, request, results, list(STEPS))
    summary = publish_study(workspace, NAME, request, results, compared, "Each step changes one thing.")
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
