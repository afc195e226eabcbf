"""What judging a frame gives, and the error when a set of rows may not be published."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ValidationResult:
    """Results of one suite on one frame.

    ``results`` has one dict an expectation: ``suite, name, kind, sentence, columns, success, checked, failed,
    examples, error``, plain enough for JSON. ``row_failures`` maps the id of a failing row to the name of the first
    row expectation it fails. ``set_failures`` has one text a failing set expectation. ``docs`` is Great
    Expectations' own result, capped, for Data Docs.
    """

    suite: str
    rows: int
    results: list[dict[str, Any]]
    row_failures: dict[str, str]
    set_failures: list[str]
    docs: Any = None


class ValidationFailed(ValueError):  # noqa: N818 (reads as what happened)
    """A set expectation failed: the message names suite, expectation and rows."""


def require(verdicts: Iterable[ValidationResult]) -> None:
    """Raise ``ValidationFailed`` with every set failure, if there is one."""
    failures = [failure for verdict in verdicts for failure in verdict.set_failures]
    if failures:
        raise ValidationFailed("validation failed, nothing is published: " + "; ".join(failures))
