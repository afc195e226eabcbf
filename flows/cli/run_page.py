"""The page of a run in Prefect: its name, live progress, and what to do after a failure."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flows.cli.exit_status import describe_error
from tasks.runtime.flow_command import command_of, defaults_of

MOST_LETTERS = 60
FAILURE = "what-to-do"
"""Key of the artifact of a failed run."""
_RAISED = re.compile(r"^.*?encountered an exception: ", re.S)


def run_page(*named: str) -> dict[str, Any]:
    """Return settings of `@flow`: the values of the parameters `named` are the run's name."""
    return {
        "flow_run_name": partial(present_name, named),
        "on_running": [show_progress_live],
        "on_failure": [show_failure],
    }


def present_name(named: Sequence[str]) -> str:
    """Return the name of Prefect's present flow run."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow is None:
        raise RuntimeError("a run has a name inside of a flow only")
    return run_name(context.flow.name, named, defaults_of(context.flow.fn) | (context.parameters or {}))


def run_name(flow: str, named: Sequence[str], parameters: Mapping[str, Any]) -> str:
    """Return the values of the named parameters, such as ``sky cnn``; the flow's own name if all are null."""
    words = [_word(parameters[name]) for name in named]
    return " ".join(word for word in words if word) or flow


def _word(value: Any) -> str:
    """Return a value as a word of a name: a path by its last part, a list by its entries."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value))[:MOST_LETTERS]
    text = str(value)
    is_path = "/" in text and not text.startswith("models:")
    return (text.rstrip("/").rpartition("/")[2] if is_path else text)[:MOST_LETTERS]


def show_progress_live(flow: Any, flow_run: Any, state: Any) -> None:
    """Show the progress of every stage on the page of its run, from now on in this process."""
    from tasks.runtime.progress import watch_progress
    from tasks.runtime.run_artifacts import live_progress

    watch_progress(live_progress)


def show_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Put the error and what to do on the page of a failed run."""
    from tasks.runtime.run_artifacts import put_markdown_of_run

    error = state.result(raise_on_failure=False)
    line = describe_error(error) if isinstance(error, BaseException) else _RAISED.sub("", state.message or "failed")
    put_markdown_of_run(flow_run.id, FAILURE, failure_text(line, command_of(flow.name, flow.fn, flow_run.parameters)))


def failure_text(line: str, command: str) -> str:
    """Return the page's text in Markdown: the last error line, and what to do."""
    return f"""\
**error:** {line}

1. Correct what the line names.
2. Run it again. What is finished is not repeated:

        {command}

3. `starloom doctor` checks installation, disk, ports and services.
4. The traceback is in the logs of this page; that of a `starloom` command also in `prefect/last-failure.txt` of the
   workspace.
"""
