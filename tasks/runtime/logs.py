"""Log lines of flows and stages on stderr: time, stage and message."""

import logging
import sys
from typing import Any


def show_on_terminal() -> None:
    """Write log lines to stderr. Call it before Prefect is imported, which otherwise installs its own handler."""
    root = logging.getLogger()
    if any(isinstance(handler, TerminalHandler) for handler in root.handlers):
        return
    handler = TerminalHandler()
    handler.setFormatter(TerminalFormatter(datefmt="%H:%M:%S"))
    root.addHandler(handler)


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
        return f"{self.formatTime(record, self.datefmt)}  {level}{f'{stage}: ' if stage else ''}{record.getMessage()}"
