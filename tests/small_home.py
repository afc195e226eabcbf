"""A workspace with something of every kind that the home page shows, made in seconds and without a server."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.decisions.decision import Decision
from tasks.decisions.labelling_queue import queue_folder
from tasks.decisions.ledger import append
from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.nightly.night_record import open_record
from tasks.nightly.outcome import NOTHING
from tasks.reports.page import Text, page
from tasks.runtime.workspace import Workspace
from tests.answer_writers import make_answer
from tests.archives import unpack
from tests.small_candidates import publish_candidates

SAVED = Path(__file__).parent / "fixtures" / "made_at_4e71ab2" / "workspace.tar.gz"
FIRST_NIGHT = datetime(2026, 11, 20, 10, tzinfo=UTC)
NIGHTS = 9
RATES = {"detection": 0.71, "classification": 0.93, "completeness": 0.66}
COMPARED = {
    "name": "false-positive rate at a true-positive rate of 0.9",
    "champion": 0.021,
    "challenger": 0.016,
    "ratio": 0.762,
    "ratio_low": 0.61,
    "ratio_high": 0.94,
}


def fill_workspace(workspace: Workspace) -> None:
    """Fill a workspace.

    Datasets ``sky``, ``transients`` and models of three names come from the saved workspace of an earlier version;
    ``nightly`` is a copy of the second. ``night-2026-11-28`` holds one night. Training set ``nightly`` has nine nights,
    the newest with drift and a promotion from version 1 to 2. The ledger has three decisions. Queue ``random`` has 20
    items, of which ann and bob answered 3.
    """
    extract_saved(workspace)
    cells = [f"cell {row // 2}" for row in range(60)]
    publish_candidates(workspace, "night-2026-11-28", ["bogus"] * 60, cells, ["test"] * 60, real=[True] * 60)
    shutil.copytree(workspace.datasets / "transients", workspace.datasets / "nightly", symlinks=True)
    for number in range(NIGHTS):
        end_night(workspace, number)
    for number, verdict in enumerate(("HOLD", "REJECT", "PROMOTE")):
        append(workspace, decision(number, verdict))
    queue, _ = open_queue(workspace, QueueRequest(dataset="night-2026-11-28", count=20, gold_share=0))
    log = AnswerLog.of(workspace, "night-2026-11-28")
    for place, labeller in ((0, "ann"), (1, "ann"), (1, "bob"), (2, "bob")):
        name = f"{labeller}-{place}"
        log.append(make_answer(name, labeller=labeller, sample=queue.ids[place], queue=queue.facts.name))
    log.append(make_answer("ann-skips", labeller="ann", sample=queue.ids[3], action="skip", label=None))
    folder = queue_folder(workspace) / "realbogus"
    folder.mkdir(parents=True)
    (folder / "2026-11-28.csv").write_text("id,verdict\na,real\nb,\nc,unsure\n")
    write_scores(workspace, "2026-11-28", decisions=["real", "bogus", "bogus", None])
    write_reports(workspace)


def extract_saved(workspace: Workspace) -> None:
    """Unpack the saved workspace: two datasets, MLflow's database and three registered models."""
    unpack(SAVED, workspace.root.parent / "saved")
    (workspace.root.parent / "saved" / "workspace").rename(workspace.root)


def night_name(number: int) -> str:
    return f"{FIRST_NIGHT + timedelta(days=number):%Y-%m-%d}"


def end_night(workspace: Workspace, number: int) -> None:
    """Record a night of training set ``nightly``; the last one has drift and a promotion."""
    newest = number == NIGHTS - 1
    efficiency: dict[str, Any] = {"injected": 240, "bins": {}}
    for name, value in RATES.items():
        efficiency |= {name: value, f"{name}_low": value - 0.05, f"{name}_high": value + 0.04}
    reasons = ["chip01 seeing: 4.1 instead of 3.4, effect 0.81 quiet spreads, p 2e-05"]
    drift = {"verdict": "drifted" if newest else "quiet", "reasons": reasons if newest else [], "drifted": []}
    summary = NOTHING | {
        "night": night_name(number),
        "state": "done",
        "message": f"{138 + number} detections, 8 selected",
        "ingested": 138 + number,
        "rejected": {"nan_plane": 5, "edge": 2},
        "scored": 136 + number,
        "selected": 8,
        "efficiency": efficiency,
        "drift": drift,
        "champion": "models:/realbogus/2" if newest else "models:/realbogus/1",
        "seconds": 61.0,
    }
    if newest:
        summary |= {"challenger": "models:/realbogus/2", "decision": "PROMOTE", "figures": {"figure": COMPARED}}
        summary |= {"reasons": ["The gain of 23.8% reaches the margin of 5%."]}
    record = open_record(workspace, "nightly", night_name(number)).begin("a delivery")
    record.step("ingest", lambda: {"path": "elsewhere"})
    record.finish(summary)


def decision(number: int, verdict: Any) -> Decision:
    """Return a decision of the gate on a challenger of version `number` + 2; the champion is version 1 before it."""
    challenger = f"models:/realbogus/{number + 2}"
    return Decision(
        at=FIRST_NIGHT + timedelta(days=number + 6, hours=1),
        name="realbogus",
        kind="gate",
        verdict=verdict,
        by="nightly-retrain",
        reasons=("With 12 wrong rows, fewer than 20, the ratio is not resolved.",),
        night=night_name(number + 6),
        champion_before="models:/realbogus/1",
        champion_after=challenger if verdict == "PROMOTE" else "models:/realbogus/1",
        challenger=challenger,
        figures={"figure": COMPARED},
    )


def write_scores(workspace: Workspace, night: str, decisions: list[str | None]) -> None:
    """Write the scores of a night with its record; a row without a decision has no score."""
    workspace.scores.mkdir(parents=True, exist_ok=True)
    missing = [None if word else "nan_plane" for word in decisions]
    table = pa.table({"decision": pa.array(decisions, pa.string()), "not_scored": pa.array(missing, pa.string())})
    pq.write_table(table, workspace.scores / f"{night}.parquet")
    record = {
        "night": night,
        "rows": len(decisions),
        "model": {"address": "models:/realbogus/1"},
        "scored_at": "2026-11-29T01:10:00+00:00",
    }
    (workspace.scores / f"{night}.json").write_text(json.dumps(record))


def write_reports(workspace: Workspace) -> None:
    """Write the page of the nights, that of dataset ``sky`` and ten others."""
    workspace.reports.mkdir(parents=True)
    titles = {"nights-nightly.html": "Nights of nightly", "sky-000003.html": "Dataset sky, version 3 <&>"}
    titles |= {f"compare-{number}.html": f"Comparison {number}" for number in range(10)}
    for name, title in titles.items():
        (workspace.reports / name).write_text(page(title, [Text("All pixels are simulated.")]), encoding="utf-8")
