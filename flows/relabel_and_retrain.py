"""Find suspect labels, relabel them, and train anew."""

from typing import Annotated, Any, Literal

from prefect import flow

from flows.cli import parameter_types
from realbogus.models.suspects import SUSPECT_THRESHOLD
from tasks.candidates.folds import ITEMS_A_FOLD
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.show import show_summary
from tasks.studies.relabel import RelabelRequest
from tasks.studies.relabel import relabel_and_retrain as relabel_rounds


@flow(name="relabel-and-retrain", description="Out-of-fold scores, suspects, a relabelling, semi-supervised training")
def relabel_and_retrain(
    dataset: parameter_types.Dataset = "transients",
    network: parameter_types.CandidateNetwork = "complex",
    size: parameter_types.CandidateSize = "small",
    profile: parameter_types.Profile = "fixed",
    folds: Annotated[int, parameter_types.told("Folds of the training part", ge=2)] = 5,
    rule: Annotated[
        Literal["misclassified", "threshold", "confident"],
        parameter_types.told("Suspect is: likelier the other class, so by a threshold, or by confident learning"),
    ] = "threshold",
    suspect_threshold: Annotated[
        float, parameter_types.told("For rule=threshold: chance of the other class")
    ] = SUSPECT_THRESHOLD,
    handling: Annotated[
        Literal["keep", "remove", "unlabel", "flip"], parameter_types.told("What becomes of suspects")
    ] = "unlabel",
    rounds: Annotated[int, parameter_types.told("Rounds at most; it ends when the suspects stay the same", ge=1)] = 1,
    most_of_stratum: Annotated[
        float, parameter_types.told("Share of a magnitude, kind or detector that may be suspect before it stops")
    ] = 0.2,
    stage: Annotated[
        Literal["folds", "select", "retrain"], parameter_types.told("Where to stop; finished stages are not run again")
    ] = "retrain",
    loss_ce: parameter_types.LossWeight = None,
    loss_ech: parameter_types.LossWeight = None,
    loss_lds: parameter_types.LossWeight = 1.0,
    optimizer: parameter_types.CandidateOptimizer = None,
    normalisation: parameter_types.Normalisation = None,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    seed: parameter_types.Seed = 0,
    labels: parameter_types.Relabelling = None,
    device: parameter_types.Device = "auto",
) -> dict[str, Any]:
    """Relabel and train again; return the training's figures, the suspects and how many of them are wrong."""
    request = RelabelRequest(**locals())
    with cluster(ITEMS_A_FOLD * folds) as executor:
        summary = relabel_rounds(Workspace.current(), request, executor)
    show_summary(summary)
    return summary
