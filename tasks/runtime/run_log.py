"""The logger of a stage."""

import logging
import sys
from typing import Any


def run_logger() -> Any:
    """Return Prefect's logger of the present run, or this module's logger outside a run.

    Prefect takes seconds to import. A process that has not imported it, such as a worker of Dask, has no run.
    """
    if "prefect" not in sys.modules:
        return logging.getLogger(__name__)
    from prefect import get_run_logger
    from prefect.exceptions import MissingContextError

    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)
