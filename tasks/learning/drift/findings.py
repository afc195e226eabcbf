"""What a drift check finds: comparisons of features in strata, and the check of a night that they make up."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

ALL = "all strata"
"""The stratum of all strata together."""
RATE = "rate"
"""The feature of the number of samples per visit."""

State = Literal["compared", "unknown", "few_nights", "few_rows", "constant"]
"""What became of a comparison: made; no quiet night has the stratum or feature; too few have it; tonight has too few
rows; or all quiet values are equal, so that they have no scatter to judge another value by."""
Verdict = Literal["quiet", "drifted", "not_enough_quiet_nights"]


@dataclass(frozen=True)
class Finding:
    """The comparison of one feature in one stratum.

    Attributes
    ----------
    stratum, feature : str
    state : State
    effect : float
        Wasserstein distance between tonight and the quiet nights, in units of the quiet spread; of `RATE` the absolute
        logarithm of the ratio. NaN unless compared.
    p_value : float
        Of the quiet nights' scatter; 1 unless compared.
    drifted : bool
        The effect is large enough, and the p-value rejected at the false-discovery rate.
    tonight, quiet : float
        Median, of `RATE` samples per visit; NaN without samples.
    rows, nights : int
        Tonight's samples with a value, and the quiet nights that have some.
    """

    stratum: str
    feature: str
    state: State
    effect: float
    p_value: float
    drifted: bool
    tonight: float
    quiet: float
    rows: int
    nights: int

    def __str__(self) -> str:
        """Return the finding in words."""
        if self.state != "compared":
            return f"{self.stratum} {self.feature}: {self.state} ({self.rows} rows, {self.nights} quiet nights)"
        unit = "ln of the ratio" if self.feature == RATE else "quiet spreads"
        return (
            f"{self.stratum} {self.feature}: {self.tonight:.4g} instead of {self.quiet:.4g}, effect {self.effect:.2f} "
            f"{unit}, p {self.p_value:.1g}"
        )


@dataclass(frozen=True)
class DriftCheck:
    """The check of one night.

    Attributes
    ----------
    night : str
    verdict : Verdict
    quiet_nights : int
    findings : tuple of Finding
        By stratum and feature, `ALL` first; empty without enough quiet nights.
    """

    night: str
    verdict: Verdict
    quiet_nights: int
    findings: tuple[Finding, ...]

    @property
    def drifted(self) -> list[Finding]:
        """The findings that are drift, the largest effect first."""
        return sorted((finding for finding in self.findings if finding.drifted), key=lambda found: -found.effect)

    def to_table(self) -> pa.Table:
        """Return the findings, one a row."""
        return pa.Table.from_pylist([asdict(finding) for finding in self.findings], schema=_FINDINGS)

    def to_summary(self) -> dict[str, Any]:
        """Return the check with the keys of a summary."""
        states = Counter(finding.state for finding in self.findings)
        unknown = sorted({finding.stratum for finding in self.findings if finding.state == "unknown"} - {ALL})
        return {
            "verdict": self.verdict,
            "quiet_nights": self.quiet_nights,
            "compared": states.pop("compared", 0),
            "not_compared": dict(states),
            "unknown": unknown,
            "drifted": [
                {
                    "stratum": finding.stratum,
                    "feature": finding.feature,
                    "effect": round(finding.effect, 3) if np.isfinite(finding.effect) else None,
                    "p_value": finding.p_value,
                }
                for finding in self.drifted
            ],
        }


_FINDINGS = pa.schema(
    [
        *((name, pa.string()) for name in ("stratum", "feature", "state")),
        *((name, pa.float64()) for name in ("effect", "p_value")),
        ("drifted", pa.bool_()),
        *((name, pa.float64()) for name in ("tonight", "quiet")),
        *((name, pa.int64()) for name in ("rows", "nights")),
    ]
)
