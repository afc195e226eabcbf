"""`python -m tests.fuzz --inputs N --seed S [NAME ...]`: mutated files for every parser of foreign bytes.

The last line is JSON; the exit code is 1 if a parser hung, took too much memory, or raised anything but its own error.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.parsers import PARSERS
from tests.fuzz.run import LIMIT_S, MEMORY_MIB, fuzz


def main() -> int:
    """Fuzz what was named, else all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *PARSERS], help=", ".join(PARSERS))
    parser.add_argument("--inputs", type=int, default=1000, help="files for each parser [1000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory-mib", type=int, default=MEMORY_MIB, help=f"for one file [{MEMORY_MIB}]")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help=f"for one file [{LIMIT_S:g}]")
    parser.add_argument("--out", type=Path, default=Path("workspace") / "fuzz", help="files that found a defect")
    options = parser.parse_args()
    outcomes = fuzz(
        options.inputs,
        options.seed,
        options.out,
        options.names,
        memory_mib=options.memory_mib,
        limit_s=options.limit_s,
    )
    for outcome in outcomes:
        print(outcome, file=sys.stderr)
    bounds = {"memory_mib": options.memory_mib, "limit_s": options.limit_s, "seed": options.seed}
    print(json.dumps(bounds | {"parsers": [asdict(outcome) for outcome in outcomes]}))
    return int(any(outcome.defects for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
