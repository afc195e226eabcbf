"""A request rate per host and workspace, shared by all workers of all flows.

Each host has a file, or an object of a store, with the time of the next request. A process reserves several send times
at once and sends at those times, so processes share one rate without a server, and a killed process wastes at most
its lease. A file is changed under a lock, an object on the condition that it is still the one that was read.
"""

import ipaddress
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

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


class SharedTexts(Protocol):
    """Texts by name, which processes on several machines change one after the other."""

    def exchange(self, name: str, change: Callable[[str], str]) -> None:
        """Replace a text by ``change(text)``, empty where there is none; `change` may be called more than once."""


class RateBudget:
    """Send times for one host.

    Parameters
    ----------
    folder : Path or SharedTexts
        Folder of the budget files, or the objects that machines without a shared disk have in place of them.
    host : str
        Host name of the service.
    max_rate_per_s : float or None
        Requests per second; None, for loopback only, is without limit.
    clock, sleep : callables
        Wall clock in seconds, and waiting.
    """

    def __init__(
        self,
        folder: Path | SharedTexts,
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
        self.folder = folder
        self.name = re.sub(r"[^A-Za-z0-9.-]", "_", host) + ".next"
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
        rate, leased = self.rate, [0.0]
        assert rate is not None

        def reserve(following: str) -> str:
            now = self.clock()
            try:
                # A time further ahead means that the clock was set back, not that there is a queue.
                leased[0] = min(max(now, float(following)), now + 3600)
            except ValueError:
                leased[0] = now
            return repr(leased[0] + count / rate)

        if isinstance(self.folder, Path):
            _exchange_file(self.folder / self.name, reserve)
        else:
            self.folder.exchange(self.name, reserve)
        return [leased[0] + number / rate for number in range(count)]


def _exchange_file(file: Path, change: Callable[[str], str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        before = file.read_text(encoding="ascii") if file.exists() else ""
        file.write_text(change(before), encoding="ascii")
