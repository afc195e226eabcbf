"""A model a detector, all detectors at the size of one, or all samples."""

from typing import Annotated, Any

from prefect import flow

from flows import described
from tasks.cluster import cluster
from tasks.stages.show import show_summary
from tasks.stages.studies import Row, StudyRequest, run_rows
from tasks.stages.study_report import compare_rows, publish_study
from tasks.workspace import Workspace

NAME = "compare-treatments"
TREATMENTS = ("each", "mix", "all")


@flow(name=NAME, description="A model a detector, all detectors at the size of one, or all samples")
def compare_treatments(
    dataset: described.Dataset = "survey",
    test_dataset: described.TestDataset = "testsurvey",
    network: described.CandidateNetwork = "simple",
    seeds: described.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
    epochs: Annotated[int, described.told("Epochs of every training", ge=1)] = 8,
    limit: described.StudyLimit = 8000,
) -> dict[str, Any]:
    """Train and judge the treatments; on a dataset built with diversity=0 each and mix should be alike."""
    workspace = Workspace.current()
    request = StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit)
    rows = [
        Row(name=f"{network}-{treatment}", seed=seed, network=network, treatment=treatment)
        for seed in seeds
        for treatment in TREATMENTS
    ]
    with cluster(0) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    names = [f"{network}-{treatment}" for treatment in TREATMENTS]
    compared = compare_rows(workspace, NAME, request, results, names)
    remark = "A model a detector, all detectors at the size of one, all samples."
    summary = publish_study(workspace, NAME, request, results, compared, remark)
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
