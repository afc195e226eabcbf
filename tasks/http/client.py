"""A polite HTTP client: pooled connections, one rate, backoff, and a check of every answer.

The retry loop is not urllib3's ``Retry``: that one sees the status only, while a truncated image or an
error page arrives with status 200 and is found by reading the body.
Downloads do not use pooch: its downloaders write to a temporary file and start again after a break,
while `download` asks for the rest by HTTP Range; both check a digest.
"""

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

from tasks.http.faults import is_retried_at_once
from tasks.http.rate_budget import RateBudget
from tasks.http.redirects import REFUSED, redirected
from tasks.http.refusals import RefusedError

USER_AGENT = "starloom/0.1 (astronomical dataset builder; python-requests)"
MAX_ATTEMPTS = 6
TIMEOUT_S = (5.0, 15.0)
FIRST_PAUSE_S = 0.4
LONGEST_PAUSE_S = 60.0
MOST_REDIRECTS = 5
_PIECE_BYTES = 1 << 14


@dataclass(frozen=True)
class ServiceResponse:
    """The response of a service: status, media type without parameters, body."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True)
class BodyLimit:
    """The largest body that is read into memory, and the reason for which a longer one is refused.

    Attributes
    ----------
    most_bytes : int
        After decompression.
    reason : str
    """

    most_bytes: int
    reason: str


@dataclass(frozen=True)
class FetchResult:
    """The outcome of a request.

    Attributes
    ----------
    answer : ServiceResponse or None
        The checked response; None if there is none.
    reason : str or None
        Why there is none.
    attempts : int
        Number of requests sent.
    """

    answer: ServiceResponse | None
    reason: str | None
    attempts: int

    @property
    def transient(self) -> bool:
        """Whether the request failed, and may succeed when it is repeated."""
        return self.reason is not None and is_retried_at_once(self.reason)


class _Session(requests.Session):
    """Takes no response for a redirect: of one, `requests` reads the whole body, even where it shall not follow it."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class Fetcher:
    """Sends requests through one pooled session; safe to use from several threads.

    Parameters
    ----------
    budget : RateBudget
        Shared send times of the host.
    connections : int
        Largest number of requests under way at once, whatever the number of threads.
    timeout_s : (float, float)
        Longest wait to connect, and between two pieces of a response.
    sleep : callable
        Waits the given number of seconds.
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
        self.session = _Session()
        self.session.headers["User-Agent"] = USER_AGENT
        self.session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=connections))
        self.session.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=connections))

    def fetch(
        self, url: str, parameters: dict[str, str], check: Callable[[ServiceResponse], None], limit: BodyLimit
    ) -> FetchResult:
        """Send a request until `check` accepts the response, the fault is final, or `MAX_ATTEMPTS` are used up.

        Parameters
        ----------
        check : callable
            Raises `RefusedError` for a response that is not what was requested.
        limit : BodyLimit
            Of a response with status 200; the body of another is not read.
        """
        reason = ""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            pause, retry_after = backoff_s(attempt), 0.0
            self.budget.wait()
            try:
                answer, retry_after = self._send(url, parameters, limit)
                check(answer)
                return FetchResult(answer, None, attempt)
            except RefusedError as refusal:
                reason = refusal.reason
                pause = max(pause, retry_after)
            except requests.Timeout:
                reason = "timeout"
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                reason = "connection_lost"
            except requests.exceptions.ContentDecodingError:
                reason = "undecodable"
            if not is_retried_at_once(reason):
                return FetchResult(None, reason, attempt)
            if attempt < MAX_ATTEMPTS:
                self.sleep(pause)
        return FetchResult(None, reason, MAX_ATTEMPTS)

    def close(self) -> None:
        """Close the pooled connections."""
        self.session.close()

    def _send(self, url: str, parameters: dict[str, str], limit: BodyLimit) -> tuple[ServiceResponse, float]:
        """Send one request; return the response and the pause that its ``Retry-After`` asks for, in seconds."""
        with self._slots, self._follow(url, parameters) as response:
            body = _read_body(response, limit) if response.status_code == 200 else b""
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return ServiceResponse(response.status_code, media_type, body), retry_after_s(
            response.headers.get("Retry-After")
        )

    def _follow(self, url: str, parameters: dict[str, str]) -> requests.Response:
        """Return the response to a request, after redirects, its body unread."""
        for _ in range(1 + MOST_REDIRECTS):
            response = self.session.get(url, params=parameters, timeout=self.timeout_s, stream=True)
            if not response.is_redirect:
                return response
            response.close()
            url, parameters = redirected(response.url, response.headers["Location"]), {}
        raise RefusedError(REFUSED)


def _read_body(response: requests.Response, limit: BodyLimit) -> bytes:
    """Read the body, and stop where it is longer than the limit, or says that it will be."""
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > limit.most_bytes:
        raise RefusedError(limit.reason)
    body = bytearray()
    for piece in response.iter_content(_PIECE_BYTES):
        body += piece
        if len(body) > limit.most_bytes:
            raise RefusedError(limit.reason)
    return bytes(body)


def refuse_status(answer: ServiceResponse) -> None:
    """Raise `RefusedError` with reason ``http_STATUS`` unless the status is 200."""
    if answer.status != 200:
        raise RefusedError(f"http_{answer.status}")


def backoff_s(attempt: int, draw: Callable[[], float] = random.random) -> float:
    """Return the pause after a failed attempt, in seconds.

    The pause doubles from `FIRST_PAUSE_S` up to `LONGEST_PAUSE_S`, times a factor drawn uniformly from
    0.5 to 1, so that clients that failed together do not return together.

    Parameters
    ----------
    attempt : int
        1 for the first attempt.
    draw : callable
        Returns a uniform number from 0 to 1.
    """
    return min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S) * (1 + draw()) / 2


def retry_after_s(header: str | None, clock: Callable[[], float] = time.time) -> float:
    """Return the seconds of a ``Retry-After`` header (a number or a date), from 0 to `LONGEST_PAUSE_S`.

    A missing or unreadable header gives 0. `clock` returns the wall-clock time in seconds.
    """
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - clock()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE_S)


def download(url: str, target: Path, sha256: str | None = None) -> Path:
    """Download a file unless `target` exists; resume a download that broke off; check the digest if given.

    Raises
    ------
    ValueError
        The digest differs; the file is removed.
    requests.RequestException
        The service does not give the file in `MAX_ATTEMPTS` attempts.
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
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != sha256:
            partial.unlink()
            raise ValueError(f"{urlsplit(url).path.rsplit('/', 1)[-1]} has sha256 {digest}, expected {sha256}")
    return partial.replace(target)


def _download_rest(url: str, partial: Path) -> None:
    """Append the missing bytes of a file; start again where the service knows no HTTP Range."""
    size = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": USER_AGENT} | ({"Range": f"bytes={size}-"} if size else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:
            return
        response.raise_for_status()
        with partial.open("ab" if response.status_code == 206 else "wb") as stream:
            # Small pieces: the bytes of an unfinished piece are lost when the connection breaks.
            for piece in response.iter_content(1 << 14):
                stream.write(piece)
