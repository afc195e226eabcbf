"""Stage of `stale`."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.past_nights.model_pages import write_states_page
from tasks.past_nights.staleness import TodaysModels, count_states, examine_nights
from tasks.runtime.workspace import Workspace


@task(name="stale", description="Compare the record of every night with today's models", cache_policy=NO_CACHE)
def find_stale(workspace: Workspace, model: str) -> dict[str, Any]:
    """Examine every night with scores and return the summary."""
    today = TodaysModels(workspace, model)
    states = examine_nights(workspace, today)
    report = workspace.reports / "stale-nights.html"
    write_states_page(report, states, today.full)
    return {
        "nights": [state.to_summary() for state in states],
        **count_states(states),
        "champion": today.full.name,
        "champion_sha256": today.full.sha256,
        "report": str(report),
    }
