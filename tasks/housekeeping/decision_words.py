"""What the decision ledger and the holdouts name, and which of them cannot be read."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from tasks.housekeeping.mentions import words_of_value
from tasks.runtime.workspace import Workspace
from tasks.store.errors import DamagedTableError
from tasks.store.files import read_table


@dataclass
class Named:
    """Words of the decision ledger and of the holdouts.

    Attributes
    ----------
    ledger, holdouts : set of str
    torn : list of str
        Parts of the ledger and holdouts that cannot be read, with the reason.
    """

    ledger: set[str] = field(default_factory=set)
    holdouts: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)


def read_named(workspace: Workspace) -> Named:
    """Read every part of the ledger and every holdout; a workspace without decisions names nothing."""
    named, folder = Named(), workspace.root / "decisions"
    ledger = folder / "ledger.parquet"
    for part in _files(ledger, "*.parquet") if ledger.is_dir() else [ledger] if ledger.exists() else []:
        try:
            for row in read_table(part).to_pylist():
                named.ledger |= words_of_value(row)
        except DamagedTableError as error:
            named.torn.append(str(error))
    for path in _files(folder / "holdouts", "*.json"):
        try:
            named.holdouts |= words_of_value(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            named.torn.append(f"{path} cannot be read ({error})")
    return named


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder and of those below it, without unfinished ones, which begin with a dot."""
    return sorted(path for path in folder.rglob(pattern) if path.is_file() and not path.name.startswith("."))
