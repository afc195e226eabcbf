"""Find suspect labels, relabel them, and train again."""

from typing import Annotated, Any

from prefect import flow

from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from tasks.candidates.choices import Handling
from tasks.candidates.methods import CandidateMethods
from tasks.candidates.relabelling.relabel import KEPT, MOST_WRONG, CandidateRelabelRequest, CandidateRelabelTask
from tasks.learning.labels.suspects import MOST_OF_STRATUM, SUSPECT_THRESHOLD
from tasks.runtime.cluster import cluster
from tasks.runtime.workspace import Workspace
from tasks.stages.datasets.show import show_summary
from tasks.stages.models.relabel import relabel_candidates
from tasks.training.out_of_fold import ITEMS_A_FOLD


@flow(
    name="relabel-and-retrain",
    description="Find suspect labels out of fold, treat them, and train again",
    **run_page("dataset", "network"),
)
@by_subject
def relabel_and_retrain(
    dataset: parameter_types.Dataset = "transients",
    labels: parameter_types.Relabelling = None,
    network: parameter_types.CandidateNetwork = "simple",
    size: parameter_types.CandidateSize = "small",
    profile: parameter_types.Profile = "fixed",
    normalisation: parameter_types.Normalisation = None,
    methods: parameter_types.CandidateMethods = None,
    folds: parameter_types.Folds = 5,
    loss_ce: parameter_types.CrossEntropyWeight = None,
    loss_ech: parameter_types.AucWeight = None,
    loss_lds: parameter_types.SmoothnessWeight = None,
    smoothness: parameter_types.Smoothness = "vat",
    optimizer: parameter_types.CandidateOptimizer = None,
    keep: parameter_types.KeptEpoch = KEPT,
    epochs: parameter_types.Epochs = None,
    batch_size: parameter_types.BatchSize = None,
    device: parameter_types.Device = "auto",
    rule: parameter_types.SuspectRule = "two-views",
    suspect_threshold: Annotated[
        float,
        parameter_types.param("For rule=threshold and two-views: minimum probability of the other class"),
    ] = SUSPECT_THRESHOLD,
    handling: Annotated[
        Handling,
        parameter_types.param(
            "What is done with suspect labels before the second training; unlabelled ones stay in it by the smoothness "
            "loss, of weight 1 unless loss_lds is given"
        ),
    ] = "remove",
    suspect_injections: Annotated[
        bool,
        parameter_types.param(
            "Whether labels of injections can be suspect; if not, only those whose place is detected without them"
        ),
    ] = False,
    recurrence: Annotated[
        bool,
        parameter_types.param(
            "Whether recurrence over visits has a say: bogus labels of what recurs at one pixel of a chip are never "
            "suspect, those of what recurs at one place of the sky are so more readily"
        ),
    ] = False,
    rounds: parameter_types.RelabelRounds = 1,
    most_of_stratum: Annotated[
        float,
        parameter_types.param("Fail if a larger fraction of any magnitude bin, kind or detector is suspect"),
    ] = MOST_OF_STRATUM,
    most_wrong: Annotated[
        float,
        parameter_types.param(
            "Fail if a larger fraction of the labels may be wrong by the scores' estimate and rule and handling were "
            "not shown to help there"
        ),
    ] = MOST_WRONG,
    stage: parameter_types.RelabelStage = "retrain",
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Relabel and train again; return the metrics, the number of suspects and how many labels are wrong."""
    request = CandidateRelabelRequest(
        dataset=dataset,
        network=network,
        size=size,
        profile=profile,
        folds=folds,
        rule=rule,
        suspect_threshold=suspect_threshold,
        handling=handling,
        suspect_injections=suspect_injections,
        recurrence=recurrence,
        rounds=rounds,
        most_of_stratum=most_of_stratum,
        most_wrong=most_wrong,
        stage=stage,
        loss_ce=loss_ce,
        loss_ech=loss_ech,
        loss_lds=loss_lds,
        smoothness=smoothness,
        optimizer=optimizer,
        keep=keep,
        normalisation=normalisation,
        methods=methods or CandidateMethods(),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        labels=labels,
        device=device,
    )
    with cluster(ITEMS_A_FOLD * folds) as executor:
        summary = relabel_candidates(CandidateRelabelTask(Workspace.current(), request), executor)
    show_summary(summary)
    return summary
