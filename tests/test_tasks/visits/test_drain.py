"""Draining an inbox: every complete visit is scored once as it is, whatever happens in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from tasks.inbox.deliveries import MARKER
from tasks.inbox.nights import InboxError
from tasks.night.models import NightError, open_model
from tasks.night.score_files import scored_nights
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.tracking.model_registry import UnknownModelError
from tasks.visits.arrivals import unscored_visits, visit_store
from tasks.visits.drain import drain
from tasks.visits.request import VisitRequest
from tests.small_visits import EPOCH_MJD, NIGHT, register_random_model, sky_position, write_records, write_visit

NAME = "visits-random"
STAYS, HOURS = (300.0, 200.0), 1 / 24


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model and no visits."""
    folder = tmp_path_factory.mktemp("visits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT_NAME, str(folder / "workspace"))
        register_random_model(Workspace.current(), folder / "model", NAME)
        open_model(Workspace.current(), f"{NAME}@champion", NAME, "auto")  # converted here once for all tests
    return folder / "workspace"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four visits of one field: a source that stays, and one that moves by 20 px in an hour."""
    folder = tmp_path_factory.mktemp("frames")
    for number in range(4):
        moves = (150.0 + 10 * number, 300.0 + 3 * number)
        write_visit(folder / f"v{number}", [STAYS, moves], epoch_mjd=EPOCH_MJD + number * HOURS / 2, seed=number)
    return folder


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    shutil.copytree(template, tmp_path / "workspace", symlinks=True)
    monkeypatch.setenv(ENVIRONMENT_NAME, str(tmp_path / "workspace"))
    return Workspace.current()


@pytest.fixture
def inbox(home: Workspace) -> Path:
    (home.root / "inbox" / NIGHT).mkdir(parents=True)
    return home.root / "inbox"


@pytest.fixture
def score(home: Workspace) -> Callable[..., dict[str, Any]]:
    """Give a function that drains the inbox."""
    request: dict[str, Any] = {"model": f"{NAME}@champion", "quiet_s": 0.2}
    return lambda **changes: drain(home, VisitRequest(**request | changes))


def deliver(frames: Path, inbox: Path, *names: str) -> None:
    for name in names:
        shutil.copytree(frames / name, inbox / NIGHT / name)


def tables(summary: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    detections = pq.read_table(summary["nights"][NIGHT]).to_pylist()
    return detections, pq.read_table(summary["path"]).to_pylist()


def at(candidates: list[dict[str, Any]], x: float, y: float) -> list[dict[str, Any]]:
    """Candidates within 2 arcsec of a pixel."""
    ra_deg, dec_deg = sky_position(x, y)
    scale = np.cos(np.radians(dec_deg))
    return [
        row for row in candidates if np.hypot((row["ra_deg"] - ra_deg) * scale, row["dec_deg"] - dec_deg) * 3600 < 2
    ]


def test_detections_of_one_place_are_one_candidate_and_what_moves_is_one_too(
    home: Workspace, inbox: Path, frames: Path, score: Callable[..., dict[str, Any]]
) -> None:
    deliver(frames, inbox, "v0", "v1")
    first = score()
    assert (first["visits"], first["scored"], first["rejected"], first["waiting"]) == (2, 2, {}, 0)
    assert first["seconds_per_visit"] > 0
    detections, candidates = tables(first)
    assert {row["visit"] for row in detections} == {"v0", "v1"}
    assert {row["model"] for row in detections if row["not_scored"] is None} == {f"{NAME}/1"}
    (stays,) = at(candidates, *STAYS)
    assert (stays["n_visits"], stays["visits"], stays["kind"]) == (2, ["v0", "v1"], "stationary")
    assert (stays["first_epoch_mjd"], stays["last_epoch_mjd"]) == (EPOCH_MJD, EPOCH_MJD + HOURS / 2)
    assert stays["max_logit"] == max(row["logit"] for row in detections if row["candidate"] == stays["candidate"])
    assert first["moving"] == 0, "two visits are no track"
    assert stays["unknown_detector"] is False

    deliver(frames, inbox, "v2", "v3")
    second = score()
    assert (second["visits"], second["scored"]) == (2, 2)
    detections, candidates = tables(second)
    (same,) = at(candidates, *STAYS)
    assert (same["candidate"], same["n_visits"]) == (stays["candidate"], 4)
    (moves,) = [row for row in candidates if row["kind"] == "moving"]
    assert moves["visits"] == ["v0", "v1", "v2", "v3"]
    scale_arcsec = 1.2
    assert moves["rate_arcsec_per_h"] == pytest.approx(np.hypot(10, 3) * scale_arcsec * 2, rel=0.05)
    assert len({row["candidate"] for row in detections if row["candidate"]}) == len(candidates) == second["candidates"]
    assert score()["visits"] == 0
    stamps = visit_store(home).stamps(visit_store(home).read(NIGHT).newest["v3"])
    assert len(stamps) == sum(row["stamp_sha256"] is not None for row in detections if row["visit"] == "v3")


def test_every_bad_visit_is_told_and_the_rest_is_scored(
    inbox: Path, frames: Path, score: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    deliver(frames, inbox, "v0")
    night = inbox / NIGHT
    shutil.copytree(night / "v0", night / "v0again")
    shutil.copytree(frames / "v2", night / "torn")
    whole = (night / "torn" / "new1.fits").read_bytes()
    (night / "torn" / "new1.fits").write_bytes(whole[: len(whole) // 2])
    (night / "half").mkdir()
    shutil.copy(frames / "v2" / "new1.fits", night / "half")
    write_visit(night / "strange", [STAYS], cards={"CCDID": "X99"}, seed=7)
    (night / "packets").mkdir()
    (night / "packets" / "a.avro").write_bytes(b"no packet")
    (night / "packets" / MARKER).touch()
    (night / "table").mkdir()
    (night / "table" / "pairs.csv").write_text("old,older\na,b\n")
    (night / "table" / MARKER).touch()
    for name in ("2999-01-01", "monday"):
        (inbox / name).mkdir()
    (night / "a b").mkdir()
    (night / "a b" / "new1.fits").touch()
    summary = score()
    assert summary["visits"] == summary["scored"] + sum(summary["rejected"].values()) == 6
    assert summary["rejected"] == {"corrupt": 1, "duplicate": 1, "unreadable": 1, "unreadable_frame": 1}
    assert summary["waiting"] == 1
    assert "0 ref*" in summary["why_waiting"][f"{NIGHT}/half"]
    assert summary["oldest_waiting_s"] >= 0
    assert set(summary["ignored"]) == {"2999-01-01", "monday", f"{NIGHT}/a b"}
    detections, _ = tables(summary)
    assert {row["unknown_detector"] for row in detections if row["visit"] == "strange"} == {True}
    (torn,) = [row for row in detections if row["visit"] == "torn"]
    assert (torn["not_scored"], torn["logit"], torn["candidate"]) == ("unreadable_frame", None, None)
    assert not [row for row in detections if row["visit"] == "v0again"]
    assert score()["visits"] == 0, "a rejected visit is not tried again"

    (night / "torn" / "new1.fits").write_bytes(whole)
    again = score()
    assert (again["visits"], again["scored"], again["revised"]) == (1, 1, 1)
    rows = [row for row in tables(again)[0] if row["visit"] == "torn"]
    assert {row["superseded"] for row in rows if row["revision"] == 1} == {True}
    assert {row["superseded"] for row in rows if row["revision"] == 2} == {False}


def test_changed_frames_supersede_the_earlier_rows_and_the_candidate_keeps_its_name(
    inbox: Path, frames: Path, score: Callable[..., dict[str, Any]]
) -> None:
    deliver(frames, inbox, "v0", "v1")
    shutil.copytree(inbox / NIGHT / "v0", inbox / NIGHT / "v0again")
    before = score()
    (named,) = at(tables(before)[1], *STAYS)
    shutil.rmtree(inbox / NIGHT / "v0")
    write_visit(inbox / NIGHT / "v0", [STAYS], seed=8)
    after = score()
    assert (after["revised"], after["rejected"]) == (2, {}), "what the copy was a duplicate of is no more"
    (same,) = at(tables(after)[1], *STAYS)
    assert same["candidate"] == named["candidate"]
    assert same["visits"] == ["v1", "v0", "v0again"]


def test_triplets_are_scored_and_a_record_that_comes_again_counts_once(
    home: Workspace, inbox: Path, score: Callable[..., dict[str, Any]]
) -> None:
    places = [(10.0, 5.0), (10.0 + 1.5 / 3600, 5.0), (10.01, 5.0)]
    write_records(inbox / NIGHT / "a", ["1", "2", "3"], places, mjd=[EPOCH_MJD] * 3)
    write_records(inbox / NIGHT / "b", ["1", "2", "3"], places, mjd=[EPOCH_MJD] * 3)
    (inbox / NIGHT / "b" / "note.md").touch()
    np.save(inbox / NIGHT / ".bare", np.zeros(1))
    summary = score()
    detections, candidates = tables(summary)
    assert summary["scored"] == 2
    assert [row["n_detections"] for row in candidates] == [2, 1]
    assert sum(row["superseded"] for row in detections) == 3
    assert {row["unknown_detector"] for row in detections} == {None}
    assert scored_nights(home) == [], "visits are no night of score-night"


def test_a_limit_leaves_the_rest_waiting_and_a_night_can_be_named(
    inbox: Path, score: Callable[..., dict[str, Any]]
) -> None:
    for name in ("a", "b", "c"):
        write_records(inbox / NIGHT / name, [name], [(10.0, 5.0)])
    write_records(inbox / "2026-11-27" / "d", ["d"], [(10.0, 5.0)])
    summary = score(night=NIGHT, limit=2)
    assert (summary["scored"], summary["waiting"], list(summary["nights"])) == (2, 1, [NIGHT])
    assert set(summary["why_waiting"].values()) == {"not taken yet"}
    assert score()["scored"] == 2


def test_half_written_files_are_taken_when_they_are_whole(
    inbox: Path, frames: Path, score: Callable[..., dict[str, Any]]
) -> None:
    deliver(frames, inbox, "v0")
    folder = inbox / NIGHT / "v0"
    (folder / MARKER).unlink()
    whole = (folder / "new1.fits").read_bytes()
    code = (
        "import sys, time, pathlib; path = pathlib.Path(sys.argv[1]); whole = path.read_bytes()\n"
        "with path.open('wb') as stream:\n"
        "    for part in range(8):\n"
        "        stream.write(whole[part * len(whole) // 8 : (part + 1) * len(whole) // 8]); stream.flush()\n"
        "        time.sleep(0.3)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder / "new1.fits")]) as writer:
        while (folder / "new1.fits").stat().st_size == len(whole):
            time.sleep(0.01)
        summary = score(quiet_s=1.0)
        assert writer.wait() == 0
    assert (summary["scored"], summary["rejected"]) == (1, {})


KILLED = """
import os, signal, sys
from tasks.runtime.workspace import Workspace
from tasks.visits import drain
from tasks.visits.records import VisitStore
from tasks.visits.request import VisitRequest

before, write = int(sys.argv[1]), VisitStore.write

def kill(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def write_few(store, record, *rest):
    kill() if record.order > before else write(store, record, *rest)

VisitStore.write, drain.write_tables = write_few, kill
drain.drain(Workspace.current(), VisitRequest(model=sys.argv[2], quiet_s=0.2))
"""


@pytest.mark.parametrize("recorded", [1, 2])
def test_a_run_that_is_killed_loses_no_visit_and_counts_none_twice(
    recorded: int, inbox: Path, frames: Path, score: Callable[..., dict[str, Any]]
) -> None:
    deliver(frames, inbox, "v0", "v1")
    words = [sys.executable, "-c", KILLED, str(recorded), f"{NAME}@champion"]
    killed = subprocess.run(words, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}, check=False)
    assert killed.returncode == -signal.SIGKILL
    resumed = score()
    detections, candidates = tables(resumed)
    assert resumed["scored"] == 2 - recorded
    assert len({(row["visit"], row["id"]) for row in detections}) == len(detections)
    assert {row["visit"] for row in detections} == {"v0", "v1"}
    (stays,) = at(candidates, *STAYS)
    assert stays["n_visits"] == 2


def test_two_runs_at_once_are_one_and_the_second_says_so(
    home: Workspace, inbox: Path, frames: Path, score: Callable[..., dict[str, Any]]
) -> None:
    deliver(frames, inbox, "v0")
    with visit_store(home).one_scorer():
        summary = score()
    assert (summary["busy"], summary["visits"]) == (True, 0)
    assert score()["busy"] is False


def test_the_watcher_sees_complete_visits_until_they_are_scored(
    home: Workspace, inbox: Path, score: Callable[..., dict[str, Any]]
) -> None:
    assert unscored_visits(home, inbox) == []
    write_records(inbox / NIGHT / "a", ["1"], [(10.0, 5.0)])
    (inbox / NIGHT / "b").mkdir()
    assert unscored_visits(home, inbox) == [f"{NIGHT}/a"]
    score()
    assert unscored_visits(home, inbox) == []
    (inbox / NIGHT / "a" / "table.csv").write_text("id,ra,dec\n1,10,6\n")
    assert unscored_visits(home, inbox) == [f"{NIGHT}/a"]


def test_waiting_and_latency_are_metrics_of_the_nights_one_run(
    home: Workspace, inbox: Path, score: Callable[..., dict[str, Any]]
) -> None:
    write_records(inbox / NIGHT / "a", ["1"], [(10.0, 5.0)])
    (inbox / NIGHT / "b").mkdir()
    score()
    write_records(inbox / NIGHT / "c", ["2"], [(10.0, 5.0)])
    score()
    client = MlflowClient(tracking_uri=home.mlflow_uri)
    experiment = client.get_experiment_by_name("realbogus")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.kind = 'visits' and tags.night = '{NIGHT}'")
    assert run.data.metrics["waiting"] == 1
    assert run.data.metrics["oldest_waiting_s"] > 0
    assert len(client.get_metric_history(run.info.run_id, "scored")) == 2
    assert run.data.tags["model"] == f"{NAME}/1"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"path": "absent"}, InboxError, "absent does not exist"),
        ({"night": "2026-11-29x"}, InboxError, "is no date"),
        ({"night": "2025-01-01"}, InboxError, "there is no such folder"),
        ({"night": "2999-01-01"}, InboxError, "in the future"),
        ({"tpr": 0.5}, NightError, "no operating point"),
        ({"model": "absent@champion"}, UnknownModelError, "no model"),
        ({"timezone": "Tokyo"}, ValueError, "no time zone"),
    ],
)
def test_bad_requests_are_refused(
    inbox: Path, score: Callable[..., dict[str, Any]], changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    write_records(inbox / NIGHT / "a", ["1"], [(10.0, 5.0)])
    (inbox / "2999-01-01").mkdir()
    with pytest.raises(error, match=words):
        score(**changes)


def test_an_empty_workspace_needs_no_model(workspace: Workspace) -> None:
    summary = drain(workspace, VisitRequest())
    assert (summary["visits"], summary["path"], summary["waiting"]) == (0, None, 0)


def test_a_visit_whose_record_is_damaged_is_scored_again(
    home: Workspace, inbox: Path, score: Callable[..., dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        write_records(inbox / NIGHT / name, [name], [(10.0, 5.0)])
    score()
    (path,) = home.root.glob("visits/*/a/*/record.json")
    path.write_text(json.dumps({"night": NIGHT}))
    summary = score()
    assert str(path) in caplog.text
    assert summary["scored"] == 1
    (candidate,) = tables(summary)[1]
    assert sorted(candidate["visits"]) == ["a", "b"]
