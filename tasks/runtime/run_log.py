"""Where a stage tells what it does."""

import logging
from typing import Any

from prefect import get_run_logger
from prefect.exceptions import MissingContextError


def run_logger() -> Any:
    """Return the logger of the present run, or this module's where a stage is called without Prefect."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)
