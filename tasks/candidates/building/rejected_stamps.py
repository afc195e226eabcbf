"""Pictures of rejected candidates. A build keeps no rejected stamp: it is cut again from the new frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realbogus.audits.pictures import draw_triplet
from realbogus.frames import Frame
from realbogus.injection.candidate_table import NOT_DETECTED
from realbogus.records import DETECTION
from realbogus.stamps import cut_plane
from tasks.candidates.building.collect import PairVisits, SimulatedVisits
from tasks.candidates.building.plan import CandidatePlan
from tasks.candidates.building.staged_rows import FAULTY_VISIT

MOST_FRAMES = 2
"""Frames that are read or simulated again for pictures: each takes seconds."""
CUT_AGAIN = "stamps cut again from the new frame"


@dataclass(frozen=True)
class RejectedStamps:
    """The rejected candidates of a build's request.

    Attributes
    ----------
    plan : CandidatePlan
    """

    plan: CandidatePlan
    _frames: dict[str, Frame] = field(default_factory=dict, repr=False)

    def preview(self, row: Mapping[str, Any]) -> NDArray[np.uint8] | str:
        """Return the stamp of a rejected candidate, (height, width, 3), or why there is none.

        Parameters
        ----------
        row : mapping
            Of the ledger: ``kind, reason, batch, x_px, y_px``.
        """
        if row["kind"] == FAULTY_VISIT:
            return "the whole chip-visit was rejected"
        if row["reason"] == NOT_DETECTED:
            return "nothing was detected"
        if row["kind"] != DETECTION:
            return "no kept frame has the injected light"
        if not isinstance(self.plan.collector, SimulatedVisits | PairVisits):
            return "rejected triplets are not kept"
        found = self._frame(row["batch"])
        if isinstance(found, str):
            return found
        x, y = np.array([row["x_px"]]), np.array([row["y_px"]])
        stamp = cut_plane(found.pixels, x, y, self.plan.request.stamp_px)[0]
        return draw_triplet(stamp[..., None], enlarge=1)

    def _frame(self, batch: str) -> Frame | str:
        """Return the new frame of a batch, or why it is not read again."""
        if batch not in self._frames:
            collector: Any = self.plan.collector
            key = next((each.key for each in self.plan.batches if collector.name_of(each.key) == batch), None)
            if key is None:
                return "of an earlier build"
            if len(self._frames) == MOST_FRAMES:
                return f"only {MOST_FRAMES} frames are read again"
            self._frames[batch] = collector.new_frame(key)
        return self._frames[batch]
