"""The HTTP server of the simulated cutout services: latency, faults and statistics.

The protocols are in `tasks.skyserver.protocols`, imported with the first request: the command's help must not wait for
NumPy.
"""

import json
import os
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from tasks.skyserver.images import CutoutSource
    from tasks.skyserver.protocols import CutoutReply

DEFAULT_FAULTS = ("unavailable", "truncated", "slow", "reset")
FAULTS = (*DEFAULT_FAULTS, "black")
SLOW_S = 30.0
STATS_PATH = "/stats"
_IDLE_CONNECTION_S = 120.0
_MOST_REPEATED_LISTED = 1000


@dataclass(frozen=True)
class Behaviour:
    """How the service treats requests.

    Attributes
    ----------
    latency_s : float
        Shortest time of an answer.
    fail_rate : float
        Fraction of requests that fail.
    faults : tuple of str
        Kinds of fault, equally frequent.
    seed : int
        Seed of the faults.
    slow_s : float
        Time of a slow answer.
    black_outside : bool
        Outside the footprint, answer 200 and a black image instead of 404.
    """

    latency_s: float = 0.0
    fail_rate: float = 0.0
    faults: tuple[str, ...] = DEFAULT_FAULTS
    seed: int = 0
    slow_s: float = SLOW_S
    black_outside: bool = False

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.faults if kind not in FAULTS]
        if unknown or not self.faults:
            raise ValueError(f"faults={','.join(self.faults)!r}: choose from {', '.join(FAULTS)}")
        if not 0 <= self.fail_rate <= 1:
            raise ValueError(f"fail_rate={self.fail_rate} is not between 0 and 1")
        if self.latency_s < 0:
            raise ValueError(f"latency_s={self.latency_s} is negative")


@dataclass
class Tally:
    """Counts requests and answers, and draws the faults; thread-safe."""

    behaviour: Behaviour
    paths: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    positions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(self.behaviour.seed)

    def draw_fault(self, path: str) -> str | None:
        """Count a request; return the kind of fault to answer with, or None."""
        with self._lock:
            self.paths[path] += 1
            draw, kind = self._random.random(), self._random.choice(self.behaviour.faults)
            if draw >= self.behaviour.fail_rate:
                return None
            self.faults[kind] += 1
            return kind

    def count_answer(self, status: int, position: tuple[float, float] | None) -> None:
        """Count an answer by status and position (ra, dec in degrees)."""
        with self._lock:
            self.statuses[str(status)] += 1
            if position is not None:
                self.positions[f"{position[0]:.5f},{position[1]:.5f}"] += 1

    def report(self) -> dict[str, Any]:
        """Return all counts; ``repeated`` holds the most frequent of the positions requested more than once."""
        with self._lock:
            repeated = {place: count for place, count in self.positions.most_common() if count > 1}
            return {
                "requests": self.paths.total(),
                "paths": dict(self.paths),
                "statuses": dict(self.statuses),
                "faults": dict(self.faults),
                "positions": len(self.positions),
                "repeats": sum(repeated.values()) - len(repeated),
                "repeated": dict(list(repeated.items())[:_MOST_REPEATED_LISTED]),
            }


class SkyServer(ThreadingHTTPServer):
    """The service in this process; a context manager that answers until the end of its block.

    Parameters
    ----------
    images : CutoutSource
    behaviour : Behaviour
    port : int
        0: any free port.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, images: "CutoutSource", behaviour: Behaviour | None = None, port: int = 0) -> None:
        self.images = images
        self.behaviour = behaviour or Behaviour()
        self.tally = Tally(self.behaviour)
        self.stopping = threading.Event()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise OSError(f"port {port} of 127.0.0.1 cannot be taken: {error.strerror}") from error

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "SkyServer":
        # A short poll interval makes the end of the block quick.
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write one line about an error; disconnected clients are normal and ignored."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            sys.stderr.write(f"serve-sky: {type(error).__name__}: {error}\n")


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection in order."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_CONNECTION_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a request, with a fault if one is drawn."""
        from tasks.skyserver.protocols import CutoutReply, answer, black, unavailable

        began = time.monotonic()
        server = cast(SkyServer, self.server)
        address = urlsplit(self.path)
        if address.path == STATS_PATH:
            self._send(CutoutReply(200, "OK", "application/json", json.dumps(server.tally.report()).encode()))
            return
        fault = server.tally.draw_fault(address.path)
        query = {name.lower(): value for name, value in parse_qsl(address.query)}
        reply = answer(address.path, query, server.images, server.behaviour.black_outside)
        server.tally.count_answer(reply.status, reply.position)
        if fault == "unavailable":
            reply = unavailable()
        elif fault == "black":
            reply = black(reply.position)
        wait_s = server.behaviour.slow_s if fault == "slow" else server.behaviour.latency_s
        server.stopping.wait(max(0.0, began + wait_s - time.monotonic()))
        if fault == "reset":
            self._reset()
        else:
            self._send(reply, half=fault == "truncated")

    def _send(self, reply: "CutoutReply", half: bool = False) -> None:
        """Send head and body in one write; with `half`, close the connection after half of the body."""
        head = (
            f"HTTP/1.1 {reply.status} {reply.reason}\r\nServer: starloom\r\n"
            f"Content-Type: {reply.media_type}\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        )
        body = reply.body[: len(reply.body) // 2] if half else reply.body
        self.close_connection = self.close_connection or half
        self.wfile.write(head.encode("latin-1") + body)

    def _reset(self) -> None:
        """Close the connection by a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: `/stats` has the counts."""
