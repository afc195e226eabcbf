"""Resumable studies: one piece of work under many settings, each row saved when it is finished.

An interrupted study continues with the rows that have no result. The remaining time is logged after every row,
extrapolated from the rows finished so far.
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
    """Return the digest of a row's settings, which names its file; their order does not matter."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def run_study(
    folder: Path,
    rows: Sequence[Settings],
    run_row: Callable[[Settings], dict[str, Any]],
    log: Callable[[str], None],
    estimate: Callable[[list[dict[str, Any]], list[Settings]], float] | None = None,
) -> list[dict[str, Any]]:
    """Run the rows that have no result yet and return all results in the order of `rows`, settings included.

    Parameters
    ----------
    folder : Path
        Holds one JSON file per finished row.
    rows : sequence of settings
        JSON values; no two rows are equal.
    run_row : callable
        Returns the results of one row.
    log : callable
        Called with a message before the first row and after each.
    estimate : callable, optional
        The results so far and the missing rows to the seconds that the latter will take. None: the mean time of the
        rows of this call, which is not known before the first of them.
    """
    paths = [folder / f"row-{row_name(settings)}.json" for settings in rows]
    missing = [position for position, path in enumerate(paths) if not path.exists()]
    results = {position: _read(path) for position, path in enumerate(paths) if path.exists()}
    started = time.monotonic()

    def remaining(finished: int) -> str:
        """Return the expected time of the rows after the first `finished` missing ones."""
        rest = [rows[position] for position in missing[finished:]]
        if estimate is None:
            seconds = (time.monotonic() - started) / max(finished, 1) * len(rest)
        else:
            seconds = estimate(list(results.values()), rest)
        return f"about {seconds / 60:.0f} min remaining" if seconds >= 60 else "less than 1 min remaining"

    ahead = f"; {remaining(0)}" if estimate is not None and missing else ""
    log(f"{len(rows)} rows, {len(rows) - len(missing)} are there already{ahead}")
    for finished, position in enumerate(missing, start=1):
        row_started = time.monotonic()
        result = run_row(rows[position])
        seconds = round(time.monotonic() - row_started, 1)
        write_json(paths[position], {**rows[position], **result, "seconds": seconds})
        results[position] = _read(paths[position])
        log(f"row {finished} of {len(missing)}: {describe_row(rows[position])}; {remaining(finished)}")
    return [results[position] for position in range(len(rows))]


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def describe_row(settings: Settings) -> str:
    """Return a row's settings in words, without empty ones."""
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value not in (None, "", False, {}))
