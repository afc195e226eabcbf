"""The result of validating a frame, and the error that stops a publish."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ValidationResult:
    """Result of one suite on one frame.

    Attributes
    ----------
    suite : str
    rows : int
        Number of rows of the frame.
    results : list of dict
        One per expectation, in JSON types: ``suite, name, kind, sentence, columns, success, checked, failed, examples,
        error``.
    row_failures : dict
        Id of a failing row to the name of the first row expectation that it fails.
    set_failures : list of str
        One message per failing set expectation.
    docs
        Great Expectations' own result, shortened, for Data Docs.
    """

    suite: str
    rows: int
    results: list[dict[str, Any]]
    row_failures: dict[str, str]
    set_failures: list[str]
    docs: Any = None


class ValidationFailed(ValueError):  # noqa: N818 (reads as what happened)
    """A set expectation failed: the message names suite, expectation and rows."""


def require(validations: Iterable[ValidationResult]) -> None:
    """Raise `ValidationFailed` with all set failures if there are any."""
    failures = [failure for validation in validations for failure in validation.set_failures]
    if failures:
        raise ValidationFailed("validation failed, nothing is published: " + "; ".join(failures))
