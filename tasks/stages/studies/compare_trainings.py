"""Stages of `compare-trainings`: run the fits, write the tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.run_artifacts import put_table
from tasks.runtime.workspace import Workspace
from tasks.studies.galaxies import training_fits, training_record
from tasks.studies.galaxies.training_study import TrainingStudyRequest


@task(name="fit-arms", description="Run every fit that has no result yet", cache_policy=NO_CACHE)
def run_fits(workspace: Workspace, request: TrainingStudyRequest) -> list[dict[str, Any]]:
    """Run the study's fits and return their results."""
    return training_fits.run_fits(workspace, request)


@task(name="publish-trainings", description="Compare the arms and write the study's page", cache_policy=NO_CACHE)
def publish_trainings(
    workspace: Workspace, request: TrainingStudyRequest, results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write the page, show the table of the largest size on the run's page, and return the summary."""
    summary, table = training_record.publish_training_study(workspace, request, results)
    put_table("accuracy", table.columns, table.rows)
    return summary
