"""Estimate the rates of wrong labels from a visually inspected sample."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.candidates.relabelling.relabel import CandidateRelabelRequest
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.studies.survey_labels import survey_labels
from tasks.training.out_of_fold import ITEMS_A_FOLD


@flow(
    name="survey-label-errors",
    description="Draw a sample stratified by score, or estimate error rates from its inspection",
    **run_page("dataset", "network"),
)
@by_subject
def survey_label_errors(
    dataset: parameter_types.Dataset = "transients",
    network: parameter_types.CandidateNetwork = "simple",
    size: parameter_types.CandidateSize = "small",
    profile: parameter_types.Profile = "fixed",
    folds: parameter_types.Folds = 5,
    epochs: parameter_types.Epochs = None,
    per_bin: Annotated[
        int, parameter_types.param("Number of candidates to inspect per label and score bin", ge=1)
    ] = 40,
    answers: Annotated[
        str | None,
        parameter_types.param(
            "Table with the inspected labels, or 'truth' for the simulation's truth; null: write the table and contact "
            "sheet to fill in"
        ),
    ] = None,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Write the sample's contact sheet and table, or estimate the rates from the inspected labels."""
    request = CandidateRelabelRequest(
        dataset=dataset, network=network, size=size, profile=profile, folds=folds, epochs=epochs, seed=seed
    )
    with cluster(ITEMS_A_FOLD * folds) as executor:
        summary = survey_labels(Workspace.current(), request, per_bin, answers, executor)
    show_summary(summary)
    return summary
