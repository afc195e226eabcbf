"""Stage of `survey-label-errors`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates.relabelling.relabel import CandidateRelabelRequest
from tasks.runtime.cluster import Executor
from tasks.runtime.workspace import Workspace
from tasks.studies import label_survey


@task(
    name="survey-labels",
    description="Draw the sample for review, or estimate error rates from its reviews",
    cache_policy=NO_CACHE,
)
def survey_labels(
    workspace: Workspace, request: CandidateRelabelRequest, per_bin: int, answers: str | None, executor: Executor
) -> dict[str, Any]:
    """Write the sample's sheet and table; with `answers` estimate the error rates too."""
    return label_survey.survey_labels(workspace, request, per_bin, answers, executor)
