"""Find suspect labels of galaxies, handle them, train again, and compare both trainings."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.galaxies.choices import Handling
from tasks.galaxies.methods import TrainingMethods
from tasks.galaxies.relabelling.relabel import MOST_OF_STRATUM, GalaxyRelabelRequest, GalaxyRelabelTask
from tasks.learning.labels.suspects import SUSPECT_THRESHOLD
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.relabel import relabel_galaxies
from tasks.training.out_of_fold import ITEMS_A_FOLD


@flow(
    name="relabel-and-retrain-galaxy",
    description="Rank suspect labels out of fold, remove, weight or relabel them, train again and compare",
    **run_page("dataset", "scheme", "network"),
)
@by_subject
def relabel_and_retrain_galaxy(
    dataset: parameter_types.Dataset = "sky",
    scheme: parameter_types.Scheme = None,
    labels: parameter_types.Relabelling = None,
    grey: parameter_types.Grey = False,
    network: parameter_types.Network = "cnn",
    preset: parameter_types.Preset = "tuned",
    weights: parameter_types.Weights = "none",
    methods: parameter_types.Methods = None,
    optimizer: parameter_types.Optimizer = None,
    folds: parameter_types.Folds = 5,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    device: parameter_types.Device = "auto",
    rule: parameter_types.FoldRule = "confident",
    suspect_threshold: parameter_types.SuspectThreshold = SUSPECT_THRESHOLD,
    handling: Annotated[
        Handling,
        parameter_types.param(
            "Suspects of the second training: keep, remove, weight (less in the loss), relabel (to the suggested "
            "class), or soft (shares of several classes as target: the volunteers' votes, else half the label and half "
            "the out-of-fold probabilities)"
        ),
    ] = "remove",
    suspect_weight: Annotated[
        float | None,
        parameter_types.param(
            "For handling=weight: weight of a suspect in the loss; null: the out-of-fold probability of its label"
        ),
    ] = None,
    rounds: parameter_types.RelabelRounds = 1,
    most_of_stratum: Annotated[
        float,
        parameter_types.param(
            "Fail if a larger fraction of any class, or quarter of redshift, magnitude, radius or votes, is suspect"
        ),
    ] = MOST_OF_STRATUM,
    stage: parameter_types.RelabelStage = "retrain",
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Relabel and train again; return the queue, the number of suspects, and both trainings' metrics."""
    request = GalaxyRelabelRequest(
        dataset=dataset,
        scheme=scheme,
        network=network,
        optimizer=optimizer,
        preset=preset,
        weights=weights,
        methods=methods or TrainingMethods(),
        folds=folds,
        rule=rule,
        suspect_threshold=suspect_threshold,
        handling=handling,
        suspect_weight=suspect_weight,
        rounds=rounds,
        most_of_stratum=most_of_stratum,
        stage=stage,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        labels=labels,
        device=device,
        grey=grey,
    )
    with cluster(ITEMS_A_FOLD * folds) as executor:
        summary = relabel_galaxies(GalaxyRelabelTask(Workspace.current(), request), executor)
    show_summary(summary)
    return summary
