"""The night folders of an inbox, and the date that a night is named by."""

import os
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tasks.runtime.workspace import Workspace

ENVIRONMENT_NAME = "STARLOOM_INBOX"
TIMEZONE = "Asia/Tokyo"
_NOON = timedelta(hours=12)
_NIGHT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNFINISHED = (".part", ".tmp", ".partial")


class InboxError(ValueError):
    """The inbox cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class NightFolder:
    """A night of an inbox.

    Attributes
    ----------
    name : str
        Date of the local evening, YYYY-MM-DD.
    path : Path
    inbox : Path
    """

    name: str
    path: Path
    inbox: Path


@dataclass(frozen=True)
class NightListing:
    """The nights of an inbox.

    Attributes
    ----------
    nights : tuple of NightFolder
        Oldest first.
    ignored : dict of str
        Why an entry is no night, by its name.
    """

    nights: tuple[NightFolder, ...]
    ignored: dict[str, str] = field(default_factory=dict)


def default_inbox(workspace: Workspace) -> Path:
    """Return the inbox that ``STARLOOM_INBOX`` names, else ``inbox`` of the workspace, which is made if absent."""
    named = os.environ.get(ENVIRONMENT_NAME)
    if named:
        return Path(named).expanduser()
    inbox = workspace.root / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    return inbox


def evening(now: datetime, timezone: str = TIMEZONE) -> date:
    """Return the date of the local evening of the night at `now`, which has a time zone: noon begins a new one."""
    return (now.astimezone(ZoneInfo(timezone)) - _NOON).date()


def is_night(name: str) -> bool:
    """Return whether a name is a date, YYYY-MM-DD."""
    try:
        return _NIGHT.fullmatch(name) is not None and date.fromisoformat(name) is not None
    except ValueError:
        return False


def is_unfinished(name: str) -> bool:
    """Return whether a name says that its file or folder is being written: hidden, or ``*.part, *.tmp, *.partial``."""
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def is_inside(path: Path, inbox: Path) -> bool:
    """Return whether what a path leads to, links followed, lies in the inbox."""
    return path.resolve().is_relative_to(inbox.resolve())


def list_nights(inbox: Path, today: date) -> NightListing:
    """Return the nights of an inbox up to `today`; other entries are named with the reason, unfinished ones left out.

    Raises
    ------
    InboxError
        There is no such folder, or it cannot be read.
    """
    nights, ignored = [], {}
    for entry in list_folder(inbox):
        if is_unfinished(entry.name):
            continue
        reason = _fault(entry, inbox, today)
        if reason is None:
            nights.append(NightFolder(entry.name, entry, inbox))
        else:
            ignored[entry.name] = reason
    return NightListing(tuple(nights), ignored)


def list_folder(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted.

    Raises
    ------
    InboxError
        There is no such folder, or it cannot be read.
    """
    if not folder.exists():
        raise InboxError(f"the inbox {folder} does not exist: make the folder, or give another path=")
    if not folder.is_dir():
        raise InboxError(f"the inbox {folder} is a file; it has to be a folder with one folder per night, YYYY-MM-DD")
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InboxError(
            f"the inbox {folder} cannot be read ({error.strerror}): give this user the right to"
        ) from error


def _fault(entry: Path, inbox: Path, today: date) -> str | None:
    """Return why an entry is no night that can be read; None if it is one."""
    if not is_night(entry.name):
        return "no date YYYY-MM-DD"
    if entry.name > today.isoformat():
        return f"in the future: the newest night is {today.isoformat()}"
    if not is_inside(entry, inbox):
        return "a link out of the inbox: move the files here"
    return None if entry.is_dir() else "no folder"
