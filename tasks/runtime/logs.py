"""Log lines of flows and stages on stderr: time and message, no more."""

import logging
import sys
from typing import Any


def show_on_terminal() -> None:
    """Write the process's log lines to stderr, once. Call it before Prefect is imported, or its own handler stays."""
    root = logging.getLogger()
    if any(isinstance(handler, TerminalHandler) for handler in root.handlers):
        return
    handler = TerminalHandler()
    handler.setFormatter(TerminalFormatter(datefmt="%H:%M:%S"))
    root.addHandler(handler)


class TerminalHandler(logging.StreamHandler):
    """Writes to what stderr is now: while a progress bar is drawn, a stand-in that keeps the bar whole."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """Where lines go."""
        return sys.stderr


class TerminalFormatter(logging.Formatter):
    """Time, level unless it is information, stage, message. Tracebacks are kept elsewhere (`flows.cli.exit_status`)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for ``record``."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        stage = getattr(record, "task_run_name", None)
        return f"{self.formatTime(record, self.datefmt)}  {level}{f'{stage}: ' if stage else ''}{record.getMessage()}"
