"""`python -m tests.benchmarks.month FOLDER`: a simulated month of `nightly-retrain`, with planted events; resumable.

Each night is a command of its own in the workspace FOLDER. Planted are a hot detector, a seeing change, clouds that let
bright stars through and clouds that do not, a mislabelled batch, a process that is killed after it had added its night
to the training set, a night that is delivered twice, and an alias that is moved by hand. A night that the workspace has
is not worked on again. The figure is ``reports/month.png``; the last line is a JSON object. Both have the drift that
the code of today finds in the features that the nights kept.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tasks.learning.drift.check import check_drift
from tasks.learning.drift.night_features import read_features
from tasks.nightly.night_record import NightRecord, open_record, read_record, read_records
from tasks.nightly.quiet_nights import FEATURES, is_quiet
from tasks.nightly.report import nights_figure
from tasks.runtime.workspace import Workspace
from tasks.tracking.database import open_client, prepare
from tests.benchmarks.scene import COMMAND

FIRST = date(2026, 10, 1)
NIGHTS = 30
DATASET = "nightly"
NIGHT = {"chips": 3, "visits": 2, "network": "simple", "seed": 0}
CONDITIONS: dict[int, dict[str, Any]] = {
    11: {"hot_chip": 1},
    15: {"seeing_factor": 1.8},
    18: {"wrong_labels": 0.5},
    20: {"extinction_mag": 4.0},
    26: {"extinction_mag": 9.0},
}
"""Number of the night, from 1, and its conditions."""
KILLED, TWICE, MOVED = 12, 22, 25
"""The night whose process is killed, the one that is delivered twice, and the one before which the alias is moved."""


def main() -> int:
    """Run the nights that are missing, and print what became of the planted events."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.month", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nights", type=int, default=NIGHTS)
    options = parser.parse_args()
    workspace = Workspace(options.folder.resolve())
    for number in range(1, options.nights + 1):
        night = (FIRST + timedelta(days=number - 1)).isoformat()
        if open_record(workspace, DATASET, night).is_finished:
            continue
        if number == MOVED:
            move_alias(workspace)
        if number == KILLED:
            _kill_after_append(workspace, night)
        summary = _run(workspace, night, CONDITIONS.get(number))
        if number == TWICE:
            again = _run(workspace, night, None)
            assert again["seconds"] == summary["seconds"], "the second delivery of the same night did work again"
        told = (night, summary["state"], summary["decision"], summary["seconds"], summary["message"])
        print(*told, sep="  ", file=sys.stderr, flush=True)
    summaries = _judge_drift(read_records(workspace, DATASET))
    (workspace.reports / "month.png").write_bytes(nights_figure(summaries).png)
    print(json.dumps(_result(summaries)))
    return 0


def _words(workspace: Workspace, night: str, conditions: dict[str, Any] | None) -> list[str]:
    parameters = {"night": night, **NIGHT} | ({} if conditions is None else {"conditions": json.dumps(conditions)})
    words = [f"-p{name}={value}" for name, value in parameters.items()]
    return [*COMMAND, "--workspace", str(workspace.root), "run", "nightly-retrain", *words]


def _run(workspace: Workspace, night: str, conditions: dict[str, Any] | None) -> dict[str, Any]:
    log = workspace.root / "month.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        ended = subprocess.run(_words(workspace, night, conditions), stdout=subprocess.PIPE, stderr=errors, check=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _kill_after_append(workspace: Workspace, night: str) -> None:
    """Start a night and kill it, and all its children, when it has added its rows to the training set."""
    with subprocess.Popen(
        _words(workspace, night, None), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        await_append(open_record(workspace, DATASET, night), lambda: process.poll() is not None)
        os.kill(process.pid, signal.SIGKILL)


def await_append(record: NightRecord, has_ended: Callable[[], bool]) -> None:
    """Return when a night has added its rows to the training set, or its run has ended."""
    while "append" not in read_record(record.folder).steps and not has_ended():
        time.sleep(0.2)


def move_alias(workspace: Workspace) -> None:
    """Give the alias champion to the first version, past the gate."""
    prepare(workspace)
    open_client(workspace).set_registered_model_alias("realbogus", "champion", "1")


def _judge_drift(records: Sequence[NightRecord]) -> list[dict[str, Any]]:
    """Return the summaries of finished nights with their drift found anew, each beside the quiet nights before it."""
    judged: list[NightRecord] = []
    for record in records:
        if record.summary is None:
            continue
        summary = dict(record.summary)
        if summary["drift"] is not None:
            quiet = [read_features(other.folder / FEATURES) for other in judged if is_quiet(other)]
            summary["drift"] = check_drift(read_features(record.folder / FEATURES), quiet).to_summary()
        judged.append(replace(record, summary=summary))
    return [dict(record.summary or {}) for record in judged]


def _result(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    worked = sorted(s["seconds"] for s in summaries if s["state"] == "done")
    return {
        "nights": len(summaries),
        "states": {s["night"]: s["state"] for s in summaries if s["state"] != "done"},
        "judged_for_drift": sum((s["drift"] or {}).get("verdict") in ("quiet", "drifted") for s in summaries),
        "drifted": {s["night"]: s["drift"]["drifted"][0] for s in summaries if (s["drift"] or {}).get("drifted")},
        "decisions": {
            verdict: sum(s["decision"] == verdict for s in summaries) for verdict in ("PROMOTE", "HOLD", "REJECT")
        },
        "promoted": [s["night"] for s in summaries if s["decision"] == "PROMOTE"],
        "median_s": worked[len(worked) // 2] if worked else None,
        "largest_s": worked[-1] if worked else None,
    }


if __name__ == "__main__":
    sys.exit(main())
