"""Stage of `check-giveaways`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.cluster import Executor
from tasks.runtime.workspace import Workspace
from tasks.studies import giveaways
from tasks.studies.giveaways import GiveawayRequest


@task(name="audit-survey", description="Inject and detect sources, compare, write the page", cache_policy=NO_CACHE)
def audit_survey(workspace: Workspace, request: GiveawayRequest, executor: Executor) -> dict[str, Any]:
    """Audit a simulated survey for give-aways and return the summary."""
    return giveaways.audit_survey(workspace, request, executor)
