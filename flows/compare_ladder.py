"""Compare a sequence of changes, from the conventional network on one detector to two stages and more."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.run_study import run_rows
from tasks.studies.ladder import choose_steps, list_steps
from tasks.studies.report import compare_rows, publish_study
from tasks.studies.rows import StudyRequest, StudyRow
from tasks.training.out_of_fold import ITEMS_A_FOLD

NAME = "compare-ladder"


@flow(
    name=NAME,
    description="Compare one detector, all detectors, six channels, a deeper network, two stages, training methods",
    **run_page("dataset", "network"),
)
@by_subject
def compare_ladder(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    limit: parameter_types.StudyLimit = 8000,
    fresh_reals: Annotated[
        float | None,
        parameter_types.param(
            "Share of the reals that an epoch has: a fixed one up to the step of fresh injections, another one in each "
            "epoch from that step on; null: all reals, and no such step",
            gt=0,
            lt=1,
        ),
    ] = None,
    network: parameter_types.CandidateNetwork = "simple",
    epochs: parameter_types.StudyEpochs = 8,
    folds: parameter_types.Folds = 5,
    steps: Annotated[
        list[str] | None,
        parameter_types.param(
            "Names of the steps to compare; the step before each is compared too, as a factor needs it; null: all"
        ),
    ] = None,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
) -> dict[str, Any]:
    """Train and evaluate the steps; return rows, ratios and the report."""
    request, workspace = (
        StudyRequest(dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit, folds=folds),
        Workspace.current(),
    )
    chosen = choose_steps(list_steps(epochs, fresh_reals, network), steps)
    rows = [StudyRow(name=name, seed=seed, **step) for seed in seeds for name, step in chosen.items()]
    with cluster(ITEMS_A_FOLD * folds) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    compared = compare_rows(workspace, NAME, request, results, list(chosen))
    summary = publish_study(workspace, NAME, request, results, compared, "Each step changes one thing.")
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary
