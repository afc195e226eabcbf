"""Stages of `compare-schemes`: train the rows, write the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.run_artifacts import put_table
from tasks.runtime.workspace import Workspace
from tasks.studies.galaxies import scheme_record, scheme_training
from tasks.studies.galaxies.scheme_study import SchemeStudyRequest


@task(name="train-schemes", description="Train and score every row that has no result yet", cache_policy=NO_CACHE)
def train_schemes(workspace: Workspace, request: SchemeStudyRequest) -> list[dict[str, Any]]:
    """Run the study's rows and return their results."""
    return scheme_training.train_schemes(workspace, request)


@task(name="publish-schemes", description="Compare the rows and write the study's page", cache_policy=NO_CACHE)
def publish_schemes(
    workspace: Workspace, request: SchemeStudyRequest, results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write the page, show the table on the run's page, and return the summary."""
    summary, table = scheme_record.publish_scheme_study(workspace, request, results)
    put_table("accuracy", table.columns, table.rows)
    return summary
