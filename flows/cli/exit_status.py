"""How a command ends: one line on stdout or the last line on stderr, an exit code, nothing left running."""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

_OWN_PACKAGES = frozenset({"flows", "tasks", "expectations", "galaxy", "realbogus"})


class UsageError(ValueError):
    """The command was used wrongly; the message says how it is meant."""


@dataclass(frozen=True)
class ExitStatus:
    """Exit code of a command and, unless it did what it should, why not."""

    code: int
    error: str | None = None


def perform(work: Callable[[TextIO], Any], traceback_file: Path) -> ExitStatus:
    """Do ``work``, which may write to the stdout it is given, and write what it returns as the last line there.

    Whatever else is printed to stdout meanwhile, by child processes too, goes to stderr.
    """
    try:
        with _own_output() as output, _interruptible():
            summary = work(output)
            if summary is not None:
                print(json.dumps(summary), file=output, flush=True)
    except UsageError as error:
        return ExitStatus(WRONG_USE, str(error))
    except KeyboardInterrupt:
        return ExitStatus(INTERRUPTED, "interrupted")
    except Exception as error:
        _keep_traceback(error, traceback_file)
        return ExitStatus(FAILED, describe(error))
    return ExitStatus(DONE)


def _keep_traceback(error: Exception, path: Path) -> None:
    """Write the traceback to ``path``; to stderr where a full disk or a locked folder forbids it."""
    text = "".join(traceback.format_exception(error))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"traceback: {path}", file=sys.stderr)
    except OSError:
        print(text, file=sys.stderr)


def describe(error: BaseException) -> str:
    """Return one line that says what went wrong; the type is named where the text alone means little."""
    faults = getattr(error, "errors", None)
    if type(error).__name__ == "ValidationError" and callable(faults):  # pydantic's, which need not be imported
        return "; ".join(_describe_fault(fault) for fault in faults(include_url=False))
    text = " ".join(str(error).split())
    own = type(error).__module__.partition(".")[0] in _OWN_PACKAGES
    if text and (own or type(error) in (ValueError, RuntimeError) or isinstance(error, OSError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _describe_fault(fault: Mapping[str, Any]) -> str:
    message = " ".join(fault["msg"].removeprefix("Value error, ").split())
    place = ".".join(map(str, fault["loc"]))
    return f"{place}={fault['input']}: {message[:1].lower()}{message[1:]}" if place else message


def last_words(outcomes: list[ExitStatus]) -> None:
    """End this process with the outcome; registered first with `atexit`, it is called after all others."""
    if outcomes:
        if outcomes[0].error is not None:
            print(f"error: {outcomes[0].error}", file=sys.stderr)
        sys.stderr.flush()
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
def _interruptible() -> Iterator[None]:
    """Treat the request to terminate like Ctrl-C, and Ctrl-C so even where the shell has it ignored."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
