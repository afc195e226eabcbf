"""The state of a workspace: it says what the files say, names what is damaged, and waits for nobody."""

import json
import os
import socket
import sqlite3
import time
from contextlib import closing

import pytest

from tasks.decisions.ledger import append, ledger_folder
from tasks.home import runs
from tasks.home.status import Figure, Section, WorkspaceStatus
from tasks.home.status_reader import ABSENT, StatusReader
from tasks.housekeeping.disk import measure
from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.queues import read_label_queue
from tasks.learning.labels.relabelling import RELABELLING, publish_relabelling
from tasks.learning.measures import wilson
from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import UP, ProcessEntry
from tasks.store.columns import align_column
from tasks.store.dataset import Dataset
from tasks.store.locks import one_builder
from tasks.store.versions import stored_rows
from tests.answer_writers import AT, make_answer
from tests.small_home import COMPARED, NIGHTS, decision, end_night, night_name

SECTIONS = [name for name, field in WorkspaceStatus.model_fields.items() if name not in ("workspace", "at", "begin")]
NIGHT = "night-2026-11-28"


def test_datasets_tell_what_their_tables_hold(status: WorkspaceStatus, filled: Workspace) -> None:
    assert [row.name for row in status.datasets.rows] == ["nightly", "sky", "transients", NIGHT]
    assert [row.night for row in status.datasets.rows] == [None, None, None, "2026-11-28"]
    for row in status.datasets.rows:
        dataset = Dataset.open(filled, row.name)
        assert (row.version, row.digest) == (dataset.version, dataset.digest)
        assert row.asked == row.stored + sum(row.rejected.values()) == dataset.samples(["id"]).num_rows
        for scheme in row.schemes:
            labels = align_column(
                dataset.labels(scheme.name), "label", stored_rows(dataset.samples())["id"]
            ).to_pylist()
            assert scheme.counts == {name: labels.count(name) for name in scheme.counts}
    sky = status.datasets.rows[1]
    assert (sky.pixels, sky.label_kind, sky.report) == ("simulated", "votes", "sky-000003.html")
    assert sum(sky.parts.values()) == sum(sky.schemes[-1].counts.values()) == 22


def test_the_newest_night_has_funnel_drift_and_gate(status: WorkspaceStatus) -> None:
    (night,) = status.nights.rows
    assert (night.dataset, night.night, night.words) == ("nightly", night_name(NIGHTS - 1), "worked through")
    assert night.pixels == "simulated"
    assert (night.ingested, night.rejected, night.scored, night.selected) == (146, {"nan_plane": 5, "edge": 2}, 144, 8)
    assert (night.drift, night.decision, night.champion) == ("drifted", "PROMOTE", "models:/realbogus/2")
    assert [figure.name for figure in night.efficiency] == [
        f"{name} of injections" for name in ("detection", "classification", "completeness")
    ]
    assert night.gate[-1] == Figure(name="challenger over champion", value=0.762, low=0.61, high=0.94)
    assert [line.night for line in night.earlier] == [night_name(number) for number in range(NIGHTS - 2, -1, -1)]
    (scoring,) = status.scorings.rows
    assert (scoring.rows, scoring.selected, scoring.not_scored) == (4, 1, 1)


def test_decisions_queues_reports_and_disk_are_those_of_the_files(status: WorkspaceStatus, filled: Workspace) -> None:
    assert [(row.sequence, row.verdict) for row in status.decisions.rows] == [
        (3, "PROMOTE"),
        (2, "REJECT"),
        (1, "HOLD"),
    ]
    assert status.decisions.rows[0].figures[0].value == COMPARED["champion"]
    queue, table = status.queues.rows
    assert (queue.items, queue.answered, queue.labellers, queue.path) == (
        20,
        3,
        ("ann", "bob"),
        f"/label/{NIGHT}/random",
    )
    assert (table.dataset, table.items, table.answered, table.path) == ("2026-11-28", 3, 2, None)
    assert {row.file for row in status.reports.rows} == {path.name for path in filled.reports.glob("*.html")}
    assert "Dataset sky, version 3 <&>" in {row.title for row in status.reports.rows}
    assert status.disk.measured_at is not None
    assert status.disk.total == measure([filled.root])[0]


def test_models_are_the_aliased_versions_with_figures_of_the_test_part(status: WorkspaceStatus) -> None:
    assert [(row.name, row.version, row.aliases) for row in status.models.rows] == [
        (name, 1, ("challenger", "champion")) for name in ("galaxy-deck-3", "realbogus", "realbogus-first")
    ]
    galaxy, candidates, _ = status.models.rows
    accuracy = galaxy.figures[0]
    assert (accuracy.name, accuracy.value) == ("accuracy", 1 / 3)
    assert (accuracy.low, accuracy.high) == pytest.approx(wilson(1, 3))
    assert [figure.name for figure in candidates.figures] == ["AUC", "false-positive rate at 90 % of the reals"]
    assert (candidates.dataset, candidates.pixels, candidates.labels, candidates.count) == (
        "transients@1",
        "simulated",
        "injection",
        4,
    )


def test_an_empty_workspace_says_what_to_run_and_stays_empty(workspace: Workspace) -> None:
    status = StatusReader(workspace, patience_s=60).read()
    assert status.begin == "starloom demo"
    for name, (absent, command) in ABSENT.items():
        section: Section = getattr(status, name)
        assert (section.rows, section.absent, section.command, section.faults) == ((), absent, command, ())
    assert {row.state for row in status.services.rows} == {"not running"}
    assert (status.disk.rows, status.disk.total, status.disk.faults) == ((), 0, ())
    assert not workspace.root.exists()


def test_what_is_damaged_is_named_and_all_else_is_shown(own: Workspace) -> None:
    (own.datasets / "sky" / "versions" / "000003" / "manifest.json").write_text("{")
    (own.root / "mlflow.db").write_bytes(b"no database" * 100)
    (own.root / "nightly" / "nightly" / night_name(3) / "record.json").write_text("[]")
    (own.scores / "2026-11-28.parquet").write_bytes(b"torn")
    newest = max(ledger_folder(own).glob("part-*"))
    newest.write_bytes(newest.read_bytes()[:-1])
    (own.root / "labelling" / NIGHT / "answers.jsonl").write_text("{}\n")
    own.prefect.mkdir()
    (own.prefect / "server.json").write_text("{")
    status = StatusReader(own).read()
    assert {name for name in SECTIONS if getattr(status, name).faults} == {
        *("datasets", "models", "nights", "scorings", "decisions", "queues", "services", "runs")
    }
    assert [fault for fault in status.datasets.faults if fault.startswith("dataset sky: ")] == list(
        status.datasets.faults
    )
    assert [row.name for row in status.datasets.rows] == ["nightly", "transients", NIGHT]
    assert [row.sequence for row in status.decisions.rows] == [2, 1]
    assert [row.name for row in status.queues.rows] == ["realbogus/2026-11-28.csv"]
    assert status.begin is None


def test_changes_are_seen_by_the_next_reading(own: Workspace) -> None:
    reader = StatusReader(own)
    before = reader.read()
    dataset = Dataset.open(own, NIGHT)
    publish_relabelling(dataset, "real-bogus", "people", RELABELLING.empty_table(), None, AT)
    queue = read_label_queue(own, NIGHT, "random")
    AnswerLog.of(own, NIGHT).append(make_answer("cat-9", labeller="cat", sample=queue.ids[9]))
    append(own, decision(3, "HOLD"))
    end_night(own, NIGHTS)
    (own.reports / "compare-0.html").write_text("<title>Rewritten</title>")
    after = reader.read()
    assert (before.datasets.rows[-1].version, after.datasets.rows[-1].version) == (1, 2)
    assert (after.queues.rows[0].answered, after.queues.rows[0].labellers) == (4, ("ann", "bob", "cat"))
    assert after.decisions.rows[0].sequence == 4
    assert after.nights.rows[0].night == night_name(NIGHTS)
    assert after.reports.rows[0].title == "Rewritten"
    assert after.models == before.models


def test_a_night_and_a_dataset_at_work_are_told(own: Workspace) -> None:
    record = own.root / "nightly" / "nightly" / night_name(NIGHTS - 1) / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"summary": None}))
    with one_builder(own.datasets / "sky"), one_builder(own.datasets / "new"):
        status = StatusReader(own).read()
    (night,) = status.nights.rows
    assert (night.night, night.unfinished) == (night_name(NIGHTS - 2), f"{night_name(NIGHTS - 1)}: ingest done")
    new, _, sky, transients, _ = status.datasets.rows
    assert (new.name, new.version, new.builder, sky.builder) == ("new", None, os.getpid(), os.getpid())
    assert transients.builder is None


def test_services_are_told_by_what_runs(own: Workspace) -> None:
    entry = ProcessEntry.announce(processes_folder(own), kind=UP)
    try:
        assert {row.state for row in StatusReader(own).read().services.rows} == {"starting"}
        entry.add(addresses={"home": "http://127.0.0.1:5200"})
        home, prefect, *_ = StatusReader(own).read().services.rows
        assert (home.state, home.address, prefect.state) == ("running", "http://127.0.0.1:5200", "starting")
    finally:
        entry.withdraw()


def test_a_database_that_is_written_and_a_server_that_hangs_delay_nothing_for_long(
    own: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ANSWER_S", 0.2)
    own.prefect.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as deaf, closing(sqlite3.connect(own.root / "mlflow.db")) as writer:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        (own.prefect / "server.json").write_text(json.dumps({"pid": os.getpid(), "url": url, "kind": "run"}))
        writer.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        status = StatusReader(own).read()
        assert time.monotonic() - began < 10
    assert status.models.faults == ("models: database is locked",)
    assert status.runs.faults[0].startswith(f"the Prefect server {url} gave no answer within 0.2 s")
    assert len(status.datasets.rows) == 4
