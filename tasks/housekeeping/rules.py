"""Why things are kept for a reason of their own, and the rules that a request states."""

from dataclasses import dataclass

from tasks.housekeeping.request import HousekeepingRequest

YOUNG = "younger than keep_days"
NEWEST = "among the newest of its name"
PUBLISHED = "the published version of a dataset"
ALIAS = "a model with an alias"
LEDGER = "named by the decision ledger"
HOLDOUT = "a holdout"
UNREADABLE = "what it needs cannot be read"
TORN = "the decision ledger cannot be read"
BUSY = "at work"
READ_ELSEWHERE = "read by another machine, whose models may name it"
SHARED = "a group's MLflow may name it"

DAY_S = 86_400.0


@dataclass(frozen=True)
class Rules:
    """A request and the time of its housekeeping, `now`, in seconds since 1970."""

    request: HousekeepingRequest
    now: float

    def age_days(self, changed_at: float) -> float:
        """Return how long ago that was; 0 for a time to come, which a clock that went back leaves."""
        return max(0.0, self.now - changed_at) / DAY_S

    def young(self, changed_at: float) -> str | None:
        """Return `YOUNG` for what is younger than `keep_days`, else None."""
        return YOUNG if self.age_days(changed_at) < self.request.keep_days else None
