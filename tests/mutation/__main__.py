"""`python -m tests.mutation [PATH ...]`: mutate modules and count the mutants that their direct tests kill.

The direct tests of ``tasks/store/pixels.py`` are the test files in ``tests/test_tasks/store/`` that import it by name.
Results are appended to a file: a stopped run resumes, and a module is tested again once it or its tests have changed.
`reasons.toml` holds the reasons of accepted survivors, such as equivalent mutants.
"""

import argparse
import ast
import hashlib
import json
import signal
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from tests.mutation.mutants import Mutant, sample_mutants
from tests.mutation.trials import Copy

CHECKOUT = Path(__file__).resolve().parents[2]
PATHS = (
    *("tasks/store", "tasks/learning", "tasks/night", "tasks/past_nights", "galaxy/catalogue", "galaxy/labels"),
    *("realbogus/injection", "realbogus/subtraction", "realbogus/stamps.py", "realbogus/models/losses.py"),
)
LEAST_KILLED = 0.85

Result = dict[str, Any]
"""One mutant: ``module``, ``line``, ``before``, ``after``, ``outcome``, ``seconds``, and its ``key``."""


def main() -> int:
    """Test the mutants and print the table; return 1 where too few are killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("paths", nargs="*", metavar="PATH", help=f"a module or a folder of them: {', '.join(PATHS)}")
    parser.add_argument("--count", type=int, default=5, help="mutants per module (default 5)")
    parser.add_argument("--seed", default="0", help="seed of the sample")
    parser.add_argument("--out", type=Path, default=Path("workspace") / "mutation.jsonl")
    options = parser.parse_args()
    try:
        modules = [module for path in options.paths or PATHS for module in _modules(path)]
    except FileNotFoundError as error:
        parser.error(str(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="starloom-mutation-") as folder:
        copy = Copy(CHECKOUT, Path(folder))
        results = {module: list(_results(copy, module, options)) for module in modules}
    _show(results)
    every = [result for of_module in results.values() for result in of_module]
    return int(sum(map(_is_killed, every)) < LEAST_KILLED * len(every))


def _modules(path: str) -> list[str]:
    """Return the paths of a folder's modules, or of one module, relative to the checkout."""
    place = CHECKOUT / path
    if not place.exists():
        raise FileNotFoundError(f"{CHECKOUT} holds no {path}")
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return [str(file.relative_to(CHECKOUT)) for file in files]


def _results(copy: Copy, module: str, options: argparse.Namespace) -> Iterator[Result]:
    """Yield the results of a module's mutants, from the file of results where they are there."""
    source = (CHECKOUT / module).read_text(encoding="utf-8")
    tests = direct_tests(CHECKOUT, module)
    texts = [source, *((CHECKOUT / test).read_text(encoding="utf-8") for test in tests)]
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    recorded = {result["key"]: result for result in map(json.loads, lines)}
    for mutant in sample_mutants(source, options.count, f"{options.seed} {module}"):
        key = f"{module} {mutant.name} {digest}"
        if key not in recorded:
            recorded[key] = _test(copy, module, mutant, tests) | {"key": key}
            with options.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(recorded[key]) + "\n")
        yield recorded[key]


def _test(copy: Copy, module: str, mutant: Mutant, tests: Sequence[str]) -> Result:
    result = {"module": module, "line": mutant.line, "before": mutant.before, "after": mutant.after}
    if not tests:
        return result | {"outcome": "no tests", "seconds": 0.0}
    trial = copy.try_mutant(module, mutant.code, tests)
    outcome = {0: "survived", None: "timeout"}.get(trial.code, "killed")
    print(f"{module}:{mutant.line} {mutant.name} {outcome} {trial.seconds:.1f} s", file=sys.stderr, flush=True)
    return result | {"outcome": outcome, "seconds": round(trial.seconds, 2)}


def direct_tests(root: Path, module: str) -> list[str]:
    """Return the direct test files of a module, relative to `root`."""
    package, *folders, _ = Path(module).parts
    name = ".".join(Path(module).with_suffix("").parts)
    files = sorted(Path(root, "tests", f"test_{package}", *folders).glob("test_*.py"))
    return [file.relative_to(root).as_posix() for file in files if name in _imported_names(file)]


def _imported_names(path: Path) -> set[str]:
    """Return the dotted names that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=str(origin), names=aliases, level=0):
                names |= {origin, *(f"{origin}.{alias.name}" for alias in aliases)}
    return names


def _is_killed(result: Result) -> bool:
    return result["outcome"] in ("killed", "timeout")


def _show(results: dict[str, list[Result]]) -> None:
    console = Console(soft_wrap=True)
    table = Table(Column("module", overflow="fold"), "mutants", "killed", "timeouts", "share", "s per mutant")
    rows = {module: of_module for module, of_module in results.items() if of_module}
    every = [result for of_module in rows.values() for result in of_module]
    for name, of_row in (rows | {"all": every}).items():
        killed = sum(map(_is_killed, of_row))
        timeouts = sum(result["outcome"] == "timeout" for result in of_row)
        seconds = sum(result["seconds"] for result in of_row) / max(len(of_row), 1)
        share = f"{killed / len(of_row):.0%}" if of_row else ""
        table.add_row(name, f"{len(of_row)}", f"{killed}", f"{timeouts}", share, f"{seconds:.1f}")
    console.print(table)
    reasons = tomllib.loads((Path(__file__).parent / "reasons.toml").read_text(encoding="utf-8"))
    for result in every:
        if not _is_killed(result):
            change = f"- {result['before']}\n+ {result['after']}"
            console.print(escape(f"\n{result['module']}:{result['line']} {_reason(result, reasons)}\n{change}"))


def _reason(result: Result, reasons: dict[str, Any]) -> str:
    if result["outcome"] == "no tests":
        return "has no direct tests"
    for accepted in reasons.get(result["module"], ()):
        if (result["before"], result["after"]) == (accepted["-"], accepted["+"]):
            return str(accepted["reason"])
    return "survived, no reason given"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; run the same command again to resume")
