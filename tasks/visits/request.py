"""The request of `score-visit`."""

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.inbox.looks import QUIET_S
from tasks.inbox.nights import TIMEZONE, InboxError, NightFolder, NightListing, is_night


class VisitRequest(BaseModel):
    """Which visits are scored, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    """The inbox; None: see `tasks.inbox.nights.default_inbox`."""
    night: str | None = None
    """YYYY-MM-DD; None: all."""
    model: str = "champion"
    tpr: float | None = Field(default=None, gt=0, lt=1)
    """True-positive rate of one of the model's operating points; the default is `tasks.night.request.DEFAULT_TPR`."""
    limit: int | None = Field(default=None, ge=1)
    """Most visits of one run."""
    quiet_s: float = Field(default=QUIET_S, ge=0)
    """Time without a change after which a visit is complete, seconds."""
    timezone: str = TIMEZONE
    """Of the site: a night has the date of its evening there."""

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"timezone={name!r} is no time zone, such as Asia/Tokyo or UTC") from None
        return name


def chosen_nights(request: VisitRequest, inbox: Path, listing: NightListing) -> tuple[NightFolder, ...]:
    """Return the nights of an inbox that a request names.

    Raises
    ------
    InboxError
        The named night is not among them.
    """
    if request.night is None:
        return listing.nights
    chosen = tuple(night for night in listing.nights if night.name == request.night)
    if not chosen:
        if not is_night(request.night):
            raise InboxError(f"night={request.night} is no date YYYY-MM-DD")
        why = listing.ignored.get(request.night, "there is no such folder")
        names = ", ".join(night.name for night in listing.nights[-5:]) or "none"
        raise InboxError(f"night={request.night} is not in the inbox {inbox} ({why}); its newest nights: {names}")
    return chosen
