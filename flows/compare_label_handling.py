"""Compare treatments of suspect labels under three combinations of losses."""

from typing import Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.run_study import run_rows
from tasks.studies.report import compare_rows, publish_study
from tasks.studies.rows import StudyRequest, StudyRow
from tasks.training.out_of_fold import ITEMS_A_FOLD

NAME = "compare-label-handling"
LOSSES: dict[str, dict[str, Any]] = {
    "CE": {},
    "CE+ECH": {"loss_ech": 0.1},
    "CE+ECH+VAT": {"loss_ech": 0.1, "loss_lds": 1.0},
}
HANDLED = {"all": "none", "removed": "remove", "unlabeled": "unlabel"}
"""Name of a row -> handling of suspects. Without VAT, unlabelled samples are unused, which equals removing them."""


@flow(
    name=NAME,
    description="Compare keeping, removing and unlabelling suspect labels under three combinations of losses",
    **run_page("dataset", "network"),
)
@by_subject
def compare_label_handling(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    limit: parameter_types.StudyLimit = 4000,
    network: parameter_types.CandidateNetwork = "complex",
    epochs: parameter_types.StudyEpochs = 8,
    folds: parameter_types.Folds = 5,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
) -> dict[str, Any]:
    """Train and evaluate every combination."""
    workspace = Workspace.current()
    request = StudyRequest(
        dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit, folds=folds
    )
    steps: dict[str, dict[str, Any]] = {
        f"{word}, {losses}": {"handling": handling, **weights}
        for losses, weights in LOSSES.items()
        for word, handling in HANDLED.items()
        if not (word == "removed" and "VAT" in losses) and not (word == "unlabeled" and "VAT" not in losses)
    }
    rows = [StudyRow(name=name, seed=seed, network=network, **step) for seed in seeds for name, step in steps.items()]
    with cluster(ITEMS_A_FOLD * folds) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    compared = compare_rows(workspace, NAME, request, results, list(steps))
    remark = "Unlabelled samples enter the VAT loss only; without VAT, unlabelling equals removing."
    summary = publish_study(workspace, NAME, request, results, compared, remark)
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
