"""What was delivered of a night: complete visits of the inbox as one table of pairs, or a simulated night."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from realbogus.records import SourceError
from realbogus.sources.pair_tables import read_pairs
from tasks.inbox.nights import InboxError
from tasks.nightly.deliveries import NightDelivery, delivered_nights, find_delivery
from tasks.nightly.night_record import open_record
from tasks.nightly.request import NightlyRequest
from tasks.runtime.workspace import Workspace

NIGHT = "2026-11-28"


def request_of(inbox: Path | None, **changes: Any) -> NightlyRequest:
    return NightlyRequest(**{"source": "frames", "path": None if inbox is None else str(inbox), **changes})


def deliver(visit: Path, names: tuple[str, ...] = ("newA.fits", "refA.fits"), content: str = "") -> Path:
    """Write a visit with its marker of completeness."""
    visit.mkdir(parents=True, exist_ok=True)
    for name in names:
        (visit / name).write_text(f"{visit.name} {name} {content}")
    (visit / ".complete").touch()
    return visit


def found(workspace: Workspace, inbox: Path, **changes: Any) -> NightDelivery:
    request = request_of(inbox, **changes)
    return find_delivery(workspace, request, open_record(workspace, request.training_set, NIGHT))


def test_all_pairs_of_all_visits_are_one_table(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    first = deliver(inbox / NIGHT / "v1", ("newA.fits", "refA.fits", "newB.fits", "refB.fits"))
    second = deliver(inbox / NIGHT / "v2", ("n.fits", "r.fits"))
    (second / "pairs.csv").write_text("new,reference,detector,gain_e_per_count\nn.fits,r.fits,7,2.3\n")
    delivery = found(workspace, inbox)
    assert (delivery.state, delivery.visits) == (None, 2)
    assert delivery.path is not None
    pairs = read_pairs(delivery.path)
    assert [pair.files["new"] for pair in pairs] == [first / "newA.fits", first / "newB.fits", second / "n.fits"]
    assert [pair.visit for pair in pairs] == [0, 0, 1]
    assert pairs[2].columns["detector"] == "7"
    assert pq.read_table(delivery.path)["gain_e_per_count"].to_pylist() == [None, None, "2.3"]


def test_the_digest_is_that_of_the_bytes(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    visit = deliver(inbox / NIGHT / "v1")
    before = found(workspace, inbox).digest
    assert found(workspace, inbox).digest == before
    deliver(visit, content="other")
    assert found(workspace, inbox).digest != before


def test_nothing_delivered_is_a_state_and_no_error(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    assert found(workspace, inbox).state == "no_data"
    (inbox / NIGHT).mkdir()
    empty = found(workspace, inbox)
    assert (empty.state, empty.digest) == ("no_data", "")
    assert NIGHT in empty.message


def test_an_incomplete_visit_keeps_the_night_waiting(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    deliver(inbox / NIGHT / "v1")
    half = deliver(inbox / NIGHT / "v2")
    (half / "pairs.csv").write_text("new,reference\nnewA.fits,missing.fits\n")
    waiting = found(workspace, inbox)
    assert waiting.state == "waiting"
    assert "v2" in waiting.message


def test_another_kind_of_files_is_refused_by_name(workspace: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    deliver(inbox / NIGHT / "v1")
    with pytest.raises(SourceError, match="source=alerts, but the night holds visits of other kinds"):
        found(workspace, inbox, source="alerts")


def test_an_unreadable_inbox_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InboxError):
        found(workspace, tmp_path / "absent")


def test_a_simulated_night_is_what_its_parameters_say(workspace: Workspace) -> None:
    record = open_record(workspace, "nightly", NIGHT)

    def digest(**changes: Any) -> str:
        return find_delivery(workspace, request_of(None, source="simulated", **changes), record).digest

    assert digest() == digest(margin=0.2), "what the gate wants is no part of the night"
    for changes in ({"chips": 5}, {"visits": 1}, {"seed": 2}, {"conditions": {"seeing_factor": 2.0}}):
        assert digest(**changes) != digest()


def test_the_nights_of_an_inbox_are_listed_oldest_first(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("2026-11-20", "2026-11-03", "2026-12-24", "notes"):
        (tmp_path / "inbox" / name).mkdir(parents=True)
    newest = date.fromisoformat(NIGHT)
    assert delivered_nights(workspace, request_of(tmp_path / "inbox"), newest) == ["2026-11-03", "2026-11-20"]
