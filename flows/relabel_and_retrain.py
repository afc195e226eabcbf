"""Find suspect labels, relabel them, and train again."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from realbogus.models.suspects import SUSPECT_THRESHOLD, Handling, SuspectRule
from tasks.candidates.folds import ITEMS_A_FOLD
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.relabel import relabel_and_retrain as relabel_rounds
from tasks.stages.show import show_summary
from tasks.studies.choices import RelabelStage
from tasks.studies.relabel import RelabelRequest


@flow(name="relabel-and-retrain", description="Find suspect labels out of fold, relabel them, train semi-supervised")
def relabel_and_retrain(
    dataset: parameter_types.Dataset = "transients",
    network: parameter_types.CandidateNetwork = "complex",
    size: parameter_types.CandidateSize = "small",
    profile: parameter_types.Profile = "fixed",
    folds: parameter_types.Folds = 5,
    rule: Annotated[
        SuspectRule,
        parameter_types.param(
            "Suspect labels: misclassified (other class more probable), threshold (its probability exceeds "
            "suspect_threshold), or confident (confident learning)"
        ),
    ] = "threshold",
    suspect_threshold: Annotated[
        float, parameter_types.param("For rule=threshold: minimum probability of the other class")
    ] = SUSPECT_THRESHOLD,
    handling: Annotated[
        Handling, parameter_types.param("What is done with suspect labels before the second training")
    ] = "unlabel",
    rounds: Annotated[
        int, parameter_types.param("Maximum number of rounds; iteration stops when the suspects do not change", ge=1)
    ] = 1,
    most_of_stratum: Annotated[
        float,
        parameter_types.param("Fail if a larger fraction of any magnitude bin, kind or detector is suspect"),
    ] = 0.2,
    stage: Annotated[
        RelabelStage, parameter_types.param("Last stage to run; finished stages are not repeated")
    ] = "retrain",
    loss_ce: parameter_types.CrossEntropyWeight = None,
    loss_ech: parameter_types.AucWeight = None,
    loss_lds: parameter_types.SmoothnessWeight = 1.0,
    optimizer: parameter_types.CandidateOptimizer = None,
    normalisation: parameter_types.Normalisation = None,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    seed: parameter_types.Seed = 0,
    labels: parameter_types.Relabelling = None,
    device: parameter_types.Device = "auto",
) -> dict[str, Any]:
    """Relabel and train again; return the metrics, the number of suspects and how many labels are wrong."""
    request = RelabelRequest(
        dataset=dataset,
        network=network,
        size=size,
        profile=profile,
        folds=folds,
        rule=rule,
        suspect_threshold=suspect_threshold,
        handling=handling,
        rounds=rounds,
        most_of_stratum=most_of_stratum,
        stage=stage,
        loss_ce=loss_ce,
        loss_ech=loss_ech,
        loss_lds=loss_lds,
        optimizer=optimizer,
        normalisation=normalisation,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        labels=labels,
        device=device,
    )
    with cluster(ITEMS_A_FOLD * folds) as executor:
        summary = relabel_rounds(Workspace.current(), request, executor)
    show_summary(summary)
    return summary
