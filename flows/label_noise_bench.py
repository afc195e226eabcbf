"""Measure the robustness to label noise, score-matched or uniform, under four treatments of suspect labels."""

from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.run_study import run_rows
from tasks.stages.show import show_summary
from tasks.studies.choices import BenchHandling
from tasks.studies.report import compare_rows, publish_study
from tasks.studies.rows import StudyRequest, StudyRow
from tasks.training.out_of_fold import ITEMS_A_FOLD

NAME = "label-noise-bench"
LOSSES: dict[BenchHandling, dict[str, Any]] = {"none": {}, "remove": {}, "unlabel": {"loss_lds": 1.0}, "confident": {}}
HANDLINGS = list(LOSSES)


@flow(
    name=NAME, description="Add label noise; compare keeping, removing and unlabelling suspects, and confident learning"
)
def label_noise_bench(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    network: parameter_types.CandidateNetwork = "complex",
    matched: Annotated[
        list[float], parameter_types.param("Fractions of labels to flip, chosen to match the scores of another network")
    ] = [0.0, 0.1, 0.3],  # noqa: B006
    uniform: Annotated[list[float], parameter_types.param("Fractions of labels to flip, chosen at random")] = [0.05],  # noqa: B006
    handlings: Annotated[
        list[BenchHandling],
        parameter_types.param("Treatments of suspect labels to compare; unlabel trains on them by the VAT loss"),
    ] = HANDLINGS,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
    epochs: parameter_types.StudyEpochs = 8,
    limit: parameter_types.StudyLimit = 4000,
    folds: parameter_types.Folds = 5,
) -> dict[str, Any]:
    """Train and evaluate the grid; each row has error rates, and how many of its suspects are wrong labels."""
    workspace = Workspace.current()
    request = StudyRequest(
        dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit, folds=folds
    )
    steps = list_steps(matched, uniform, handlings)
    rows = [StudyRow(name=name, seed=seed, network=network, **step) for seed in seeds for name, step in steps.items()]
    with cluster(ITEMS_A_FOLD * folds) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    plain = {name: f"{name.rpartition(', ')[0]}, none" for name in steps} if "none" in handlings else None
    compared = compare_rows(workspace, NAME, request, results, list(steps), plain)
    remark = "Uniform and score-matched noise on simulated triplets, in addition to their natural label errors."
    summary = publish_study(workspace, NAME, request, results, compared, remark)
    summary["rows"] = [{**row, "kind": row["noise_kind"]} for row in summary["rows"]]
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary


def list_steps(
    matched: Sequence[float], uniform: Sequence[float], handlings: Sequence[BenchHandling]
) -> dict[str, dict[str, Any]]:
    """Return the name of each row of the grid, such as ``uniform 5%, remove``, with its settings."""
    noises = [("score-matched", share) for share in matched] + [("uniform", share) for share in uniform]
    return {
        f"{kind} {share:.0%}, {handling}": {
            "noise_kind": kind,
            "noise": share,
            "handling": handling,
            **LOSSES[handling],
        }
        for kind, share in noises
        for handling in handlings
    }
