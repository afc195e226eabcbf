"""Stage of the studies: `compare-*` and `label-noise-bench`."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.cluster import Executor
from tasks.runtime.workspace import Workspace
from tasks.studies import row_training
from tasks.studies.rows import StudyRequest, StudyRow


@task(name="study", description="Train and evaluate every row that has no result yet", cache_policy=NO_CACHE)
def run_rows(
    workspace: Workspace, name: str, request: StudyRequest, rows: Sequence[StudyRow], executor: Executor
) -> list[dict[str, Any]]:
    """Run a study's rows and return their results."""
    return row_training.run_rows(workspace, name, request, rows, executor)
