"""HTTP as a polite client does it: pooled connections, one rate, backoff, and a checked answer."""

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from tasks.http.rate_budget import RateBudget

USER_AGENT = "starloom/0.1 (astronomical dataset builder; python-requests)"
MAX_ATTEMPTS = 6
TIMEOUT_S = (5.0, 15.0)
FIRST_PAUSE_S = 0.4
LONGEST_PAUSE_S = 60.0
_RETRIED = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class ServiceResponse:
    """What a service answered: status, media type without parameters, body."""

    status: int
    media_type: str
    body: bytes


class RefusedError(Exception):
    """An answer is not what was asked for.

    Parameters
    ----------
    reason : str
        Goes into the ledger.
    passing : bool
        Whether the same request may succeed later.
    """

    def __init__(self, reason: str, *, passing: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing


@dataclass(frozen=True)
class FetchResult:
    """How a request ended: a checked answer, or the reason why there is none."""

    answer: ServiceResponse | None
    reason: str | None
    passing: bool
    attempts: int


class Fetcher:
    """Sends requests through one pooled session; safe to use from several threads.

    Parameters
    ----------
    budget : RateBudget
        Shared send times of the host.
    connections : int
        Requests under way at once, whatever the number of threads.
    timeout_s : (float, float)
        Longest wait to connect, and between two pieces of an answer.
    """

    def __init__(
        self,
        budget: RateBudget,
        connections: int,
        timeout_s: tuple[float, float] = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.budget, self.timeout_s, self.sleep = budget, timeout_s, sleep
        # A connection must not wait while the thread that used it decodes and stores: more threads than slots.
        self._slots = threading.BoundedSemaphore(connections)
        self.session = requests.Session()
        self.session.headers["User-Agent"] = USER_AGENT
        self.session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=connections))
        self.session.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=connections))

    def fetch(self, url: str, parameters: dict[str, str], check: Callable[[ServiceResponse], None]) -> FetchResult:
        """Ask until `check` accepts an answer, the fault is for good, or the attempts are used up."""
        reason = "not_asked"
        for attempt in range(1, MAX_ATTEMPTS + 1):
            pause = backoff_s(attempt)
            self.budget.wait()
            try:
                answer, retry_after = self._send(url, parameters)
                check(answer)
                return FetchResult(answer, None, False, attempt)
            except RefusedError as refusal:
                reason = refusal.reason
                if not refusal.passing:
                    return FetchResult(None, reason, False, attempt)
                pause = max(pause, retry_after)
            except requests.Timeout:
                reason = "timeout"
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                reason = "connection_lost"
            if attempt < MAX_ATTEMPTS:
                self.sleep(pause)
        return FetchResult(None, reason, True, MAX_ATTEMPTS)

    def close(self) -> None:
        """Close the pooled connections."""
        self.session.close()

    def _send(self, url: str, parameters: dict[str, str]) -> tuple[ServiceResponse, float]:
        """Send one request; return its answer and the seconds that ``Retry-After`` asks for."""
        with self._slots:
            response = self.session.get(url, params=parameters, timeout=self.timeout_s, allow_redirects=True)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return ServiceResponse(response.status_code, media_type, response.content), retry_after_s(
            response.headers.get("Retry-After")
        )


def refuse_status(answer: ServiceResponse) -> None:
    """Raise `RefusedError` unless the status is 200; 429, time-outs and 5xx may pass, others are for good."""
    if answer.status != 200:
        raise RefusedError(f"http_{answer.status}", passing=answer.status in _RETRIED)


def backoff_s(attempt: int) -> float:
    """Return the pause after the given attempt: doubling, with full jitter in its upper half."""
    return min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)


def retry_after_s(header: str | None) -> float:
    """Return the seconds of a ``Retry-After`` header (a number or a date), at most `LONGEST_PAUSE_S`."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE_S)


def download(url: str, target: Path, sha256: str | None = None) -> Path:
    """Download a file, going on where an earlier try stopped, and check its digest where one is known.

    Raises
    ------
    ValueError
        The digest differs; the file is removed.
    requests.RequestException
        The service does not give the file after `MAX_ATTEMPTS` tries.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            _download_rest(url, partial)
            break
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if attempt == MAX_ATTEMPTS:
                raise
            time.sleep(backoff_s(attempt))
    if sha256 is not None:
        with partial.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != sha256:
            partial.unlink()
            raise ValueError(f"{urlsplit(url).path.rsplit('/', 1)[-1]} has sha256 {found}, expected {sha256}")
    return partial.replace(target)


def _download_rest(url: str, partial: Path) -> None:
    """Append what is missing of a file, or begin again where the service cannot go on."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": USER_AGENT} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:
            return
        response.raise_for_status()
        with partial.open("ab" if response.status_code == 206 else "wb") as stream:
            # Small pieces: what was read of a piece is lost when the connection breaks in it.
            for piece in response.iter_content(1 << 14):
                stream.write(piece)
