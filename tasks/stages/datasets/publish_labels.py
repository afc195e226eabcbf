"""A label version of people's answers as a stage of a flow."""

import time
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.labelling.label_versions import LabelVersionRequest, publish_label_version
from tasks.runtime.workspace import Workspace


@task(name="publish-labels", description="Publish answers as a named label version", cache_policy=NO_CACHE)
def publish_answers(workspace: Workspace, request: LabelVersionRequest) -> dict[str, Any]:
    """Publish the label version and return the summary."""
    started = time.monotonic()
    summary = publish_label_version(workspace, request, datetime.now(UTC))
    return {**summary, "seconds": round(time.monotonic() - started, 1)}
