"""Stage of `rethreshold`."""

import time
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.past_nights import rethresholding
from tasks.past_nights.model_pages import write_outcomes_page
from tasks.past_nights.rethresholding import RethresholdRequest
from tasks.runtime.workspace import Workspace


@task(name="rethreshold", description="Decide nights anew from their logits", cache_policy=NO_CACHE)
def rethreshold_nights(workspace: Workspace, request: RethresholdRequest) -> dict[str, Any]:
    """Decide nights anew and return the summary."""
    started = time.monotonic()
    summary = rethresholding.rethreshold(workspace, request)
    report = workspace.reports / "rethresholded-nights.html"
    write_outcomes_page(report, "Nights decided anew", summary["nights"], summary["champion"])
    return summary | {"report": str(report), "seconds": round(time.monotonic() - started, 1)}
