"""Fuzzing of the parsers: starts the child process, goes on after a file that hangs, and counts."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TABLE = "tests.fuzz.parsers"
MEMORY_MIB, LIMIT_S = 512, 20.0
"""What one file may take beyond the process with its libraries, and for how long."""


@dataclass
class Outcome:
    """What became of a parser's inputs.

    Attributes
    ----------
    parser : str
    inputs, refused, parsed : int
    defects : list of dict
        ``defect`` (what and where) and ``file`` (the input), one of a kind.
    """

    parser: str
    inputs: int = 0
    refused: int = 0
    parsed: int = 0
    defects: list[dict[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.parser}: inputs {self.inputs}, refused {self.refused}, parsed {self.parsed}, defects {self.defects}"
        )


def fuzz(
    inputs: int,
    seed: int,
    out: Path,
    names: Sequence[str] = (),
    *,
    table: str = TABLE,
    memory_mib: int = MEMORY_MIB,
    limit_s: float = LIMIT_S,
) -> list[Outcome]:
    """Give every parser so many mutated files.

    Parameters
    ----------
    inputs : int
        For each parser.
    seed : int
    out : Path
        Folder that gets the files which found a defect.
    names : sequence of str
        Parsers; empty: all.
    table : str
        Module whose ``PARSERS`` they are.
    memory_mib : int
        Address space that a process may take beyond what it has when it begins.
    limit_s : float
        For one file.
    """
    from importlib import import_module

    out.mkdir(parents=True, exist_ok=True)
    left = list(names or import_module(table).PARSERS)
    outcomes = {name: Outcome(name) for name in left}
    while left:
        words = [sys.executable, "-m", "tests.fuzz.child", "--table", table, "--inputs", str(inputs)]
        words += ["--seed", str(seed), "--memory-mib", str(memory_mib), "--limit-s", str(limit_s), "--out", str(out)]
        child = subprocess.run([*words, *left], capture_output=True, text=True)
        for line in child.stdout.splitlines():
            _note(outcomes, left, json.loads(line))
        if left:  # the child ended before its time, in the first of them
            name = left.pop(0)
            stuck = out / f"{name}-stuck"
            (out / f"{name}-current").rename(stuck) if (out / f"{name}-current").exists() else stuck.touch()
            why = f"no end within {limit_s:g} s" if "Timeout" in child.stderr else f"ended with code {child.returncode}"
            outcomes[name].defects.append({"defect": f"{why}: {child.stderr[-400:]}", "file": str(stuck)})
    for current in out.glob("*-current"):
        current.unlink()
    return list(outcomes.values())


def _note(outcomes: dict[str, Outcome], left: list[str], told: dict) -> None:
    if "defect" in told:
        outcomes[told["parser"]].defects.append({"defect": told["defect"], "file": told["file"]})
    elif "counts" in told:
        left.remove(told["parser"])
        one = outcomes[told["parser"]]
        one.inputs, one.refused, one.parsed = (told["counts"].get(key, 0) for key in ("inputs", "refused", "parsed"))
