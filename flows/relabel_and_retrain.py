"""Find suspect labels, relabel them, and train anew."""

from typing import Annotated, Any, Literal

from prefect import flow

from flows import described
from realbogus.suspects import SUSPECT_THRESHOLD
from tasks.cluster import cluster
from tasks.stages.folds import ITEMS_A_FOLD
from tasks.stages.relabel import RelabelRequest
from tasks.stages.relabel import relabel_and_retrain as relabel_rounds
from tasks.stages.show import show_summary
from tasks.workspace import Workspace


@flow(name="relabel-and-retrain", description="Out-of-fold scores, suspects, a relabelling, semi-supervised training")
def relabel_and_retrain(
    dataset: described.Dataset = "transients",
    network: described.CandidateNetwork = "complex",
    size: described.CandidateSize = "small",
    profile: described.Profile = "fixed",
    folds: Annotated[int, described.told("Folds of the training part", ge=2)] = 5,
    rule: Annotated[
        Literal["misclassified", "threshold", "confident"],
        described.told("Suspect is: likelier the other class, so by a threshold, or by confident learning"),
    ] = "threshold",
    suspect_threshold: Annotated[
        float, described.told("For rule=threshold: chance of the other class")
    ] = SUSPECT_THRESHOLD,
    handling: Annotated[
        Literal["keep", "remove", "unlabel", "flip"], described.told("What becomes of suspects")
    ] = "unlabel",
    rounds: Annotated[int, described.told("Rounds at most; it ends when the suspects stay the same", ge=1)] = 1,
    most_of_stratum: Annotated[
        float, described.told("Share of a magnitude, kind or detector that may be suspect before it stops")
    ] = 0.2,
    stage: Annotated[
        Literal["folds", "select", "retrain"], described.told("Where to stop; finished stages are not run again")
    ] = "retrain",
    loss_ce: described.LossWeight = None,
    loss_ech: described.LossWeight = None,
    loss_lds: described.LossWeight = 1.0,
    optimizer: described.CandidateOptimizer = None,
    normalisation: described.Normalisation = None,
    epochs: described.Epochs = None,
    batch_size: described.BatchSize = None,
    seed: described.Seed = 0,
    labels: described.Relabelling = None,
    device: described.Device = "auto",
) -> dict[str, Any]:
    """Relabel and train again; return the training's figures, the suspects and how many of them are wrong."""
    request = RelabelRequest(**locals())
    with cluster(ITEMS_A_FOLD * folds) as executor:
        summary = relabel_rounds(Workspace.current(), request, executor)
    show_summary(summary)
    return summary
