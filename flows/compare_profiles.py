"""Compare the public code as executed, as described, and corrected."""

from typing import Any, get_args

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from realbogus.models.network_settings import Profile
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.run_study import run_rows
from tasks.studies.report import compare_rows, publish_study
from tasks.studies.rows import StudyRequest, StudyRow

NAME = "compare-profiles"
PROFILES = get_args(Profile)
LOSSES: dict[str, Any] = {"loss_ce": 0.1, "loss_ech": 1.0, "loss_lds": 0.1}
"""The public code's default weights, which ``published`` mixes up."""


@flow(
    name=NAME,
    description="Compare the public code as executed, as described, and corrected",
    **run_page("dataset", "network"),
)
@by_subject
def compare_profiles(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    limit: parameter_types.StudyLimit = 4000,
    network: parameter_types.CandidateNetwork = "complex",
    optimizer: parameter_types.CandidateOptimizer = "adam",
    epochs: parameter_types.StudyEpochs = 8,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
) -> dict[str, Any]:
    """Train and evaluate the three profiles with one optimiser and the public code's loss weights."""
    workspace = Workspace.current()
    request = StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit)
    rows = [
        StudyRow(name=profile, seed=seed, network=network, profile=profile, optimizer=optimizer, **LOSSES)
        for seed in seeds
        for profile in PROFILES
    ]
    with cluster(0) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    compared = compare_rows(workspace, NAME, request, results, list(PROFILES))
    remark = f"All three profiles use the optimiser {optimizer} and the public code's loss weights."
    summary = publish_study(workspace, NAME, request, results, compared, remark)
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
