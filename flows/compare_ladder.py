"""Compare a sequence of changes, from the conventional network on one detector to two stages and more."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
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
LONGER = 3
"""Factor on the epochs of the further steps."""
FURTHER: dict[str, dict[str, Any]] = {
    f"+ averaged weights, {LONGER} times the epochs": {"weight_average": 0.998},
    "+ shift and noise": {"shift_px": 0.5, "noise": 0.2},
    "+ mean over the symmetries": {"average_views": True},
    "+ scalars of the stamp": {"stamp_scalars": True},
    "+ partial AUC": {"partial_auc": 0.1},
}
"""Training methods that are added one after the other to the last of the steps."""


@flow(
    name=NAME,
    description="Compare one detector, all detectors, a deeper network, two stages, training methods",
    **run_page("dataset", "test_dataset"),
)
@by_subject
def compare_ladder(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    limit: parameter_types.StudyLimit = 8000,
    epochs: parameter_types.StudyEpochs = 8,
    folds: parameter_types.Folds = 5,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
) -> dict[str, Any]:
    """Train and evaluate every step; return rows, ratios and the report."""
    request, workspace = (
        StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit, folds=folds),
        Workspace.current(),
    )
    steps = list_steps(epochs)
    rows = [StudyRow(name=name, seed=seed, **step) for seed in seeds for name, step in steps.items()]
    with cluster(ITEMS_A_FOLD * folds) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    compared = compare_rows(workspace, NAME, request, results, list(steps))
    summary = publish_study(workspace, NAME, request, results, compared, "Each step changes one thing.")
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary


def list_steps(epochs: int) -> dict[str, dict[str, Any]]:
    """Return the settings of all steps by name; those after `STEPS` are fitted `LONGER` times the epochs."""
    steps, methods = dict(STEPS), dict[str, Any]()
    last = list(STEPS.values())[-1]
    for name, change in FURTHER.items():
        methods = methods | change
        steps[name] = {**last, "epochs": LONGER * epochs, "methods": methods}
    return steps
