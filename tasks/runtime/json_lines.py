"""Lines on stderr for programs: one JSON object each, with time, level, logger, message, flow, run and stage.

Chosen by ``STARLOOM_LOG=json``; otherwise lines are for people.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from tasks.runtime.secrets import mask

LOG_VARIABLE = "STARLOOM_LOG"
LogFormat = Literal["text", "json"]
FORMATS: tuple[str, ...] = get_args(LogFormat)
COUNTS = "counts"
"""Attribute of the log records that carry the counts of a stage, a mapping."""
_OF_A_RUN = {"flow": "flow_name", "run_id": "flow_run_id", "stage": "task_run_name"}
"""Keys of a line, and the attributes of Prefect's log records."""

_newest_run: dict[str, str] = {}
"""Flow and id of the run that this process was last in: its error is told when the run has ended."""


def is_json() -> bool:
    """Return whether lines are JSON."""
    return os.environ.get(LOG_VARIABLE) == "json"


def tell(message: str, level: int = logging.INFO, *, masked: bool = True) -> None:
    """Write what a command itself has to say to stderr: as text as it is, or as a line of JSON.

    Secrets are masked, unless `masked` is false: a link is of no use without its token.
    """
    message = mask(message) if masked else message
    print(_line(_clock(), level, "starloom", message) if is_json() else message, file=sys.stderr, flush=True)


def tell_error(message: str) -> None:
    """Write the error that ends a command, its last line on stderr."""
    if is_json():
        tell(message, logging.ERROR)
    else:
        print(f"error: {mask(message)}", file=sys.stderr)


class JsonFormatter(logging.Formatter):
    """Formats a log record as one line of JSON; a traceback is in ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for ``record``."""
        more: dict[str, Any] = {**getattr(record, COUNTS, {})}
        if record.exc_info:
            more["exception"] = record.exc_text or self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC)
        return _line(at, record.levelno, record.name, record.getMessage(), _run_of(record), more)


def _line(
    at: datetime,
    level: int,
    logger: str,
    message: str,
    run: dict[str, str] | None = None,
    more: dict[str, Any] | None = None,
) -> str:
    place = dict.fromkeys(_OF_A_RUN) | _newest_run | (run or {})
    facts = {"time": at.isoformat(timespec="milliseconds"), "level": logging.getLevelName(level).lower()}
    return json.dumps({**facts, "logger": logger, "message": message, **place, **(more or {})}, default=str)


def _clock() -> datetime:
    return datetime.now(UTC)


def _run_of(record: logging.LogRecord) -> dict[str, str]:
    """Return flow, run and stage of a record: as Prefect noted them in it, or those in which this thread is."""
    noted = {key: getattr(record, name, None) for key, name in _OF_A_RUN.items()}
    if noted["run_id"] is None:
        noted = _present_run()
    run = {key: str(value) for key, value in noted.items() if value is not None}
    _newest_run.update({key: value for key, value in run.items() if key != "stage"})
    return run


def _present_run() -> dict[str, Any]:
    """Return the run in which this thread is; a process without Prefect, or that is importing it, is in none."""
    contexts = sys.modules.get("prefect.context")
    flows, tasks = getattr(contexts, "FlowRunContext", None), getattr(contexts, "TaskRunContext", None)
    flow_run, task_run = flows and flows.get(), tasks and tasks.get()
    if flow_run is None or flow_run.flow_run is None:
        return {}
    stage = task_run.task_run.name if task_run is not None else None
    return {"flow": flow_run.flow.name, "run_id": flow_run.flow_run.id, "stage": stage}
