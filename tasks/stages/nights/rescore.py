"""Stage of `rescore`. TensorFlow and MLflow take long to import, so they are imported where they are used."""

import time
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.past_nights import rescoring
from tasks.past_nights.model_pages import write_outcomes_page
from tasks.past_nights.rescoring import RescoreRequest
from tasks.runtime.workspace import Workspace


@task(name="rescore", description="Score stale nights again, one after the other", cache_policy=NO_CACHE)
def rescore_nights(workspace: Workspace, request: RescoreRequest) -> dict[str, Any]:
    """Score nights again and return the summary."""
    started = time.monotonic()
    summary = rescoring.rescore(workspace, request)
    report = workspace.reports / "rescored-nights.html"
    title = "Nights to score again" if request.plan_only else "Nights scored again"
    write_outcomes_page(report, title, summary["nights"], summary["champion"])
    return summary | {"report": str(report), "seconds": round(time.monotonic() - started, 1)}
