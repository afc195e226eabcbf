"""How long a build takes on many workers, computed from the recorded times of its batches.

The model is that of `tasks.runtime.cluster.OnDask`: batches are handed out in order, a worker that is free takes the
next one, and one process hands them out and takes the results, one after the other. What is asked of a service goes
through one budget for all workers. Nothing here is random: the recorded times are used in turn.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice


@dataclass(frozen=True)
class Load:
    """The work of a build.

    Attributes
    ----------
    batches : int
    recorded_s : tuple of float
        Measured seconds of single batches on one worker, at least one; used in turn for all batches.
    handing_s : float
        Seconds for which a batch occupies the process that hands out.
    requests : int
        Of a batch to the service.
    rate_per_s : float, optional
        Requests a second that the service takes from all workers; None: no limit.
    alone_s : float
        Seconds of the stages that one process does, such as the publishing.
    """

    batches: int
    recorded_s: tuple[float, ...]
    handing_s: float = 0.0
    requests: int = 0
    rate_per_s: float | None = None
    alone_s: float = 0.0

    @property
    def work_s(self) -> float:
        """Seconds of all batches on one worker, without waiting."""
        return sum(islice(cycle(self.recorded_s), self.batches))

    def ideal_s(self, workers: int) -> float:
        """Seconds where the work is spread evenly, handing out is free, and the service has no limit."""
        return self.work_s / workers


def simulated_s(load: Load, workers: int) -> float:
    """Return the seconds of a build on that many workers."""
    if not load.recorded_s:
        raise ValueError("no batch was recorded: at least one time is needed")
    free = [0.0] * workers
    handing = budget = 0.0
    ends: list[float] = []
    for seconds in islice(cycle(load.recorded_s), load.batches):
        begin = heapq.heappop(free)
        handing = max(handing, begin) + load.handing_s
        end = handing + seconds
        if load.rate_per_s is not None:
            budget = max(budget, handing) + load.requests / load.rate_per_s
            end = max(end, budget)
        heapq.heappush(free, end)
        ends.append(end)
    return max(ends, default=0.0) + load.alone_s


def speed_ups(load: Load, workers: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return by number of workers the seconds, those of the ideal, and the ideal's part of them."""
    return {
        count: {
            "hours": simulated_s(load, count) / 3600,
            "ideal_hours": load.ideal_s(count) / 3600,
            "of_ideal": load.ideal_s(count) / simulated_s(load, count),
        }
        for count in workers
    }
