"""Log lines of flows and stages on stderr: time, stage and message, or JSON (`tasks.runtime.json_lines`).

By default they are warnings, progress, and the address of the run's page; all lines go to that page in any case.

An error that ends a run is told once, as the command's last line: what Prefect's engine logs of it, for every stage and
flow that it passes, goes to the run's page; here they only say that they failed.
"""

import logging
import sys
from typing import Any

from tasks.runtime.json_lines import JsonFormatter, is_json
from tasks.runtime.progress import PROGRESS, show_progress
from tasks.runtime.secrets import mask_log_records
from tasks.runtime.verbosity import Verbosity


def show_on_terminal(verbosity: Verbosity = Verbosity.USUAL) -> None:
    """Write log lines to stderr. Call it before Prefect is imported, which otherwise installs its own handler."""
    mask_log_records()
    root = logging.getLogger()
    show_progress(verbosity > Verbosity.QUIET)
    if any(isinstance(handler, TerminalHandler) for handler in root.handlers):
        return
    handler = TerminalHandler()
    handler.addFilter(is_shown)
    handler.addFilter(lambda record: is_wanted(record, verbosity))
    handler.setFormatter(JsonFormatter() if is_json() else TerminalFormatter(datefmt="%H:%M:%S"))
    if is_json():
        logging.captureWarnings(True)
    root.addHandler(handler)


ENGINES = ("prefect.flow_runs", "prefect.task_runs")
ERROR_OF_A_RUN = ("Task run failed with ", "Encountered exception during execution")
FAILED = "Finished in state Failed"
PAGE = "View at "
SENDERS = ("EventsWorker", "APILogWorker")
UNSENT = "Still processing items"


def is_shown(record: logging.LogRecord) -> bool:
    """Return whether a log record is written to stderr at all.

    Not what an engine says of an error that the command tells, nor that Prefect's senders need a moment at the end.
    """
    if record.name in SENDERS:
        return not record.getMessage().startswith(UNSENT)
    return record.name not in ENGINES or not record.getMessage().startswith(ERROR_OF_A_RUN)


def is_wanted(record: logging.LogRecord, verbosity: Verbosity) -> bool:
    """Return whether a log record is of those that a verbosity shows."""
    if verbosity == Verbosity.VERBOSE or record.levelno >= logging.WARNING:
        return True
    is_page = record.name in ENGINES and record.getMessage().startswith(PAGE)
    return verbosity == Verbosity.USUAL and (is_page or getattr(record, PROGRESS, False))


class TerminalHandler(logging.StreamHandler):
    """Writes to the present `sys.stderr`, which a progress bar replaces while it is drawn."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """The stream that lines are written to."""
        return sys.stderr


class TerminalFormatter(logging.Formatter):
    """Formats time, level above INFO, stage and message; `flows.cli.exit_status` stores tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for ``record``."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        stage = getattr(record, "task_run_name", None)
        message = record.getMessage()
        if record.name in ENGINES and message.startswith(FAILED):
            message = FAILED
        return f"{self.formatTime(record, self.datefmt)}  {level}{f'{stage}: ' if stage else ''}{message}"
