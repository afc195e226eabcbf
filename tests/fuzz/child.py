"""The process in which parsers are given mutated files, with bounds of memory and of time for each of them.

One line of JSON a finding on stdout: the parser that begins, each defect, and the counts when it ends.
"""

import argparse
import faulthandler
import json
import resource
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import Parser


def main() -> None:
    """Fuzz the named parsers in turn."""
    options = argparse.ArgumentParser()
    options.add_argument("--table", required=True)
    options.add_argument("--inputs", type=int, required=True)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--memory-mib", type=int, required=True)
    options.add_argument("--limit-s", type=float, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("names", nargs="+")
    given_options = options.parse_args()
    parsers: Mapping[str, Parser] = import_module(given_options.table).PARSERS
    warnings.simplefilter("ignore")
    output = sys.stdout
    sys.stdout = sys.stderr
    for name in given_options.names:
        print(json.dumps({"begin": name}), file=output, flush=True)
        for finding in _fuzz(parsers[name], given_options):
            print(json.dumps({"parser": name} | finding), file=output, flush=True)


def _fuzz(parser: Parser, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the defects of a parser, one of a kind and place, then its counts."""
    counts: Counter[str] = Counter()
    defects: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        made = Path(place, "made")
        made.mkdir()
        files = parser.samples(made)
        for name, body in files.items():
            Path(place, name).write_bytes(body)
            parser.read(Path(place, name))  # what is whole is read; it also imports what is needed
        _bound_memory(options.memory_mib << 20)

        @seed(options.seed)
        @settings(
            max_examples=options.inputs,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(mutated(list(files.values())))
        def read_one(drawn: tuple[int, bytes]) -> None:
            number, body = drawn
            path = Path(place, list(files)[number])
            path.write_bytes(body)
            (options.out / f"{parser.name}-current").write_bytes(body)
            faulthandler.dump_traceback_later(options.limit_s, exit=True)
            try:
                parser.read(path)
                counts["parsed"] += 1
            except Exception as error:
                if isinstance(error, parser.refusals()) and not _for_memory(error):
                    counts["refused"] += 1
                else:
                    kind = _kind(error)
                    if kind not in defects:
                        kept = options.out / f"{parser.name}-{len(defects)}-{path.name}"
                        kept.write_bytes(body)
                        defects[kind] = {"defect": f"{kind}: {str(error)[:200]}", "file": str(kept)}
                    counts["defects"] += 1
            finally:
                faulthandler.cancel_dump_traceback_later()
            counts["inputs"] += 1

        read_one()
    yield from defects.values()
    yield {"counts": dict(counts)}


def _bound_memory(more: int) -> None:
    """Allow this process so many bytes of address space beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, resource.RLIM_INFINITY))


def _for_memory(error: BaseException | None) -> bool:
    """Return whether an error is, or stands for, one of too little memory: a parser asked for more than it may."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _kind(error: Exception) -> str:
    """Return the type of an error and the last place in our own code."""
    root = Path(__file__).parents[2]
    own = [
        f"{Path(frame.filename).relative_to(root)}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename
    ]
    return f"{'memory' if _for_memory(error) else type(error).__name__} in {own[-1]}"


if __name__ == "__main__":
    main()
