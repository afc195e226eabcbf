"""`starloom serve-sky`: a stand-in for the cutout services on loopback, with latency and faults on demand.

Heavy imports happen when serving starts: the command's help must not wait for NumPy.
"""

import argparse
import contextlib
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from tasks.skyserver.images import Pictures
    from tasks.skyserver.protocols import CutoutReply

DEFAULT_FAULTS = ("unavailable", "truncated", "slow", "reset")
FAULTS = (*DEFAULT_FAULTS, "black")
SLOW_S = 30.0
STATS_PATH = "/stats"
READY_S = 60.0
_IDLE_CONNECTION_S = 120.0
_PARENT_CHECK_S = 0.5
_MOST_REPEATED_LISTED = 1000


@dataclass(frozen=True)
class Behaviour:
    """How the service treats requests.

    Attributes
    ----------
    latency_s : float
        Every answer takes at least so long.
    fail_rate : float
        Share of requests that meet a fault.
    faults : tuple of str
        Kinds of fault, met in equal parts.
    seed : int
        Draws which request meets which fault.
    slow_s : float
        How long a slow answer takes.
    black_outside : bool
        Outside the footprint answer 200 and a black picture instead of 404.
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
    """Counts of what was asked and how it went; draws the faults. Safe for threads."""

    behaviour: Behaviour
    paths: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    positions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(self.behaviour.seed)

    def draw_fault(self, path: str) -> str | None:
        """Count a request and return the kind of fault it meets."""
        with self._lock:
            self.paths[path] += 1
            chance, kind = self._random.random(), self._random.choice(self.behaviour.faults)
            if chance >= self.behaviour.fail_rate:
                return None
            self.faults[kind] += 1
            return kind

    def count_answer(self, status: int, position: tuple[float, float] | None) -> None:
        """Count an answer."""
        with self._lock:
            self.statuses[str(status)] += 1
            if position is not None:
                self.positions[f"{position[0]:.5f},{position[1]:.5f}"] += 1

    def report(self) -> dict[str, Any]:
        """Return all counts; ``repeated`` has the positions asked more than once (the most frequent ones)."""
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
    """The service, in this process; a context manager that answers until its block ends.

    Parameters
    ----------
    pictures : Pictures
    behaviour : Behaviour
    port : int
        0 takes a free one.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, pictures: "Pictures", behaviour: Behaviour | None = None, port: int = 0) -> None:
        self.pictures = pictures
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
        # A short poll lets the end of the block, not its beginning, wait little.
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in one line what went wrong; clients that hang up are everyday life."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"serve-sky: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests, one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_CONNECTION_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a request."""
        from tasks.skyserver.protocols import CutoutReply, answer, black, unavailable

        began = time.monotonic()
        server = cast(SkyServer, self.server)
        address = urlsplit(self.path)
        if address.path == STATS_PATH:
            self._send(CutoutReply(200, "OK", "application/json", json.dumps(server.tally.report()).encode()))
            return
        fault = server.tally.draw_fault(address.path)
        query = {name.lower(): value for name, value in parse_qsl(address.query)}
        reply = answer(address.path, query, server.pictures, server.behaviour.black_outside)
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
        """Send head and body in one packet train; with `half`, hang up in the middle of the body."""
        head = (
            f"HTTP/1.1 {reply.status} {reply.reason}\r\nServer: starloom\r\n"
            f"Content-Type: {reply.media_type}\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        )
        body = reply.body[: len(reply.body) // 2] if half else reply.body
        self.close_connection = self.close_connection or half
        self.wfile.write(head.encode("latin-1") + body)

    def _reset(self) -> None:
        """End the connection by a reset, not by an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep silent: `/stats` has the counts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `starloom serve-sky`."""
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="least time of an answer")
    parser.add_argument("--fail-rate", type=float, default=0.0, help="share of requests that meet a fault")
    parser.add_argument(
        "--faults", default=",".join(DEFAULT_FAULTS), help=f"kinds in equal parts, of {', '.join(FAULTS)}"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the faults")
    parser.add_argument("--images", type=Path, metavar="DIR", help="replay these JPEGs instead of rendering")
    parser.add_argument("--positions", type=Path, metavar="CSV", help="their places: file, ra_deg, dec_deg")
    parser.add_argument("--outside", choices=("404", "black"), default="404", help="answer outside the footprint")
    parser.add_argument("--sky-seed", type=int, default=0, help="which synthetic sky")
    parser.add_argument("--sky-count", type=int, help="galaxies of the synthetic sky")
    parser.add_argument("--quality", type=int, default=90, help="of rendered JPEGs, 1 to 95")
    parser.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Serve until told to end; return the exit code."""
    try:
        server = SkyServer(_pictures(options), _behaviour(options), options.port)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    try:
        with server:
            print(json.dumps({"url": server.url}), flush=True)
            # The first request should not wait for the renderer's imports.
            threading.Thread(target=server.pictures.prepare, daemon=True).start()
            _wait_for_end(options.end_with_parent)
    except KeyboardInterrupt:
        return 130
    return 0


def _behaviour(options: argparse.Namespace) -> Behaviour:
    faults = tuple(kind.strip() for kind in options.faults.split(","))
    outside = options.outside == "black"
    return Behaviour(options.latency_ms / 1000, options.fail_rate, faults, options.seed, black_outside=outside)


def _pictures(options: argparse.Namespace) -> "Pictures":
    from galaxy.simulation.synthetic_sky import SKY_COUNT
    from tasks.skyserver.images import RenderedSky, ReplayedFiles

    if (options.images is None) != (options.positions is None):
        raise ValueError("--images and --positions belong together: a folder of JPEGs and the CSV of their places")
    if options.images is not None:
        return ReplayedFiles(options.images, options.positions)
    return RenderedSky(options.sky_count or SKY_COUNT, options.sky_seed, options.quality)


def _wait_for_end(with_parent: bool) -> None:
    """Wait for ever, or until the parent closes the pipe at our standard input or is gone."""
    parent = os.getppid()
    if not with_parent:
        threading.Event().wait()
    # A forked child of the parent may keep the pipe open, so the parent's own end is watched too.
    while os.getppid() == parent and not select.select([sys.stdin], [], [], _PARENT_CHECK_S)[0]:
        pass


@contextlib.contextmanager
def sky_process(seed: int = 0, count: int | None = None, arguments: Sequence[str] = ()) -> Iterator[str]:
    """Run the service as a process of its own for the time of the block, and give its address.

    It ends with the block, and with this process however that ends.

    Parameters
    ----------
    seed, count : int
        Which synthetic sky.
    arguments : sequence of str
        More options of `starloom serve-sky`.
    """
    command = [sys.executable, "-m", "tasks.skyserver.app", "--end-with-parent", "--sky-seed", str(seed)]
    command += ["--sky-count", str(count)] if count is not None else []
    process = subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield _announced_url(process)
    finally:
        process.terminate()
        with process:
            pass


def _announced_url(process: "subprocess.Popen[str]") -> str:
    output = cast(Any, process.stdout)
    ready = select.select([output], [], [], READY_S)[0]
    line = output.readline() if ready else ""
    if not line:
        raise RuntimeError(f"serve-sky did not come up (exit code {process.poll()}); its own words stand above")
    return cast(str, json.loads(line)["url"])


def _main() -> int:
    # A shell's background process starts with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="starloom serve-sky", description="The stand-in cutout service.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(_main())
