"""Which items of a queue a labeller wants to see: by reason, label, score, detector, or what the labeller left open."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.labelling.queues import LabelQueue


class RefusedFilterError(ValueError):
    """A queue takes no such filter; the message says why."""


OpenWork = Literal["skipped", "unsure"]


class ItemFilter(BaseModel):
    """What an item has to be; None asks for nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str | None = None
    """Why the queue asks about it."""
    label: str | None = None
    """Its label in the label version of the queue."""
    score_from: float | None = Field(default=None, allow_inf_nan=False)
    score_to: float | None = Field(default=None, allow_inf_nan=False)
    """Both ends count; an item without a score has no place in a range."""
    detector: str | None = None
    mine: OpenWork | None = None
    """What the labeller skipped, or was unsure of; without it what the labeller has not answered."""

    def require_fit(self, queue: LabelQueue) -> None:
        """Require that a queue takes it.

        Raises
        ------
        RefusedFilterError
            The queue is blind and this is more than `mine`, or its scheme has no such class.
        """
        name, asked = queue.facts.name, sorted(self.model_dump(exclude_none=True, include=set(ItemFilter.model_fields)))
        led = [field for field in asked if field != "mine"]
        if queue.facts.blind and led:
            raise RefusedFilterError(
                f"queue {name!r} is blind and takes no filter by {', '.join(led)}, which would show what it hides or "
                "change the sample that rates are estimated from"
            )
        if self.label is not None and self.label not in queue.facts.classes:
            raise RefusedFilterError(f"filter label={self.label!r} is none of {', '.join(queue.facts.classes)}")

    def rows(self, queue: LabelQueue, detectors: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Return which rows of a queue are such items, (n,), but for `mine`; `detectors` are the rows', (n,)."""
        found = np.ones(len(queue), bool)
        if self.reason is not None:
            found &= queue.reasons == self.reason
        if self.label is not None:
            found &= queue.previous == self.label
        if self.score_from is not None:
            found &= queue.scores >= self.score_from
        if self.score_to is not None:
            found &= queue.scores <= self.score_to
        if self.detector is not None:
            found &= detectors == self.detector
        return found


NO_FILTER = ItemFilter()
