"""`python -m tests.benchmarks [NAME ...]`: run benchmarks in turn, print one table, write one JSON file."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

WANTED = {
    ("cutouts", "of_limit"): (">=", 0.8),
    ("cutouts", "times_sequential"): (">=", 12),
    ("cutouts", "recovered"): (">=", 1),
    ("cutouts", "asked_again_after_kill"): ("<=", 16),
    ("cutouts", "same_after_kill"): (">=", 1),
    ("ingest", "time_ratio"): ("<", 1),
    ("ingest", "memory_ratio"): ("<=", 0.5),
    ("backfill", "flow_s"): ("<", 10),
    ("backfill", "shards_untouched"): (">=", 1),
    ("batches", "times_records"): (">=", 1.8),
    ("batches", "times_one_by_one"): (">=", 25),
    ("batches", "checksum_cost"): ("<", 0.03),
    ("batches", "input_share"): ("<", 0.05),
    ("injection", "times_galsim"): (">=", 5),
    ("injection", "times_photutils"): (">=", 15),
    ("injection", "error_ratio"): ("<=", 1),
    ("visits", "simulate_of_noise"): ("<", 3),
    ("visits", "work_of_noise"): ("<", 4),
    ("visits", "times_sfft"): (">=", 20),
    ("visits", "residual_ratio"): ("<=", 1.02),  # equal or better, as far as the noise of a few hundred stars tells
    ("arrivals", "latency_s"): ("<", 60),
    ("triplets", "written_times_records"): (">=", 5),
    ("triplets", "times_published"): (">=", 2.5),
    ("triplets", "times_records"): (">=", 1.3),
    ("triplets", "checksum_cost"): ("<", 0.03),
    ("published", "memory_ratio"): ("<=", 1.2),
    ("training", "simple_of_bare"): (">=", 0.95),
    ("training", "complex_of_bare"): (">=", 0.95),
    ("training", "complex_losses_cost"): ("<=", 2.9),
    **{
        ("galaxy_training", f"{network}_of_bare"): (">=", 0.95)
        for network in (
            *("cnn_deck", "cnn_tuned", "xception_small_tuned"),
            *("vit_small_tuned", "googlenet_tuned", "efficientnet_lite0_tuned"),
        )
    },
    ("galaxy_prediction", "of_bare"): (">=", 0.9),
    ("galaxy_prediction", "memory_ratio"): ("<=", 1.2),
    ("scoring", "cascade_gain"): (">=", 2),
    ("scoring", "lost_limit"): ("<=", 0.002),
    ("scoring", "of_bare"): (">=", 0.9),
    ("scoring", "memory_ratio"): ("<=", 1.2),
    ("command", "help_of_python"): ("<", 10),
    ("command", "command_adds_of_import"): ("<", 3),
    ("command", "command_and_server_add_of_import"): ("<", 8),
    ("labelling", "next_ms"): ("<", 100),
    ("labelling", "filtered_ms"): ("<", 100),
    ("memory", "build_ratio"): ("<=", 1.2),
    ("memory", "train_ratio"): ("<=", 1.2),
    ("drift", "quiet_low"): ("<=", 0.05),  # the false-discovery rate is inside the interval
    ("drift", "reals_tripled_low"): ("<=", 0.05),
    ("subtraction", "flux_off"): ("<=", 0.02),
    ("subtraction", "flux_off_worst_cut"): ("<=", 0.02),
    ("subtraction", "within_2_percent_and_noise"): (">=", 0.95),
    ("subtraction", "centroid_mean_px"): ("<=", 0.05),
    ("subtraction", "centroid_std_px"): ("<=", 0.05),
    ("subtraction", "exact_flux_off"): ("<=", 0.02),
    ("subtraction", "exact_centroid_std_px"): ("<=", 0.05),
    ("subtraction", "noise_off"): ("<=", 0.03),
    ("subtraction", "sky_std_off"): ("<=", 0.03),
    ("subtraction", "alarm_factor_3"): ("<=", 1.5),
    ("subtraction", "alarm_factor_4"): ("<=", 1.5),
    ("subtraction", "alarm_factor_5"): ("<=", 1.5),
}
"""What the project promises; every other figure is shown beside it."""


def main() -> int:
    """Run what was named, else all. Returns 1 when a benchmark failed or a promise is not kept."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--out", type=Path, default=Path("workspace") / "bench.json")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = sorted({*options.names} - {*known})
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    if options.alone:
        print(json.dumps(import_module(f"tests.benchmarks.bench_{options.names[0]}").run()))
        return 0
    machine = _machine()
    results = {name: _measured(name) for name in options.names or known}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(machine | {"results": results}, indent=1) + "\n", encoding="utf-8")
    Console().print(_table(results))
    print(f"written: {options.out}")
    kept = [_kept(name, key, value) for name, result in results.items() for key, value in result.items()]
    return int(False in kept or any("error" in result for result in results.values()))


def _measured(name: str) -> dict[str, Any]:
    """Run a benchmark in a process of its own, so that none disturbs the next."""
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    words = [sys.executable, "-m", "tests.benchmarks", "--alone", name]
    begin = time.monotonic()
    answer = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if answer.returncode:
        return {"error": f"ended with code {answer.returncode}"}
    return json.loads(answer.stdout.strip().splitlines()[-1]) | {"took_s": time.monotonic() - begin}


def _table(results: dict[str, dict[str, Any]]) -> Table:
    table = Table("benchmark", "figure", "measured", "wanted", "")
    for name, result in results.items():
        for key, value in result.items():
            relation, limit = WANTED.get((name, key), ("", ""))
            kept = {True: "kept", False: "[red]NOT kept[/red]", None: ""}[_kept(name, key, value)]
            shown = f"{value:.4g}" if isinstance(value, int | float) else str(value)
            table.add_row(name, key, shown, f"{relation} {limit}".strip(), kept)
        table.add_section()
    return table


def _kept(name: str, key: str, value: Any) -> bool | None:
    """Tell whether a promise is kept; None where there is none."""
    if (name, key) not in WANTED:
        return None
    relation, limit = WANTED[name, key]
    return {">=": value >= limit, "<=": value <= limit, "<": value < limit}[relation]


def _machine() -> dict[str, Any]:
    return {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_at_start": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
