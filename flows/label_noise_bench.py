"""Measure the robustness to label noise of several kinds under methods against wrong labels."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from realbogus.models.label_noise import NoiseKind
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.run_study import run_rows
from tasks.studies.choices import BenchHandling
from tasks.studies.handlings import HANDLINGS
from tasks.studies.label_noise_report import noise_blocks, noise_finder
from tasks.studies.report import compare_rows, publish_study
from tasks.studies.rows import StudyRequest, StudyRow
from tasks.training.out_of_fold import ITEMS_A_FOLD

NAME = "label-noise-bench"
DEFAULT_HANDLINGS: list[BenchHandling] = ["none", "remove", "unlabel", "confident"]


@flow(
    name=NAME, description="Add label noise and compare methods against wrong labels", **run_page("dataset", "network")
)
@by_subject
def label_noise_bench(
    dataset: parameter_types.Dataset = "survey",
    test_dataset: parameter_types.TestDataset = "testsurvey",
    limit: parameter_types.StudyLimit = 4000,
    network: parameter_types.CandidateNetwork = "complex",
    epochs: parameter_types.StudyEpochs = 8,
    folds: parameter_types.Folds = 5,
    matched: Annotated[
        list[float], parameter_types.param("Fractions of labels to flip, chosen to match the scores of another network")
    ] = [0.0, 0.1, 0.3],  # noqa: B006
    uniform: Annotated[list[float], parameter_types.param("Fractions of labels to flip, chosen at random")] = [0.05],  # noqa: B006
    bounded: Annotated[
        list[float],
        parameter_types.param("Fractions of labels to flip like matched, at most 0.45 of a bin of the score"),
    ] = [],  # noqa: B006
    one_sided: Annotated[
        list[float],
        parameter_types.param(
            "Fractions of the bogus labels that are detections of true transients and no injections; nothing is "
            "flipped. The dataset needs many scene_transients"
        ),
    ] = [],  # noqa: B006
    handlings: Annotated[
        list[BenchHandling],
        parameter_types.param(
            "Methods against wrong labels to compare; unlabel trains on suspects by the VAT loss, anchored-... and "
            "recurrence-... never suspect injections"
        ),
    ] = DEFAULT_HANDLINGS,
    seeds: parameter_types.Seeds = [0, 1, 2],  # noqa: B006  # Prefect's form shows it; nothing writes to it
) -> dict[str, Any]:
    """Train and evaluate the grid; each row has error rates, and how many of its suspects are wrong labels."""
    workspace = Workspace.current()
    request = StudyRequest(
        dataset=dataset, test_dataset=test_dataset, seeds=seeds, epochs=epochs, limit=limit, folds=folds
    )
    shares: dict[NoiseKind, list[float]] = {
        "score-matched": matched,
        "uniform": uniform,
        "score-matched-bounded": bounded,
        "one-sided": one_sided,
    }
    steps = list_steps(shares, handlings)
    rows = [StudyRow(name=name, seed=seed, network=network, **step) for seed in seeds for name, step in steps.items()]
    with cluster(ITEMS_A_FOLD * folds) as executor:
        results = run_rows(workspace, NAME, request, rows, executor)
    plain = {name: f"{name.rpartition(', ')[0]}, none" for name in steps} if "none" in handlings else None
    compared = compare_rows(workspace, NAME, request, results, list(steps), plain)
    remark = (
        "Label noise on simulated triplets: flipped labels in addition to the natural errors, or hidden transients "
        "among the bogus in their place."
    )
    summary = publish_study(workspace, NAME, request, results, compared, remark, noise_blocks(results))
    summary["noise_finder"] = noise_finder(results)
    summary["rows"] = [{**row, "kind": row["noise_kind"]} for row in summary["rows"]]
    show_summary({name: value for name, value in summary.items() if name != "rows"})
    return summary


def list_steps(
    shares: Mapping[NoiseKind, Sequence[float]], handlings: Sequence[BenchHandling]
) -> dict[str, dict[str, Any]]:
    """Return the name of each row of the grid, such as ``uniform 5%, remove``, with its settings."""
    return {
        f"{kind} {share:.0%}, {handling}": {
            "noise_kind": kind,
            "noise": share,
            "handling": handling,
            **({"loss_lds": 1.0} if HANDLINGS[handling].handling == "unlabel" else {}),
        }
        for kind, of_kind in shares.items()
        for share in of_kind
        for handling in handlings
    }
