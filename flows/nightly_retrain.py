"""Work on a night: ingest, score, look for drift, train a challenger, and let the gate decide."""

import time
from collections.abc import Callable
from typing import Annotated, Any

from prefect import flow

from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.cli import parameter_types
from flows.cli.parameter_subjects import by_subject
from flows.cli.run_page import run_page
from flows.relabel_and_retrain import relabel_and_retrain
from flows.relabel_and_retrain_galaxy import relabel_and_retrain_galaxy
from tasks.candidates.building.harvest import NoVisitError
from tasks.inbox.nights import TIMEZONE
from tasks.nightly import nights
from tasks.nightly.deliveries import NightDelivery
from tasks.nightly.label_versions import present_ids
from tasks.nightly.night_record import NightRecord, one_night, open_record
from tasks.nightly.night_work import NightWork
from tasks.nightly.outcome import end_night, fail_night, ingested, lost_night
from tasks.nightly.request import NightlyRequest, NightSource, Start
from tasks.runtime.workspace import Workspace
from tasks.stages.models.train import train
from tasks.stages.models.training_registry import open_training
from tasks.stages.nights.nightly_retrain import (
    decide,
    examine,
    find_delivery,
    hold_out,
    list_nights,
    score_night,
    show_nights,
)
from tasks.store.schema import GALAXY, REALBOGUS, Problem

BUILD: dict[str, Callable[..., dict[str, Any]]] = {REALBOGUS: build_realbogus_dataset, GALAXY: build_galaxy_dataset}
RELABEL: dict[str, Callable[..., dict[str, Any]]] = {
    REALBOGUS: relabel_and_retrain,
    GALAXY: relabel_and_retrain_galaxy,
}


@flow(
    name="nightly-retrain",
    description="Score a night, train a challenger, and let the gate decide",
    **run_page("problem", "dataset", "night", "network"),
)
@by_subject
def nightly_retrain(
    problem: Annotated[Problem, parameter_types.param("realbogus: frames or alerts; galaxy: a growing catalogue")] = (
        "realbogus"
    ),
    night: Annotated[
        str | None,
        parameter_types.param("Date of the local evening, YYYY-MM-DD; null: every night since the last one"),
    ] = None,
    source: Annotated[NightSource, parameter_types.param("Where the night comes from")] = "simulated",
    path: Annotated[
        str | None,
        parameter_types.param(
            "Inbox with one folder a night, null: the workspace's inbox; for galaxies the catalogue that grows"
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        parameter_types.param("Training set that grows; null: nightly, or nightly-galaxies"),
    ] = None,
    labels: Annotated[
        str | None,
        parameter_types.param(
            "Label version of the training set that challengers are trained on, such as people's answers; null: that "
            "of the last nightly relabelling, else the original labels"
        ),
    ] = None,
    scheme: parameter_types.BuildScheme = "deck-3",
    galaxy_catalog: parameter_types.GalaxyCatalog = None,
    objects: Annotated[int, parameter_types.param("Galaxies by which a simulated catalogue grows every night")] = 100,
    images: parameter_types.Images = None,
    chips: parameter_types.Chips = 4,
    visits: parameter_types.Visits = 3,
    scene_transients: parameter_types.SceneTransients = 1.0,
    conditions: parameter_types.Conditions = None,
    injections_per_visit: parameter_types.InjectionsPerVisit = 20,
    network: Annotated[str | None, parameter_types.param("Network of the challenger; null: the champion's")] = None,
    start: Annotated[
        Start, parameter_types.param("What a challenger is fitted from: warm (the champion's weights) or fresh")
    ] = "warm",
    epochs: parameter_types.Epochs = None,
    device: parameter_types.Device = "auto",
    retrain_every: Annotated[int, parameter_types.param("Nights between two challengers; 0: none is trained")] = 1,
    relabel_every: Annotated[int, parameter_types.param("Nights between two relabellings; 0: none")] = 0,
    margin: Annotated[
        float, parameter_types.param("Least relative gain of a challenger at the operating point")
    ] = 0.05,
    tolerance: Annotated[float, parameter_types.param("Largest loss of a challenger on any stratum")] = 0.02,
    cooldown_nights: Annotated[int, parameter_types.param("Nights after a promotion without another")] = 5,
    shadow_nights: Annotated[
        int, parameter_types.param("Nights that a challenger scores beside the champion before it can win")
    ] = 0,
    max_catch_up: Annotated[int, parameter_types.param("Missed nights that are caught up at most")] = 14,
    timezone: Annotated[str, parameter_types.param("Time zone of the observatory")] = TIMEZONE,
    seed: parameter_types.Seed = 0,
) -> dict[str, Any]:
    """Work on the nights that are due, oldest first; return the newest night's summary."""
    request = NightlyRequest(
        problem=problem,
        night=night,
        source=source,
        path=path,
        images=images,
        dataset=dataset,
        scheme=scheme,
        labels=labels,
        network=network,
        start=start,
        epochs=epochs,
        injections_per_visit=injections_per_visit,
        galaxy_catalog=galaxy_catalog,
        chips=chips,
        visits=visits,
        scene_transients=scene_transients,
        conditions=conditions,
        objects=objects,
        retrain_every=retrain_every,
        relabel_every=relabel_every,
        margin=margin,
        tolerance=tolerance,
        cooldown_nights=cooldown_nights,
        shadow_nights=shadow_nights,
        max_catch_up=max_catch_up,
        timezone=timezone,
        seed=seed,
        device=device,
    )
    workspace = Workspace.current()
    with one_night(workspace, request.training_set):
        due = list_nights(workspace, request)
        worked = {name: work_night(nights.open_work(workspace, request, name)) for name in due}
        newest = worked[due[-1]]
        states = {name: summary["state"] for name, summary in worked.items()}
        report = show_nights(nights.open_work(workspace, request, due[-1]), newest)
        return {**newest, "nights": states, "report": report}


def work_night(work: NightWork) -> dict[str, Any]:
    """Work on one night; an error is the night's outcome, and the next run takes it up again."""
    record = open_record(work.workspace, work.request.training_set, work.night)
    started = time.monotonic()
    try:
        delivery = find_delivery(work, record)
        if record.is_finished and (delivery.state is not None or record.inputs == delivery.digest):
            return dict(record.summary or {})
        if delivery.state is not None:
            return end_night(work, record, {"state": delivery.state, "message": delivery.message}, started)
        begin_training_set(work)
        record = record.begin(delivery.digest)
        return end_night(work, record, work_delivery(work, record, delivery), started)
    except NoVisitError as error:
        return lost_night(work, str(error), error.reasons, started)
    except Exception as error:
        return fail_night(work, error, started)


def begin_training_set(work: NightWork) -> None:
    """Begin the training set, its holdout and its first champion, where they are missing."""
    build = BUILD[work.request.problem]
    if not work.has_training_set():
        build(**work.first_build())
    nights.require_labels(work)
    if not nights.is_held_out(work):
        held = work.holdout_build()
        if held is not None:
            build(**held)
        hold_out(work)
    if nights.champion(work) is None:
        train(open_training(work.workspace, work.first_training()))


def work_delivery(work: NightWork, record: NightRecord, delivery: NightDelivery) -> dict[str, Any]:
    """Score the night, add it to the training set, examine it, and challenge the champion; return the summary."""
    build, own = BUILD[work.request.problem], work.night_build(delivery)
    summary: dict[str, Any] = {"message": delivery.message, "champion": nights.champion(work)}
    if own is not None:
        built = record.step("ingest", lambda: build(**own))
        clouds = work.clouded(built)
        if clouds is not None:
            return summary | ingested(built) | {"state": "clouds", "message": clouds}
        summary |= ingested(built) | record.step("score", lambda: score_night(work))
    before = record.step("version before", lambda: work.training_set().version)
    parameters = record.step("build", lambda: work.training_build(delivery))
    grown = record.step("append", lambda: build(**parameters))
    ids, rejected = nights.keep_added(work, record, before, grown["version"])
    nights.replace_earlier(work, record, delivery)
    if own is None:
        scored = len(present_ids(record))
        summary |= {"ingested": len(ids), "rejected": rejected, "scored": scored, "selected": None}
    nights.require_no_overlap(work)
    examined = record.step("examine", lambda: examine(work, record))
    summary |= examined
    if examined["labels"]["suspect"]:
        return summary | nights.set_aside(examined["labels"])
    return summary | challenge(work, record)


def challenge(work: NightWork, record: NightRecord) -> dict[str, Any]:
    """Train a challenger where one is due, and let the gate decide."""
    request = work.request
    shadow = nights.in_shadow(work)
    if shadow is None and not nights.is_due(work, request.retrain_every, "train"):
        return {"reasons": ["no challenger is due"]}
    if shadow is not None:
        record.step("train", lambda: {"model_uri": shadow.challenger})
    else:
        labels = record.step("labels", lambda: nights.training_labels(work, record))
        if nights.is_due(work, request.relabel_every, "relabel"):
            relabelled = record.step("relabel", lambda: RELABEL[request.problem](**work.relabel_parameters(labels)))
            record.step("train", lambda: {"model_uri": relabelled["model_uri"]})
        parameters = work.train_parameters(str(nights.champion(work)), labels)
        record.step("train", lambda: train(open_training(work.workspace, parameters)))
    challenger = record.steps["train"]["model_uri"]
    decided = record.step("decide", lambda: decide(work, record, challenger, 0 if shadow is None else shadow.nights))
    return {"label_version": nights.labels_of(work, challenger), **decided}
