"""`starloom serve-sky`: simulated cutout services on loopback; as a command and as a child process.

Heavy modules are imported when serving starts: the command's help must not wait for NumPy.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tasks.runtime.json_lines import tell_error
from tasks.skyserver.http_server import DEFAULT_FAULTS, FAULTS, Behaviour, SkyServer

if TYPE_CHECKING:
    from tasks.skyserver.images import CutoutSource

READY_S = 60.0
_PARENT_CHECK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `starloom serve-sky`."""
    parser.add_argument("--port", type=int, default=0, help="port; 0 (default) takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="shortest time of an answer")
    parser.add_argument("--fail-rate", type=float, default=0.0, help="fraction of requests that fail")
    parser.add_argument("--faults", default=",".join(DEFAULT_FAULTS), help=f"kinds of fault, of {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    parser.add_argument("--images", type=Path, metavar="DIR", help="replay these JPEGs instead of rendering")
    parser.add_argument("--positions", type=Path, metavar="CSV", help="their positions: file, ra_deg, dec_deg")
    parser.add_argument("--outside", choices=("404", "black"), default="404", help="answer outside the footprint")
    parser.add_argument("--sky-seed", type=int, default=0, help="seed of the synthetic sky")
    parser.add_argument("--sky-count", type=int, help="number of galaxies of the synthetic sky")
    parser.add_argument("--quality", type=int, default=90, help="JPEG quality of rendered images, 1 to 95")
    parser.add_argument("--end-with-parent", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; return the exit code, 2 for options that contradict each other."""
    try:
        server = SkyServer(_open_source(options), _behaviour(options), options.port)
    except (ValueError, OSError) as error:
        tell_error(str(error))
        return 2 if isinstance(error, ValueError) else 1
    try:
        with server:
            sys.stdout.write(json.dumps({"url": server.url}) + "\n")
            sys.stdout.flush()
            # The first request should not wait for the renderer's imports.
            threading.Thread(target=server.images.prepare, daemon=True).start()
            _wait_for_end(options.end_with_parent)
    except KeyboardInterrupt:
        return 130
    return 0


def _behaviour(options: argparse.Namespace) -> Behaviour:
    faults = tuple(kind.strip() for kind in options.faults.split(","))
    outside = options.outside == "black"
    return Behaviour(options.latency_ms / 1000, options.fail_rate, faults, options.seed, black_outside=outside)


def _open_source(options: argparse.Namespace) -> "CutoutSource":
    from galaxy.simulation.synthetic_sky import SKY_COUNT
    from tasks.skyserver.images import RenderedSky, ReplayedFiles

    if (options.images is None) != (options.positions is None):
        raise ValueError("--images and --positions belong together: a folder of JPEGs and the CSV of their positions")
    if options.images is not None:
        return ReplayedFiles(options.images, options.positions)
    return RenderedSky(options.sky_count or SKY_COUNT, options.sky_seed, options.quality)


def _wait_for_end(with_parent: bool) -> None:
    """Wait for ever; `with_parent`, until the parent process ends or closes the pipe to our standard input."""
    parent = os.getppid()
    if not with_parent:
        threading.Event().wait()
    # A forked child of the parent may keep the pipe open, so the parent process is watched too.
    while os.getppid() == parent and not select.select([sys.stdin], [], [], _PARENT_CHECK_S)[0]:
        pass


@contextlib.contextmanager
def sky_process(seed: int = 0, count: int | None = None, arguments: Sequence[str] = ()) -> Iterator[str]:
    """Run the service as a child process during the block and yield its URL.

    It ends with the block, and with this process however that ends.

    Parameters
    ----------
    seed, count : int
        Seed and number of galaxies of the synthetic sky.
    arguments : sequence of str
        Further options of `starloom serve-sky`.
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
        raise RuntimeError(f"serve-sky did not start (exit code {process.poll()}); see its messages above")
    return cast(str, json.loads(line)["url"])


def _main() -> int:
    # A shell starts background processes with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="starloom serve-sky", description="Run the simulated cutout service.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(_main())
