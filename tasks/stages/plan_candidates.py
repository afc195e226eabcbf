"""Planning stage of `build-realbogus-dataset`."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.candidates import plan
from tasks.candidates.plan import CandidatePlan, CandidateRequest
from tasks.runtime.workspace import Workspace


@task(name="plan", description="List chip-visits or batches, and find those already published", cache_policy=NO_CACHE)
def plan_candidates(workspace: Workspace, request: CandidateRequest) -> CandidatePlan:
    """Write the plan of a build into the dataset's staging folder."""
    return plan.plan_candidates(workspace, request)
