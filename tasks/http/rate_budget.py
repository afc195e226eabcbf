"""A request rate per host and workspace, shared by all workers of all flows.

Each host has a file with the time of the next request. A process reserves several send times at once under a file lock
and sends at those times, so processes share one rate without a server, and a killed process wastes at most its lease.
"""

import ipaddress
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

LEASE_SECONDS = 0.5


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class RateBudget:
    """Send times for one host.

    Parameters
    ----------
    folder : Path
        Folder of the budget files.
    host : str
        Host name of the service.
    max_rate_per_s : float or None
        Requests per second; None, for loopback only, is without limit.
    clock, sleep : callables
        Wall clock in seconds, and waiting.
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        max_rate_per_s: float | None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if max_rate_per_s is None and not is_loopback(host):
            raise ValueError(
                f"max_rate_per_s is null, which is for loopback only, not for {host!r}; give requests per second"
            )
        if max_rate_per_s is not None and not max_rate_per_s > 0:
            raise ValueError(f"max_rate_per_s is {max_rate_per_s}, it must be above 0")
        self.rate = max_rate_per_s
        self.file = folder / (re.sub(r"[^A-Za-z0-9.-]", "_", host) + ".next")
        self.clock, self.sleep = clock, sleep
        self._mutex = threading.Lock()
        self._leased: list[float] = []

    def wait(self) -> None:
        """Block until a request may be sent."""
        if self.rate is None:
            return
        with self._mutex:
            if not self._leased:
                self._leased = self._lease(max(1, int(self.rate * LEASE_SECONDS)))
            send_at = self._leased.pop(0)
        delay = send_at - self.clock()
        if delay > 0:
            self.sleep(delay)

    def _lease(self, count: int) -> list[float]:
        """Reserve the next `count` send times of the host; return them in order."""
        assert self.rate is not None
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.file.with_suffix(".lock")):
            now = self.clock()
            try:
                # A time further ahead means that the clock was set back, not that there is a queue.
                start = min(max(now, float(self.file.read_text(encoding="ascii"))), now + 3600)
            except (FileNotFoundError, ValueError):
                start = now
            self.file.write_text(repr(start + count / self.rate), encoding="ascii")
        return [start + number / self.rate for number in range(count)]
