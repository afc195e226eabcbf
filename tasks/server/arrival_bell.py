"""The bell of the inbox: an event on Prefect's server when something has arrived that nobody works on.

The event only rings; what has arrived is found by the flow that it starts. The bell looks at what is there and not at
what has changed, so it rings again for what a lost event or a killed run has left.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tasks.runtime.run_log import run_logger

ARRIVED = "starloom.visit.arrived"
RESOURCE = "starloom.inbox"
LOOK_S = 2.0
MOST_SHARE = 0.05
"""Of the time may be spent on looking: a look at a full inbox is followed by a longer pause."""
AGAIN_S = 30.0
"""Time from one event to the next for the same arrivals: that of starting a run, and some more."""


@dataclass
class ArrivalBell:
    """Looks every `LOOK_S`, or less often where a look takes long, and rings.

    Attributes
    ----------
    name : str
        Of the inbox, the last part of the event's resource.
    arrived : callable
        Returns the names of what waits to be worked on.
    is_worked_on : callable
        Returns whether a process works on it.
    ring : callable
        Sends the event, given the name of the inbox and what waits.
    monotonic : callable
        Clock, seconds.
    """

    name: str
    arrived: Callable[[], Sequence[str]]
    is_worked_on: Callable[[], bool]
    ring: Callable[[str, Sequence[str]], None] = field(default_factory=lambda: emit_arrival)
    monotonic: Callable[[], float] = time.monotonic
    _next_look_s: float = field(default=float("-inf"), init=False)
    _rung_s: float = field(default=float("-inf"), init=False)
    _fault: str | None = field(default=None, init=False)

    def look(self) -> None:
        """Ring if something waits; an inbox that cannot be read is told once, and looked at again."""
        now_s = self.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_S
        if self.is_worked_on():
            self._rung_s = float("-inf")
            return
        waiting = self._waiting()
        self._next_look_s = now_s + max(LOOK_S, (self.monotonic() - now_s) / MOST_SHARE)
        if waiting and now_s - self._rung_s >= AGAIN_S:
            self.ring(self.name, waiting)
            self._rung_s = now_s

    def _waiting(self) -> Sequence[str]:
        try:
            waiting, self._fault = self.arrived(), None
        except (OSError, ValueError) as error:
            if str(error) != self._fault:
                run_logger().warning("nothing is taken from the inbox: %s", error)
            waiting, self._fault = (), str(error)
        return waiting


def emit_arrival(inbox: str, waiting: Sequence[str]) -> None:
    """Send the event `ARRIVED` of an inbox to the Prefect server of this process."""
    from prefect.events import emit_event

    resource = f"{RESOURCE}.{re.sub(r'[^A-Za-z0-9_-]+', '-', inbox) or 'inbox'}"
    emit_event(
        ARRIVED,
        resource={"prefect.resource.id": resource, "prefect.resource.name": inbox},
        payload={"waiting": list(waiting)[:50], "count": len(waiting)},
    )
