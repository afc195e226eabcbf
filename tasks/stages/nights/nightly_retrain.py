"""Stages of `nightly-retrain`. TensorFlow and MLflow take long to import, so they are imported where they are used."""

from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.nightly import nights
from tasks.nightly.deliveries import NightDelivery
from tasks.nightly.deliveries import find_delivery as find_files
from tasks.nightly.night_record import NightRecord
from tasks.nightly.night_work import NightWork
from tasks.nightly.report import write_nights_page
from tasks.nightly.request import NightlyRequest
from tasks.runtime.run_artifacts import put_summary
from tasks.runtime.workspace import Workspace


@task(name="list-nights", description="Find the nights that are due, oldest first", cache_policy=NO_CACHE)
def list_nights(workspace: Workspace, request: NightlyRequest) -> list[str]:
    """Return the nights to work on."""
    return nights.due_nights(workspace, request, datetime.now(UTC))


@task(name="find-delivery", description="List the night's complete visits", cache_policy=NO_CACHE)
def find_delivery(work: NightWork, record: NightRecord) -> NightDelivery:
    """Return what was delivered of the night."""
    return find_files(work.workspace, work.request, record)


@task(name="hold-out", description="Freeze the holdout of the training set, once", cache_policy=NO_CACHE)
def hold_out(work: NightWork) -> str:
    """Return the name of the frozen holdout."""
    return nights.hold_out(work)


@task(name="score-night", description="Score the night with the champion", cache_policy=NO_CACHE)
def score_night(work: NightWork) -> dict[str, Any]:
    """Return the entries of the summary on scores."""
    return work.score()


@task(name="examine", description="Efficiency, drift, and whether the labels look right", cache_policy=NO_CACHE)
def examine(work: NightWork, record: NightRecord) -> dict[str, Any]:
    """Return what the night's rows show."""
    return nights.examine(work, record)


@task(name="gate", description="Compare the challenger with the champion, and decide", cache_policy=NO_CACHE)
def decide(work: NightWork, record: NightRecord, challenger: str, nights_in_shadow: int) -> dict[str, Any]:
    """Return the entries of the summary on the decision."""
    return nights.decide(work, record, challenger, nights_in_shadow)


@task(name="show-nights", description="Show all nights on one page", cache_policy=NO_CACHE)
def show_nights(work: NightWork, summary: dict[str, Any]) -> str:
    """Write the page of the nights; return its path."""
    report = write_nights_page(work.workspace, work.request, nights.judged_nights(work))
    put_summary(summary)
    return str(report)
