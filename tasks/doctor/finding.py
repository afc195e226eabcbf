"""The result of a check."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warning", "problem"]
"""A problem stops a flow; a warning does not, but the user should know."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    subject : str
        What was checked, in two or three words.
    state : str
        ok, warning or problem.
    value : str
        What was found.
    remedy : str
        What to do; empty if nothing.
    """

    subject: str
    state: State
    value: str
    remedy: str = ""

    def to_summary(self) -> dict[str, Any]:
        """Return the entry of the JSON report."""
        return asdict(self)


def ok(subject: str, value: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(subject, "ok", value)


def count_state(findings: Iterable[Finding], state: State) -> int:
    """Return the number of findings in a state."""
    return sum(finding.state == state for finding in findings)
