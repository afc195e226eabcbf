"""Which items of a queue a labeller wants to see.

By reason, label, score, detector, place on the sky, or what the labeller left open.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.labelling.queues import LabelQueue
from tasks.store.sky_coordinates import separations_arcsec, unit_vectors

DEFAULT_RADIUS_ARCSEC = 60.0
_RANGES = {"ra_deg": (0.0, 360.0), "dec_deg": (-90.0, 90.0), "radius_arcsec": (0.0, 180 * 3600.0)}


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
    ra_deg: float | None = None
    dec_deg: float | None = None
    """Within `radius_arcsec` of this place; an item without a position is nowhere."""
    radius_arcsec: float | None = None
    """None: `DEFAULT_RADIUS_ARCSEC`."""
    mine: OpenWork | None = None
    """What the labeller skipped, or was unsure of; without it what the labeller has not answered."""

    def require_fit(self, queue: LabelQueue) -> None:
        """Require that a queue takes it.

        Raises
        ------
        RefusedFilterError
            The queue is blind and this is more than `mine`, its scheme has no such class, or the place is none on the
            sky.
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
        self._require_place()

    def _require_place(self) -> None:
        given = {name: value for name in _RANGES if (value := getattr(self, name)) is not None}
        missing = {"ra_deg", "dec_deg"} - given.keys()
        if given and missing:
            shown = " and ".join(f"{name}={value:g}" for name, value in given.items())
            raise RefusedFilterError(f"filter {shown} is no place on the sky without {' and '.join(sorted(missing))}")
        for name, value in given.items():
            low, high = _RANGES[name]
            if not low <= value <= high:
                raise RefusedFilterError(f"filter {name}={value:g} is not in the range {low:g} to {high:g}")

    def rows(
        self, queue: LabelQueue, detectors: NDArray[np.str_], directions: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which rows of a queue are such items, but for `mine`.

        Parameters
        ----------
        queue : LabelQueue
            n rows.
        detectors : (n,) str
        directions : (n, 3)
            Unit vectors of the positions, NaN where there is none.

        Returns
        -------
        ndarray of bool, (n,)
        """
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
        if self.ra_deg is not None and self.dec_deg is not None:
            here = np.broadcast_to(unit_vectors(self.ra_deg, self.dec_deg), directions.shape)
            radius = DEFAULT_RADIUS_ARCSEC if self.radius_arcsec is None else self.radius_arcsec
            found &= separations_arcsec(directions, here) <= radius
        return found


NO_FILTER = ItemFilter()
