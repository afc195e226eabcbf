"""When a challenger takes the champion's place: the numbers of the gate's rule."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

LEAST_TAIL = 5
"""Least number of resamples beyond the quantile that decides."""


class GateSettings(BaseModel):
    """When a challenger takes the champion's place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tpr: float = Field(default=0.9, gt=0, lt=1)
    """True-positive rate of the operating point; candidates only."""
    margin: float = Field(default=0.05, ge=0, lt=1)
    """Least relative gain at the operating point."""
    tolerance: float = Field(default=0.02, ge=0, lt=1)
    """Largest loss on a stratum: a difference of rates."""
    least_events: int = Field(default=50, ge=1)
    """Fewest rows of a class, and of a stratum that counts."""
    cooldown_nights: int = Field(default=5, ge=0)
    """Nights after a change of the champion on which no challenger is promoted."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Chance of a false promotion in a month, at most."""
    looks: int = Field(default=31, ge=1)
    """Looks planned a month, among which `alpha` is divided; later ones promote nothing."""
    repeats: int = Field(default=4000, ge=100)
    """Resamples."""
    shadow_nights: int = Field(default=0, ge=0)
    """Nights that a challenger scores beside the champion before it may be promoted."""

    @model_validator(mode="after")
    def _tail_is_resolved(self) -> "GateSettings":
        beyond = self.repeats * self.alpha / self.looks
        if beyond < LEAST_TAIL:
            least = int(np.ceil(LEAST_TAIL * self.looks / self.alpha))
            raise ValueError(
                f"repeats={self.repeats} leave {beyond:.1f} resamples beyond the level {self.alpha / self.looks:.2g} "
                f"of a look (alpha={self.alpha:g} over looks={self.looks}), at least {LEAST_TAIL} are needed: give "
                f"repeats={least}"
            )
        return self
