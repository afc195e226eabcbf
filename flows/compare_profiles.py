"""What the public code executes, what it means to, and that repaired."""

from typing import Annotated, Any

from prefect import flow

from flows import described
from tasks.cluster import cluster
from tasks.stages.show import show_summary
from tasks.stages.studies import Row, StudyRequest, run_rows
from tasks.stages.study_report import compare_rows, publish_study
from tasks.workspace import Workspace

NAME = "compare-profiles"
PROFILES = ("published", "as-written", "fixed")
LOSSES: dict[str, Any] = {"loss_ce": 0.1, "loss_ech": 1.0, "loss_lds": 0.1}
"""The public code's default weights, which ``published`` mixes up."""


@flow(name=NAME, description="What the public code executes, what it means to, and that repaired")
def compare_profiles(
    dataset: described.Dataset = "survey",
    test_dataset: described.TestDataset = "testsurvey",
    network: described.CandidateNetwork = "complex",
    optimizer: described.CandidateOptimizer = "adam",
    seeds: described.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
    epochs: Annotated[int, described.told("Epochs of every training", ge=1)] = 8,
    limit: described.StudyLimit = 4000,
) -> dict[str, Any]:
    """Train and judge the three profiles with one optimiser and the public code's weights."""
    workspace = Workspace.current()
    request = StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit)
    rows = [
        Row(name=profile, seed=seed, network=network, profile=profile, optimizer=optimizer, **LOSSES)
        for seed in seeds
        for profile in PROFILES
    ]
    with cluster(0) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    compared = compare_rows(workspace, NAME, request, results, list(PROFILES))
    remark = f"One optimiser ({optimizer}) and the public code's weights of the losses for all three."
    summary = publish_study(workspace, NAME, request, results, compared, remark)
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
