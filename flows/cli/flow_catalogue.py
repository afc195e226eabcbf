"""The flows and their parameter names, read from the source files: importing a flow takes seconds."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flows
from flows.cli.exit_status import UsageError
from flows.cli.nearest import suggestion
from tasks.runtime.flow_command import written_value


class UnknownFlowError(UsageError):
    """No such flow; the message lists the flows that exist."""


def flow_names() -> list[str]:
    """Return the names of all flows."""
    return sorted(_files())


def argument_names(name: str) -> list[str]:
    """Return the names of the parameters of the flow ``name``."""
    arguments = _definition(_file(name)).args  # type: ignore[union-attr]  # a listed file has one
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def load_flow(name: str) -> Any:
    """Import the flow ``name``."""
    import importlib

    stem = _file(name).stem
    return getattr(importlib.import_module(f"flows.{stem}"), stem)


def list_text() -> str:
    """Return one line per flow: its name and the first line of its file's docstring."""
    lines = []
    for name, path in sorted(_files().items()):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines.append(f"  {name:24} {text.partition(chr(10))[0]}")
    return "\n".join(["flows:", *lines])


def parameters_text(name: str) -> str:
    """Return the help of the flow ``name``: what it does, its parameters and their defaults."""
    from flows.cli.parameter_subjects import subject_of

    return function_text(f"run {name}", load_flow(name).fn, subject_of)


def function_text(
    command: str, function: Callable[..., Any], heading: Callable[[str], str] = lambda name: "parameters"
) -> str:
    """Return the help of a command that takes the parameters of a function, under their headings."""
    from flows.cli.parameters import parameters_of

    lines = [f"starloom {command} [-p name=value ...]", "", inspect.getdoc(function) or ""]
    last = ""
    for parameter in parameters_of(function).values():
        if heading(parameter.name) != last:
            last = heading(parameter.name)
            lines += ["", f"{last}:"]
        default = "required" if parameter.required else f"default {written_value(parameter.default)}"
        lines.append(f"  {parameter.name}: {parameter.type}; {default}")
        lines += [f"      {parameter.description}"] if parameter.description else []
    return "\n".join(lines)


def _files() -> dict[str, Path]:
    """Return the file of each flow, a module that defines a decorated function of its own name."""
    files = [path for folder in flows.__path__ for path in Path(folder).glob("*.py")]
    return {path.stem.replace("_", "-"): path for path in files if _definition(path) is not None}


def _file(name: str) -> Path:
    files = _files()
    if name not in files:
        known = sorted(files)
        raise UnknownFlowError(f"unknown flow {name!r}; there are: {', '.join(known)}{suggestion(name, known)}")
    return files[name]


def _definition(path: Path) -> ast.FunctionDef | None:
    """Return the decorated function with the name of its file, or None."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == path.stem and node.decorator_list:
            return node
    return None
