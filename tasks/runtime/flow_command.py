"""The command that repeats a flow run, and values as it takes them."""

import inspect
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any


def flow_command() -> str | None:
    """Return the command that repeats the present flow run, the innermost of nested ones; None outside of a flow.

    Prefect takes seconds to import. A process that has not imported it, such as a worker of Dask, has no flow.
    """
    context = sys.modules.get("prefect.context")
    running = None if context is None else context.FlowRunContext.get()
    if running is None or running.flow is None:
        return None
    return command_of(running.flow.name, running.flow.fn, running.parameters or {})


def command_of(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return ``starloom run NAME`` with the parameters that differ from the defaults of the flow's function.

    Parameters
    ----------
    name : str
        Of the flow.
    function : callable
        Has the flow's signature.
    given : mapping of str to value
        Values of parameters; one that is absent has its default.
    """
    words = [
        word
        for key, default in defaults_of(function).items()
        if key in given and given[key] != default
        for word in ("-p", shlex.quote(f"{key}={written_value(given[key])}"))
    ]
    return " ".join(["starloom run", name, *words])


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a flow's function with their defaults."""
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


def written_value(value: Any) -> str:
    """Return a value in the form that ``-p name=`` takes: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    from pydantic import BaseModel  # late: the command line imports this module at its start

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return str(value)
