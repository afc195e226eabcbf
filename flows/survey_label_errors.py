"""Estimate how many labels are wrong, by a sample for human eyes."""

from typing import Annotated, Any

from prefect import flow

from flows import described
from tasks.cluster import cluster
from tasks.stages.folds import ITEMS_A_FOLD
from tasks.stages.relabel import RelabelRequest
from tasks.stages.show import show_summary
from tasks.stages.survey_labels import survey_labels
from tasks.workspace import Workspace


@flow(name="survey-label-errors", description="A stratified sample by score, its verdicts, both error rates")
def survey_label_errors(
    dataset: described.Dataset = "transients",
    network: described.CandidateNetwork = "complex",
    size: described.CandidateSize = "small",
    profile: described.Profile = "fixed",
    folds: Annotated[int, described.told("Folds of the training part", ge=2)] = 5,
    epochs: described.Epochs = None,
    per_bin: Annotated[int, described.told("Candidates to look at, of each label and bin of score", ge=1)] = 40,
    answers: Annotated[
        str | None,
        described.told(
            "The table with verdicts; 'truth': the simulation answers; empty: write the table and its sheet"
        ),
    ] = None,
    seed: described.Seed = 0,
) -> dict[str, Any]:
    """Write the sample's sheet and table, or estimate the rates from verdicts."""
    request = RelabelRequest(
        dataset=dataset, network=network, size=size, profile=profile, folds=folds, epochs=epochs, seed=seed
    )
    with cluster(ITEMS_A_FOLD * folds) as executor:
        summary = survey_labels(Workspace.current(), request, per_bin, answers, executor)
    show_summary(summary)
    return summary
