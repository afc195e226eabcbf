"""Parsing of `-p name=value` by the annotations of a flow function.

A text parameter takes its value verbatim; numbers, booleans and null are read as JSON; a list is JSON or
comma-separated.
"""

import inspect
import json
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from flows.cli.exit_status import UsageError
from flows.cli.nearest import suggestion
from tasks.runtime.secrets import SecretError, require_no_secret


class ParameterError(UsageError):
    """A wrong parameter; the message names it, its value and what is expected."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a flow."""

    name: str
    annotation: Any
    default: Any
    description: str

    @property
    def type(self) -> str:
        """Description of the values that it takes."""
        return describe_type(self.annotation)

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the parameters of a flow function by name, in the order of its signature."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: Parameter(name, hints.get(name, str), parameter.default, _description(hints.get(name)))
        for name, parameter in inspect.signature(function).parameters.items()
    }


def read_parameters(function: Callable[..., Any], pairs: Iterable[str]) -> dict[str, Any]:
    """Return the values of ``name=value`` pairs, converted to the parameters' types; the last of a name counts."""
    parameters = parameters_of(function)
    written = dict(split_pair(pair) for pair in pairs)
    require_known(written, parameters)
    missing = [name for name, parameter in parameters.items() if parameter.required and name not in written]
    if missing:
        raise ParameterError(f"parameter {missing[0]!r} has no default: give it with -p {missing[0]}=...")
    for name, text in written.items():
        _require_no_secret(name, text)
    return {name: _read(parameters[name], text) for name, text in written.items()}


def _require_no_secret(name: str, text: str) -> None:
    try:
        require_no_secret(text, f"parameter {name!r}:")
    except SecretError as error:
        raise ParameterError(str(error)) from error


def split_pair(pair: str) -> tuple[str, str]:
    """Return name and value of ``name=value``."""
    name, equals, text = pair.partition("=")
    if not equals or not name:
        raise ParameterError(f"-p {pair}: expected name=value")
    return name.strip(), text


def require_known(names: Iterable[str], parameters: Mapping[str, Any] | Iterable[str]) -> None:
    """Raise `ParameterError` for a name that is not a parameter's."""
    valid_names = list(parameters)
    for name in names:
        if name not in valid_names:
            near = suggestion(name, valid_names)
            raise ParameterError(f"unknown parameter {name!r}; there are: {', '.join(valid_names)}{near}")


def describe_type(annotation: Any) -> str:
    """Return a description of the values that ``annotation`` takes."""
    annotation = _bare(annotation)
    if _is_union(annotation):
        return " or ".join(describe_type(option) for option in get_args(annotation))
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(value) for value in get_args(annotation))
    if get_origin(annotation) in (list, tuple, set):
        items = [item for item in get_args(annotation) if item is not Ellipsis]
        return f"list of {describe_type(items[0])}" if items else "list"
    if get_origin(annotation) is dict or _is_model(annotation):
        return _WORDS[dict]
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


_WORDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    type(None): "null",
    list: "list",
    dict: "JSON object",
}
_READ_AS_JSON = frozenset({bool, int, float, list, dict, type(None)})


def _read(parameter: Parameter, text: str) -> Any:
    """Return ``text`` converted to the parameter's type."""
    reasons: dict[str, None] = {}
    for candidate in _candidates(parameter.annotation, text):
        try:
            # Strict: 1 is no boolean and 1.0 no integer. Text is not strict: it may be a path or a date.
            strict = None if isinstance(candidate, str) else True
            return TypeAdapter(parameter.annotation).validate_python(candidate, strict=strict)
        except ValidationError as error:
            is_field = _has_model(parameter.annotation)
            reasons |= {_reason(detail): None for detail in error.errors() if is_field or _is_about_value(detail)}
    because = f" ({'; '.join(reasons)})" if reasons else ""
    near = suggestion(text, choices_of(parameter.annotation))
    raise ParameterError(f"parameter {parameter.name!r}: expected {parameter.type}, got {text!r}{because}{near}")


def choices_of(annotation: Any) -> list[str]:
    """Return the words that a value of ``annotation`` is one of, as ``-p`` takes them; empty if it takes others too."""
    annotation = _bare(annotation)
    if annotation is bool:
        return ["true", "false"]
    if annotation is type(None):
        return ["null"]
    if get_origin(annotation) is Literal:
        return [value if isinstance(value, str) else json.dumps(value) for value in get_args(annotation)]
    if _is_union(annotation):
        parts = [choices_of(option) for option in get_args(annotation)]
        return [word for part in parts for word in part] if all(parts) else []
    return []


def _candidates(annotation: Any, text: str) -> list[Any]:
    """Return the values that ``text`` may mean for ``annotation``, the most likely first."""
    annotation = _bare(annotation)
    if _is_union(annotation):
        options = sorted(get_args(annotation), key=_generality)
        return [candidate for option in options for candidate in _candidates(option, text)]
    if _takes_text(annotation):
        return [text]
    if annotation is type(None):
        return [None] if text == "null" else []
    return _candidates_as_json(annotation, text)


def _candidates_as_json(annotation: Any, text: str) -> list[Any]:
    """Return the values that ``text`` may mean where it is read as JSON; a list may be of words, a choice text."""
    read = _json(text)
    if get_origin(annotation) in (list, tuple, set) or annotation is list:
        return [read] if isinstance(read, list) else [_words(annotation, text)]
    if get_origin(annotation) is Literal:
        return [value for value in (read, text) if value is not None]
    return [] if read is None else [read]


def _words(annotation: Any, text: str) -> list[Any]:
    """Return the comma-separated words of ``text``, each as an item of the list ``annotation``."""
    item = next(iter(get_args(annotation)), str)
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    return [next(iter(_candidates(item, word)), word) for word in words]


def _json(text: str) -> Any:
    """Return ``text`` read as JSON; None if it is not JSON. NaN and infinities are not."""
    try:
        return json.loads(text, parse_constant=lambda constant: None)
    except json.JSONDecodeError:
        return None


def _takes_text(annotation: Any) -> bool:
    annotation = _bare(annotation)
    if get_origin(annotation) is Literal:
        return all(isinstance(value, str) for value in get_args(annotation))
    return get_origin(annotation) is None and annotation not in _READ_AS_JSON and not _is_model(annotation)


def _generality(annotation: Any) -> int:
    """Return the rank of a union's option: null is tried first, then numbers, then text."""
    return 0 if annotation is type(None) else 2 if _takes_text(annotation) else 1


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _has_model(annotation: Any) -> bool:
    """Return whether ``annotation`` is a model or a union with one: then an error names a field of it."""
    return any(_is_model(option) for option in (get_args(_bare(annotation)) or (_bare(annotation),)))


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(_bare(annotation)) in (Union, types.UnionType)


def _is_about_value(detail: Mapping[str, Any]) -> bool:
    """Return whether an error is about the value; one about the type is better said by `describe_type`."""
    return not detail["type"].endswith(("_type", "_parsing", "_error", "none_required"))


def _reason(detail: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _description(annotation: Any) -> str:
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, FieldInfo) and extra.description:
            return extra.description
        if isinstance(extra, str):
            return extra
    return ""
