"""A decision on which model is in use: one row of the ledger."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["first", "gate", "promote", "rollback", "accept", "outside_gate"]
"""first: a training registered the first model of a name; gate: the gate compared a challenger with the champion;
promote, rollback, accept: a person's; outside_gate: the alias was found moved by something else."""
Verdict = Literal["PROMOTE", "HOLD", "REJECT", "ACCEPT", "RECORD"]
"""HOLD: not enough evidence. ACCEPT is a person's, of a night that was set aside; RECORD states what was found."""


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes
    ----------
    at : datetime
        UTC.
    name : str
        Registered name of the models, such as ``realbogus``.
    kind : Kind
    verdict : Verdict
    by : str
        The user, or the flow that decided.
    reasons : tuple of str
        Why; never empty.
    night : str, optional
        Date of the local evening, YYYY-MM-DD.
    champion_before, champion_after, challenger : str, optional
        ``models:/NAME/VERSION``.
    figures : dict
        What the verdict rests on; JSON values.
    digests : dict of str
        sha256 of the models and digests of the data, by what they are of: ``champion`` (the one before),
        ``challenger``, ``holdout``, ...
    """

    at: datetime
    name: str
    kind: Kind
    verdict: Verdict
    by: str
    reasons: tuple[str, ...]
    night: str | None = None
    champion_before: str | None = None
    champion_after: str | None = None
    challenger: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
