"""Log lines of flows and stages on stderr: time, stage and message.

An error that ends a run is told once, as the command's last line: what Prefect's engine logs of it, for every stage and
flow that it passes, goes to the run's page; here they only say that they failed.
"""

import logging
import sys
from typing import Any


def show_on_terminal() -> None:
    """Write log lines to stderr. Call it before Prefect is imported, which otherwise installs its own handler."""
    root = logging.getLogger()
    if any(isinstance(handler, TerminalHandler) for handler in root.handlers):
        return
    handler = TerminalHandler()
    handler.addFilter(is_shown)
    handler.setFormatter(TerminalFormatter(datefmt="%H:%M:%S"))
    root.addHandler(handler)


ENGINES = ("prefect.flow_runs", "prefect.task_runs")
ERROR_OF_A_RUN = ("Task run failed with ", "Encountered exception during execution")
FAILED = "Finished in state Failed"


def is_shown(record: logging.LogRecord) -> bool:
    """Return whether a log record is written to stderr: not what an engine says of an error that the command tells."""
    return record.name not in ENGINES or not record.getMessage().startswith(ERROR_OF_A_RUN)


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
