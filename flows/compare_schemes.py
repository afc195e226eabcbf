"""Compare galaxy networks under several class schemes of one dataset: the table of class count against network."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.galaxies.choices import NetworkName, PresetName
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.compare_schemes import publish_schemes, train_schemes
from tasks.studies.galaxies.arms import choose_arms
from tasks.studies.galaxies.scheme_study import SchemeStudyRequest


@flow(
    name="compare-schemes",
    description="Compare galaxy networks under several class schemes of one dataset",
    **run_page("dataset", "networks"),
)
@by_subject
def compare_schemes(
    dataset: parameter_types.Dataset = "sky",
    test_dataset: Annotated[
        str | None,
        parameter_types.param("Dataset to test on, all of it but what a training saw; null: the test part of dataset"),
    ] = None,
    schemes: Annotated[
        list[str] | None,
        parameter_types.param(
            "Class schemes that label the dataset; null: those of deck-3, deck-7, deck-9, deck-11, gz2-2class that do"
        ),
    ] = None,
    arms: parameter_types.Arms = None,
    networks: Annotated[
        list[NetworkName] | None, parameter_types.param("Instead of arms: networks with one preset and one start")
    ] = None,
    preset: Annotated[
        PresetName | None, parameter_types.param("Instead of arms: preset of all networks; null: tuned")
    ] = None,
    weights: Annotated[
        str | None, parameter_types.param("Instead of arms: initial weights of all networks; null: none")
    ] = None,
    hierarchical: Annotated[
        bool,
        parameter_types.param("Also answer for every scheme by sums of the finest scheme's model; trains nothing more"),
    ] = True,
    epochs: parameter_types.Epochs = None,
    device: parameter_types.Device = "auto",
    seeds: Annotated[
        list[int] | None, parameter_types.param("Seeds; every training is repeated with each of them; null: seed")
    ] = None,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Train and test each network under each scheme, one row after another, and return the table."""
    workspace = Workspace.current()
    request = SchemeStudyRequest(
        dataset=dataset,
        test_dataset=test_dataset,
        schemes=schemes,
        arms=choose_arms(arms, networks, preset, weights),
        seeds=[seed] if seeds is None else seeds,
        hierarchical=hierarchical,
        epochs=epochs,
        device=device,
    )
    results = train_schemes(workspace, request)
    summary = publish_schemes(workspace, request, results)
    show_summary({name: value for name, value in summary.items() if name not in ("rows", "compared")})
    return summary
