"""Compare one model per detector, a mixed sample of one detector's size, and all samples."""

from typing import Any, get_args

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.candidates.choices import Treatment
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.run_study import run_rows
from tasks.studies.report import compare_rows, publish_study
from tasks.studies.rows import StudyRequest, StudyRow

NAME = "compare-treatments"
TREATMENTS = get_args(Treatment)


@flow(
    name=NAME,
    description="Compare one model per detector, a mixed sample of one detector's size, and all samples",
    **run_page("dataset", "network"),
)
@by_subject
def compare_treatments(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    limit: parameter_types.StudyLimit = 8000,
    network: parameter_types.CandidateNetwork = "simple",
    epochs: parameter_types.StudyEpochs = 8,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
) -> dict[str, Any]:
    """Train and evaluate the treatments; on a dataset built with diversity=0, each and mix should be equal."""
    workspace = Workspace.current()
    request = StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit)
    rows = [
        StudyRow(name=f"{network}-{treatment}", seed=seed, network=network, treatment=treatment)
        for seed in seeds
        for treatment in TREATMENTS
    ]
    with cluster(0) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    names = [f"{network}-{treatment}" for treatment in TREATMENTS]
    compared = compare_rows(workspace, NAME, request, results, names)
    remark = "One model per detector, a mixed sample of one detector's size, and all samples."
    summary = publish_study(workspace, NAME, request, results, compared, remark)
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
