"""`python -m tests.drill [--faults NAME ...] [--flows NAME ...]`: break each flow in each way, and run it again.

A cell that is done is not run again: its outcome is a line of ``cells.jsonl`` in the folder. Red cells are.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.drill.cases import all_cases
from tests.drill.faults import FAULTS
from tests.drill.inputs import write_inputs
from tests.drill.table import read_outcomes, table
from tests.drill.trial import Drill

CELLS = "cells.jsonl"


def main() -> int:
    """Run the cells, print each, then the table; exit code 1 if one is red."""
    options = _options()
    folder = options.folder.resolve()
    cases = all_cases(write_inputs(folder / "inputs"))
    flows = options.flows or [case.flow for case in cases]
    faults = options.faults or [fault.name for fault in FAULTS]
    _require_known(flows, [case.flow for case in cases])
    _require_known(faults, [fault.name for fault in FAULTS])
    subprocess.run([sys.executable, "-m", "tests.drill.base_workspace", folder], check=True, stdout=sys.stderr)
    drill = Drill(folder, folder / "base", write_inputs(folder / "inputs"))
    done = {(line["fault"], line["flow"], line["seed"]) for line in _green(folder)}
    for seed in range(options.seed, options.seed + options.repeats):
        for fault in (fault for fault in FAULTS if fault.name in faults):
            for case in (case for case in cases if case.flow in flows and fault.unfit(case) is None):
                if (fault.name, case.flow, seed) in done:
                    continue
                outcome = drill.run(fault, case, seed)
                with (folder / CELLS).open("a", encoding="utf-8") as stream:
                    print(outcome.line(), file=stream)
                print(f"{outcome.verdict:6} {fault.name} {case.flow} at {outcome.at}", *outcome.complaints, flush=True)
    outcomes = read_outcomes(folder / CELLS)
    text = table(outcomes, cases)
    (folder / "table.md").write_text(text, encoding="utf-8")
    print(text)
    return int(any(line["verdict"] == "red" for line in outcomes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("drill"), help="of workspaces and outcomes (drill)")
    parser.add_argument("--faults", nargs="+", help="names of faults (all)")
    parser.add_argument("--flows", nargs="+", help="names of flows (all)")
    parser.add_argument("--seed", type=int, default=0, help="first seed: it draws the point of a disturbance (0)")
    parser.add_argument("--repeats", type=int, default=1, help="number of seeds (1)")
    return parser.parse_args()


def _green(folder: Path) -> list[dict[str, object]]:
    return [line for line in read_outcomes(folder / CELLS) if line["verdict"] == "green"]


def _require_known(names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise SystemExit(f"unknown: {name}; there are: {', '.join(known)}")


if __name__ == "__main__":
    sys.exit(main())
