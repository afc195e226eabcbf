"""The HTTP client: what is retried and after which pause, and downloads that resume."""

import contextlib
import gzip
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tasks.http.client import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_ATTEMPTS,
    MOST_REDIRECTS,
    BodyLimit,
    Fetcher,
    ServiceResponse,
    backoff_s,
    download,
    refuse_status,
    retry_after_s,
)
from tasks.http.rate_budget import RateBudget
from tasks.http.refusals import RefusedError

LIMIT = BodyLimit(60_000, "too_large:over_60000_bytes")


class Script(BaseHTTPRequestHandler):
    """Answers /NAME with the next of the statuses scripted for it.

    /file honours Range but breaks off in its middle when it is sent from the start; /whole ignores Range. /endless
    sends until the client goes, /zeros a gzip file of which 1 kB makes 1 MB; both note what they sent. /to/N leads to
    /to/N-1, with an endless body, and /to/0 to /x.
    """

    scripts: ClassVar[dict[str, list[int]]] = {}
    seen: ClassVar[list[str]] = []
    content = bytes(range(256)) * 200
    sent = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.seen.append(self.headers.get("User-Agent", "") + " " + self.headers.get("Range", ""))
        if path == "/file":
            self.send_file()
            return
        if path == "/whole":
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content)))
            self.end_headers()
            self.wfile.write(self.content)
            return
        if path in ("/endless", "/zeros") or path.startswith("/to/"):
            self.send_without_end(path)
            return
        left = self.scripts[path]
        status = left.pop(0) if len(left) > 1 else left[0]
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def send_without_end(self, path: str) -> None:
        self.send_response(302 if path.startswith("/to/") else 200)
        if path.startswith("/to/"):
            left = int(path[4:])
            self.send_header("Location", f"/to/{left - 1}" if left else "/x")
        piece = bytes(1 << 16)
        if path == "/zeros":
            self.send_header("Content-Encoding", "gzip")
            piece = gzip.compress(bytes(1 << 20))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client went away
            while True:
                type(self).sent += self.wfile.write(piece)

    def send_file(self) -> None:
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        rest = self.content[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if start else rest[: len(rest) // 2])
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Script.seen, Script.sent = [], 0
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("statuses", "reason", "attempts"),
    [
        ([200], None, 1),
        ([503, 500, 200], None, 3),
        ([404], "http_404", 1),
        ([400], "http_400", 1),
        ([503], "http_503", MAX_ATTEMPTS),
    ],
)
def test_what_passes_is_asked_again_and_what_is_for_good_is_not(
    address: str, tmp_path: Path, statuses: list[int], reason: str | None, attempts: int
) -> None:
    Script.scripts = {"/x": list(statuses)}
    pauses: list[float] = []
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2, sleep=pauses.append)
    outcome = fetcher.fetch(f"{address}/x", {"a": "1"}, refuse_status, LIMIT)
    fetcher.close()
    assert (outcome.reason, outcome.attempts) == (reason, attempts)
    assert len(Script.seen) == attempts
    assert all(agent.startswith("starloom/") for agent in Script.seen)
    assert len(pauses) == attempts - 1
    assert outcome.transient == (reason == "http_503")


def test_retry_after_is_honoured(address: str, tmp_path: Path) -> None:
    Script.scripts = {"/x": [429, 200]}
    pauses: list[float] = []
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2, sleep=pauses.append)
    assert fetcher.fetch(f"{address}/x", {}, refuse_status, LIMIT).reason is None
    fetcher.close()
    assert pauses == [7.0]


def test_the_check_of_the_body_may_refuse_an_answer_with_status_200(address: str, tmp_path: Path) -> None:
    Script.scripts = {"/x": [200]}

    def refuse(answer: ServiceResponse) -> None:
        raise RefusedError("truncated")

    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2, sleep=lambda pause: None)
    outcome = fetcher.fetch(f"{address}/x", {}, refuse, LIMIT)
    fetcher.close()
    assert (outcome.reason, outcome.transient, outcome.attempts) == ("truncated", True, MAX_ATTEMPTS)


def test_retry_after_reads_numbers_and_dates() -> None:
    assert retry_after_s("3") == 3.0
    assert retry_after_s("-3") == 0.0
    assert retry_after_s("60") == 60.0
    assert retry_after_s("61") == LONGEST_PAUSE_S == 60.0
    assert retry_after_s("") == 0.0
    assert retry_after_s("Fri, 01 Jan 2038 00:00:00 GMT") == 60.0
    assert retry_after_s("soon") == 0.0
    assert retry_after_s(None) == 0.0


def test_retry_after_as_a_date_counts_from_the_present_time() -> None:
    at_noon = 1_767_268_800.0  # 2026-01-01 12:00:00 UTC
    assert retry_after_s("Thu, 01 Jan 2026 12:00:25 GMT", lambda: at_noon) == 25.0
    assert retry_after_s("Thu, 01 Jan 2026 11:59:00 GMT", lambda: at_noon) == 0.0


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 0.4), (2, 0.8), (3, 1.6), (6, 12.8), (8, 51.2), (9, 60.0), (20, 60.0)]
)
def test_the_pause_doubles_up_to_a_minute_and_its_upper_half_is_drawn(attempt: int, longest: float) -> None:
    assert backoff_s(attempt, lambda: 0.0) == pytest.approx(longest / 2, rel=1e-12)
    assert backoff_s(attempt, lambda: 0.5) == pytest.approx(0.75 * longest, rel=1e-12)
    assert backoff_s(attempt, lambda: 1.0) == pytest.approx(longest, rel=1e-12)
    drawn = {backoff_s(attempt) for _ in range(20)}
    assert len(drawn) > 1
    assert all(longest / 2 <= pause <= longest for pause in drawn)


def test_the_pauses_between_attempts_follow_the_backoff(address: str, tmp_path: Path) -> None:
    Script.scripts = {"/x": [503]}
    pauses: list[float] = []
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2, sleep=pauses.append)
    fetcher.fetch(f"{address}/x", {}, refuse_status, LIMIT)
    fetcher.close()
    longest = [FIRST_PAUSE_S * 2**number for number in range(MAX_ATTEMPTS - 1)]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses, longest, strict=True))


def test_a_service_that_does_not_answer_is_asked_again_and_the_reason_says_so(tmp_path: Path) -> None:
    pauses: list[float] = []
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 1, sleep=pauses.append)
    outcome = fetcher.fetch("http://127.0.0.1:9/x", {}, refuse_status, LIMIT)  # the discard port: nobody listens
    fetcher.close()
    assert (outcome.answer, outcome.reason, outcome.attempts) == (None, "connection_lost", MAX_ATTEMPTS)
    assert outcome.transient
    assert len(pauses) == MAX_ATTEMPTS - 1


@pytest.mark.parametrize("path", ["/endless", "/zeros", "/whole"])
def test_a_body_over_the_limit_is_refused_once_and_not_read_on(address: str, tmp_path: Path, path: str) -> None:
    limit = BodyLimit(50_000, "too_large:over_50000_bytes")
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2)
    tracemalloc.start()
    outcome = fetcher.fetch(f"{address}{path}", {}, refuse_status, limit)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    fetcher.close()
    assert (outcome.answer, outcome.reason, outcome.attempts) == (None, limit.reason, 1)
    assert not outcome.transient
    assert most < 5_000_000
    assert Script.sent < 50_000_000  # what lies in the buffers of the connection


def test_a_body_up_to_the_limit_is_read(address: str, tmp_path: Path) -> None:
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2)
    limit = BodyLimit(len(Script.content), "too_large")
    outcome = fetcher.fetch(f"{address}/whole", {}, refuse_status, limit)
    fetcher.close()
    assert outcome.answer is not None
    assert outcome.answer.body == Script.content


@pytest.mark.parametrize(
    ("path", "reason"), [(f"/to/{MOST_REDIRECTS - 1}", None), (f"/to/{MOST_REDIRECTS}", "redirect_refused")]
)
def test_redirects_are_followed_some_times_and_their_bodies_not_read(
    address: str, tmp_path: Path, path: str, reason: str | None
) -> None:
    Script.scripts = {"/x": [200]}
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2)
    outcome = fetcher.fetch(f"{address}{path}", {}, refuse_status, LIMIT)
    fetcher.close()
    assert (outcome.reason, outcome.attempts) == (reason, 1)
    assert Script.sent < 50_000_000


def test_a_download_goes_on_where_it_broke_off_and_its_digest_is_checked(address: str, tmp_path: Path) -> None:
    target = download(f"{address}/file", tmp_path / "file")
    assert target.read_bytes() == Script.content
    assert any("bytes=" in seen for seen in Script.seen)
    with pytest.raises(ValueError, match="sha256"):
        download(f"{address}/file", tmp_path / "other", sha256="0" * 64)
    assert not (tmp_path / "other").exists()


def test_a_complete_partial_file_is_taken_as_it_is(address: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(Script.content)
    assert download(f"{address}/file", tmp_path / "file").read_bytes() == Script.content
    assert len(Script.seen) == 1


def test_a_service_without_ranges_sends_the_file_anew(address: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"the first bytes")
    assert download(f"{address}/whole", tmp_path / "file").read_bytes() == Script.content


def test_a_file_that_is_there_is_not_requested(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    assert download(f"{address}/file", tmp_path / "file").read_bytes() == b"here"
    assert Script.seen == []
