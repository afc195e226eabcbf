"""Measure the learning curve of a network against the numbers of reals and bogus that it is trained on."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.run_study import run_rows
from tasks.studies.report import StudyScores, compare_rows, publish_study
from tasks.studies.rows import StudyRequest
from tasks.studies.volumes import fit_exponents, volume_blocks, volume_curves, volume_rows

NAME = "compare-volumes"
REALS = [300, 600, 1200, 2400]
BOGUS = [600, 1200, 2400, 4800]


@flow(
    name=NAME,
    description="Train on more and more reals and bogus, and fit the power law of the false-positive rate",
    **run_page("dataset", "network"),
)
@by_subject
def compare_volumes(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    reals: Annotated[
        list[int], parameter_types.param("Numbers of training triplets labelled real, as many numbers as of bogus")
    ] = REALS,
    bogus: Annotated[list[int], parameter_types.param("Numbers of training triplets labelled bogus")] = BOGUS,
    network: parameter_types.CandidateNetwork = "simple",
    epochs: parameter_types.Epochs = None,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
) -> dict[str, Any]:
    """Train and evaluate every volume; return rows, exponents and the report."""
    workspace, curves = Workspace.current(), volume_curves(reals, bogus)
    request = StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs)
    names, rows = volume_rows(curves, network, seeds)
    with cluster(0) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    compared = compare_rows(workspace, NAME, request, results, names)
    fitted = fit_exponents(StudyScores.load(workspace, NAME, request, results), curves)
    remark = f"The {network} network, trained on more and more triplets."
    blocks = volume_blocks(curves, compared, fitted, test_dataset)
    exponents = {f"exponent {name}": of["exponent"] for name, of in fitted.items()}
    summary = publish_study(workspace, NAME, request, results, compared, remark, blocks, exponents)
    summary["exponents"] = fitted
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
