"""Polite HTTP: what is retried, how long is waited, and one rate for everyone."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.http.client import (
    MAX_ATTEMPTS,
    Fetcher,
    RefusedError,
    ServiceResponse,
    download,
    refuse_status,
    retry_after_s,
)
from tasks.http.rate_budget import RateBudget, is_loopback


class Script(BaseHTTPRequestHandler):
    """Answers /NAME with the next of the statuses scripted for it; /file honours Range but breaks off once."""

    scripts: ClassVar[dict[str, list[int]]] = {}
    seen: ClassVar[list[str]] = []
    content = bytes(range(256)) * 200

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.seen.append(self.headers.get("User-Agent", "") + " " + self.headers.get("Range", ""))
        if path == "/file":
            self.send_file()
            return
        left = self.scripts[path]
        status = left.pop(0) if len(left) > 1 else left[0]
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "7")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def send_file(self) -> None:
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
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
    Script.seen = []
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
    outcome = fetcher.fetch(f"{address}/x", {"a": "1"}, refuse_status)
    fetcher.close()
    assert (outcome.reason, outcome.attempts) == (reason, attempts)
    assert len(Script.seen) == attempts
    assert all(agent.startswith("starloom/") for agent in Script.seen)
    assert len(pauses) == attempts - 1
    assert outcome.passing == (reason == "http_503")


def test_retry_after_is_honoured(address: str, tmp_path: Path) -> None:
    Script.scripts = {"/x": [429, 200]}
    pauses: list[float] = []
    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2, sleep=pauses.append)
    assert fetcher.fetch(f"{address}/x", {}, refuse_status).reason is None
    fetcher.close()
    assert pauses == [7.0]


def test_a_wrong_answer_is_judged_by_the_check(address: str, tmp_path: Path) -> None:
    Script.scripts = {"/x": [200]}

    def refuse(answer: ServiceResponse) -> None:
        raise RefusedError("truncated", passing=True)

    fetcher = Fetcher(RateBudget(tmp_path, "127.0.0.1", None), 2, sleep=lambda pause: None)
    outcome = fetcher.fetch(f"{address}/x", {}, refuse)
    fetcher.close()
    assert (outcome.reason, outcome.passing, outcome.attempts) == ("truncated", True, MAX_ATTEMPTS)


def test_retry_after_reads_numbers_and_dates() -> None:
    assert retry_after_s("3") == 3.0
    assert retry_after_s("Fri, 01 Jan 2038 00:00:00 GMT") == 60.0
    assert retry_after_s("soon") == 0.0
    assert retry_after_s(None) == 0.0


def test_a_download_goes_on_where_it_broke_off_and_its_digest_is_checked(address: str, tmp_path: Path) -> None:
    target = download(f"{address}/file", tmp_path / "file")
    assert target.read_bytes() == Script.content
    assert any("bytes=" in seen for seen in Script.seen)
    with pytest.raises(ValueError, match="sha256"):
        download(f"{address}/file", tmp_path / "other", sha256="0" * 64)
    assert not (tmp_path / "other").exists()


class Clock:
    """A clock that moves only when someone sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.floats(0.5, 50), st.integers(1, 40), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_several_senders_together_keep_one_rate(
    tmp_path_factory: pytest.TempPathFactory, rate: float, requests: int, senders: int
) -> None:
    folder, clock = tmp_path_factory.mktemp("budget"), Clock()
    budgets = [RateBudget(folder, "sky.example", rate, clock, clock.sleep) for _ in range(senders)]
    sent = []
    for number in range(requests):
        budgets[number % senders].wait()
        sent.append(clock.now)
    assert sent[-1] - sent[0] >= (requests - senders) / rate - 1e-6


def test_no_limit_is_for_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_rate_per_s is null"):
        RateBudget(tmp_path, "skyserver.sdss.org", None)
    with pytest.raises(ValueError, match="above 0"):
        RateBudget(tmp_path, "skyserver.sdss.org", 0)
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert not is_loopback("10.0.0.1")
