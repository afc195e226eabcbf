"""The nights of an inbox, and the date that names a night."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.inbox.nights import ENVIRONMENT_NAME, InboxError, default_inbox, evening, is_night, list_nights
from tasks.runtime.workspace import Workspace

TODAY = date(2026, 11, 29)


def make(inbox: Path, *names: str) -> None:
    for name in names:
        (inbox / name).mkdir(parents=True)


def test_nights_come_oldest_first_and_everything_else_is_named(tmp_path: Path) -> None:
    inbox, elsewhere = tmp_path / "inbox", tmp_path / "elsewhere"
    make(inbox, "2026-11-29", "2025-01-01", "2026-11-30", "29-11-2026", "2026-02-30", ".hidden", "2026-11-28.part")
    elsewhere.mkdir()
    (inbox / "2026-11-27").symlink_to(elsewhere)
    (inbox / "2026-11-26").write_text("a file")
    listing = list_nights(inbox, TODAY)
    assert [night.name for night in listing.nights] == ["2025-01-01", "2026-11-29"]
    assert set(listing.ignored) == {"2026-11-30", "29-11-2026", "2026-02-30", "2026-11-27", "2026-11-26"}
    assert "future" in listing.ignored["2026-11-30"]
    assert "out of the inbox" in listing.ignored["2026-11-27"]


def test_an_inbox_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match=r"absent does not exist: make the folder"):
        list_nights(tmp_path / "absent", TODAY)
    (tmp_path / "file").write_text("")
    with pytest.raises(InboxError, match="file is a file"):
        list_nights(tmp_path / "file", TODAY)


@pytest.mark.skipif(os.geteuid() == 0, reason="every folder can be read by root")
def test_an_inbox_without_permission_is_named(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir(mode=0o000)
    with pytest.raises(InboxError, match="cannot be read"):
        list_nights(inbox, TODAY)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(0, 24 * 60 - 1))
def test_all_times_from_one_local_noon_to_the_next_are_one_night(day: datetime, minutes: int) -> None:
    noon_in_tokyo = datetime(day.year, day.month, day.day, 3, tzinfo=UTC)
    assert evening(noon_in_tokyo + timedelta(minutes=minutes)) == day.date()
    assert is_night(evening(noon_in_tokyo).isoformat())


def test_the_default_inbox_is_made_and_a_named_one_is_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_inbox(workspace) == workspace.root / "inbox"
    assert list_nights(default_inbox(workspace), TODAY).nights == ()
    monkeypatch.setenv(ENVIRONMENT_NAME, str(workspace.root / "other"))
    assert not default_inbox(workspace).exists()
