"""Studies: the same thing done under many settings, each row written as it is done.

A killed study goes on where it stopped. The time that is left is told after every row, from the rows done so far.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.store.files import write_json

Settings = Mapping[str, Any]


def row_name(settings: Settings) -> str:
    """Return what the file of a row is called: it follows from its settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def run_study(
    folder: Path,
    rows: Sequence[Settings],
    run_row: Callable[[Settings], dict[str, Any]],
    tell: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Run the rows that have no result yet and return all results in the order of `rows`, settings included.

    Parameters
    ----------
    folder : Path
        Holds a JSON file a finished row.
    rows : sequence of settings
        JSON values; each row once.
    run_row : callable
    tell : callable
        Is told before the first row how many there are, and after each how long the rest may take.
    """
    paths = [folder / f"row-{row_name(settings)}.json" for settings in rows]
    left = [at for at, path in enumerate(paths) if not path.exists()]
    tell(f"{len(rows)} rows, {len(rows) - len(left)} are there already")
    started = time.monotonic()
    for done, at in enumerate(left, start=1):
        begun = time.monotonic()
        result = run_row(rows[at])
        write_json(paths[at], {**rows[at], **result, "seconds": round(time.monotonic() - begun, 1)})
        rest = (time.monotonic() - started) / done * (len(left) - done)
        tell(f"row {done} of {len(left)}: {_words(rows[at])}; some {rest / 60:.0f} min are left")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _words(settings: Settings) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value not in (None, "", False))
