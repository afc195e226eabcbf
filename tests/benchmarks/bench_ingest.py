"""Ingest of a Hart-shaped table against pandas: time and peak memory, each run in a process of its own."""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from galaxy.catalogue.columns import VOTE_MEASURES
from galaxy.labels.votes import MEASURES, QUESTIONS, STEMS

ROWS = 240_000
REPEATS = 3
_ROWS_A_BLOCK = 20_000


def run(rows: int = ROWS, repeats: int = REPEATS) -> dict[str, float]:
    """Return seconds and peak bytes of both sides (medians) and the ratios ours / pandas."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "hart.csv"
        write_hart_shaped(table, rows, np.random.default_rng(0))
        sides: dict[str, list[dict[str, float]]] = {"ours": [], "pandas": []}
        for _ in range(repeats):  # taken in turns, so that a busy machine slows both
            for side, measured in sides.items():
                measured.append(_measure(side, table, Path(folder) / f"{side}.parquet"))
        megabytes = table.stat().st_size / 1e6
    figures = {
        f"{side}_{key}": statistics.median(item[key] for item in measured)
        for side, measured in sides.items()
        for key in ("seconds", "peak_mb")
    }
    return {
        "rows": rows,
        "csv_mb": megabytes,
        **figures,
        "time_ratio": figures["ours_seconds"] / figures["pandas_seconds"],
        "memory_ratio": figures["ours_peak_mb"] / figures["pandas_peak_mb"],
    }


def write_hart_shaped(path: Path, rows: int, rng: np.random.Generator) -> None:
    """Write a CSV with gz2_hart16's 231 columns: 18-digit ids, positions all over the sky, votes of 20 to 60 people."""
    with path.open("wb") as stream:
        for start in range(0, rows, _ROWS_A_BLOCK):
            count = min(_ROWS_A_BLOCK, rows - start)
            options = pa.csv.WriteOptions(include_header=start == 0, quoting_style="none")
            pa.csv.write_csv(_hart_block(start, count, rng), stream, options)


def _hart_block(start: int, count: int, rng: np.random.Generator) -> pa.Table:
    voters = rng.integers(20, 60, count)
    columns = {
        "dr7objid": 587722981741363294 + start + np.arange(count),
        "ra": rng.uniform(0, 360, count).round(6),
        "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, count))).round(6),
        "rastring": np.full(count, "12:11:42.06"),
        "decstring": np.full(count, "-01:05:32.49"),
        "sample": np.full(count, "original"),
        "gz2_class": rng.choice(["Er", "Ei", "Sb", "SBc2m", "Sen", "Sc?t", "Sb(r)"], count),
        "total_classifications": voters,
        "total_votes": voters * 4,
    }
    votes = {}
    for question, answers in QUESTIONS.items():
        shares = rng.dirichlet(np.full(len(answers), 0.6), count).round(3)
        for number, answer in enumerate(answers):
            votes[f"{question}_{answer}"] = shares[:, number]
    for stem in STEMS:
        cells: list[np.ndarray] = [
            (voters * votes[stem]).round(),
            (voters * votes[stem]).round(3),
            votes[stem],
            votes[stem],
        ]
        cells += [(votes[stem] * rng.uniform(0.8, 1.2, count)).round(3), votes[stem] > 0.8]
        kinds = (np.int64, float, float, float, float, np.int64)
        for measure, values, kind in zip(MEASURES, cells, kinds, strict=True):
            columns[f"{stem}_{measure}"] = values.astype(kind)
    return pa.table(columns)


def _measure(side: str, table: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, side, str(table), str(out)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return figures


def _ingest() -> Callable[[Path, Path], object]:
    from tasks.ingest.catalogue import ingest

    return lambda table, out: ingest([table], None, out)


def _pandas() -> Callable[[Path, Path], object]:
    """Read and write the columns that the catalogue keeps, ids exact."""
    import pandas as pd

    kept = ["dr7objid", "ra", "dec", "sample", "gz2_class", "total_classifications", "total_votes"]
    kept += [f"{stem}_{measure}" for stem in STEMS for measure in VOTE_MEASURES]
    return lambda table, out: pd.read_csv(table, usecols=kept).to_parquet(out)


def _main(side: str, table: str, out: str) -> None:
    work = {"ours": _ingest, "pandas": _pandas}[side]()
    start = time.perf_counter()
    work(Path(table), Path(out))
    seconds = time.perf_counter() - start
    # Linux counts in kilobytes; what the imports hold is in both sides' peak.
    print(json.dumps({"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
