"""Stages that compare a dataset's bytes with its digests."""

import time
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.reports.verification_page import write_verification
from tasks.runtime.progress import progress
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import published_number
from tasks.store.errors import DamagedVersionError
from tasks.store.places import raw_place
from tasks.store.verification import open_afresh, verify_version


@task(
    name="verify",
    description="Compare pixels, tables, manifest and raw bytes with their digests",
    cache_policy=NO_CACHE,
)
def verify_dataset(workspace: Workspace, reference: str) -> dict[str, Any]:
    """Compare a dataset version with its digests; return the counts, with the path of the page.

    Raises
    ------
    DamagedVersionError
        Something is not as it was written.
    """
    started = time.monotonic()
    with open_afresh(workspace, reference) as dataset:
        found = verify_version(dataset, raw_place(workspace), progress)
    report = write_verification(workspace, found)
    if found.problems:
        raise DamagedVersionError(f"{found.error()}; all problems: {report}")
    return {**found.summary(), "report": str(report), "seconds": round(time.monotonic() - started, 1)}


def verify_published(workspace: Workspace, name: str) -> None:
    """Compare the version that a build of the dataset adds to, if there is one, with its digests.

    Raises
    ------
    DamagedVersionError
        Something is not as it was written.
    """
    if published_number(workspace, name) is not None:
        verify_dataset(workspace, name)
