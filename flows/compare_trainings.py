"""Compare ways to train a galaxy classifier on the same galaxies, at several numbers of training images."""

import time
from typing import Annotated, Any, Literal

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.compare_trainings import publish_trainings, run_fits
from tasks.studies.galaxies.arms import choose_arms, parse_arms
from tasks.studies.galaxies.training_study import ScoredFolds, TrainingStudyRequest


@flow(
    name="compare-trainings",
    description="Compare ways to train, at several numbers of training images",
    **run_page("dataset", "scheme"),
)
@by_subject
def compare_trainings(
    dataset: parameter_types.Dataset = "sky",
    scheme: parameter_types.Scheme = None,
    sizes: Annotated[
        list[int | Literal["all"] | None],
        parameter_types.param("Numbers of training images; all: as many as there are"),
    ] = [100, 300, "all"],  # noqa: B006  # Prefect's form shows it; nothing writes to it
    arms: parameter_types.Arms = None,
    ablation: Annotated[
        str | dict[str, Any] | None,
        parameter_types.param(
            "An arm, as in arms, whose training methods are also switched off or on, one at a time; without arms it is "
            "compared alone"
        ),
    ] = None,
    folds: Annotated[int, parameter_types.param("Number of folds", ge=2)] = 5,
    scored_folds: Annotated[
        ScoredFolds,
        parameter_types.param("all: every fold of each seed; one: seed i scores fold i, other galaxies for each seed"),
    ] = "one",
    epochs: parameter_types.Epochs = None,
    device: parameter_types.Device = "auto",
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006
) -> dict[str, Any]:
    """Run the fits that are not finished, and return the rates of every arm at every size, and their differences."""
    workspace, started = Workspace.current(), time.monotonic()
    request = TrainingStudyRequest(
        dataset=dataset,
        scheme=scheme,
        arms=[] if ablation is not None and not arms else choose_arms(arms),
        ablation=None if ablation is None else parse_arms([ablation])[0],
        sizes=[None if size == "all" else size for size in sizes],
        folds=folds,
        seeds=seeds,
        scored_folds=scored_folds,
        epochs=epochs,
        device=device,
    )
    results = run_fits(workspace, request)
    summary = publish_trainings(workspace, request, results)
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary | {"seconds": round(time.monotonic() - started, 1)}
