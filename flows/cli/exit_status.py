"""The end of a command: its summary as the last line of stdout or its error as the last line of stderr; exit code."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

from tasks.runtime.json_lines import tell, tell_error
from tasks.runtime.secrets import mask

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

_OWN_PACKAGES = frozenset({"flows", "tasks", "expectations", "galaxy", "realbogus"})


class UsageError(ValueError):
    """The command line is wrong; the message says what is expected."""


@dataclass(frozen=True)
class ExitStatus:
    """Exit code of a command, and its error if it failed."""

    code: int
    error: str | None = None


def run_command(work: Callable[[TextIO], Any], traceback_file: Path) -> ExitStatus:
    """Call ``work`` with a stream for stdout, write its result there as the last line, and return the exit status.

    Everything else printed to stdout, also by child processes, goes to stderr. An exception becomes an exit status;
    its traceback goes to ``traceback_file``, or to the temporary files.
    """
    ending = _Ending(traceback_file)
    with ending, _own_output() as output, interruptible():
        summary = work(output)
        if summary is not None:
            print(json.dumps(summary), file=output, flush=True)
    return ending.status


class _Ending:
    """Holds the exit status of its block: that of the exception which ended it, else `DONE`."""

    def __init__(self, traceback_file: Path) -> None:
        self.traceback_file = traceback_file
        self.status = ExitStatus(DONE)

    def __enter__(self) -> "_Ending":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, UsageError):
            self.status = ExitStatus(WRONG_USE, str(error))
        elif isinstance(error, KeyboardInterrupt):
            self.status = ExitStatus(INTERRUPTED, "interrupted")
        elif isinstance(error, Exception):
            _keep_traceback(error, self.traceback_file)
            self.status = ExitStatus(FAILED, describe_error(error))
        return self.status.code != DONE


def _keep_traceback(error: Exception, path: Path) -> None:
    """Write the traceback to ``path``, or to the system's folder of temporary files if that cannot be written."""
    text = mask("".join(traceback.format_exception(error)))
    for place in (path, Path(tempfile.gettempdir()) / f"starloom-{os.getpid()}-{path.name}"):
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
            tell(f"traceback: {place}")
            return


def describe_error(error: BaseException) -> str:
    """Return one line about an error; it names the type unless the message is enough."""
    details = getattr(error, "errors", None)
    if type(error).__name__ == "ValidationError" and callable(details):  # pydantic's, recognised without importing it
        return "; ".join(_describe_detail(detail) for detail in details(include_url=False))
    text = " ".join(str(error).split())
    own = type(error).__module__.partition(".")[0] in _OWN_PACKAGES
    if text and (own or type(error) in (ValueError, RuntimeError) or isinstance(error, OSError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _describe_detail(detail: Mapping[str, Any]) -> str:
    message = " ".join(detail["msg"].removeprefix("Value error, ").split())
    place = ".".join(map(str, detail["loc"]))
    return f"{place}={detail['input']}: {message[:1].lower()}{message[1:]}" if place else message


def exit_process(outcomes: list[ExitStatus]) -> None:
    """End this process with its exit status; as the first function registered with `atexit`, it is called last."""
    if outcomes:
        if outcomes[0].error is not None:
            tell_error(outcomes[0].error)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # nobody reads any more
                stream.flush()
        os._exit(outcomes[0].code)


@contextlib.contextmanager
def _own_output() -> Iterator[TextIO]:
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)
        try:
            yield output
        finally:
            sys.stdout.flush()
            os.dup2(output.fileno(), 1)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM, and SIGINT even if the shell ignores it, into `KeyboardInterrupt`."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
