"""Stage of `transfer-to-survey`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.workspace import Workspace
from tasks.studies import transfer_report
from tasks.studies.transfer import TransferRequest


@task(
    name="transfer",
    description="Score another survey by a model, untrained scores and stacks of both, with few labels",
    cache_policy=NO_CACHE,
)
def transfer_to_survey(workspace: Workspace, request: TransferRequest) -> dict[str, Any]:
    """Measure the transfer and return the summary."""
    return transfer_report.transfer_to_survey(workspace, request)
