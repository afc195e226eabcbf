"""Tables of candidates whose labels people review, and the verdicts read back: right, wrong or unsure."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from realbogus.models.label_errors import UNSURE, VERDICTS
from tasks.runtime.run_log import run_logger
from tasks.store.files import whole_file

COLUMNS = ("id", "label", "logit", "verdict")


class VerdictError(ValueError):
    """A table of verdicts cannot be used."""


def write_verdict_table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table of `COLUMNS`; `rows` are (id, label, logit).

    Verdicts that are in the file are kept: beside their candidate, or in rows at the end where the label of the
    candidate is another or it is not among the rows. A file that cannot be read stays as it is.
    """
    try:
        kept = (
            {(row["id"], row.get("label")): row for row in _read_rows(path) if row["verdict"]} if path.exists() else {}
        )
    except VerdictError as error:
        run_logger().warning("%s: the file stays as it is", error)
        return
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for name, label, logit in rows:
            verdict = kept.pop((name, label), {"verdict": ""})["verdict"]
            writer.writerow([name, label, f"{logit:.4f}", verdict])
        writer.writerows([row.get(column) or "" for column in COLUMNS] for row in kept.values())


def read_verdicts(path: Path, ids: Sequence[str]) -> list[str]:
    """Return the verdict on each of `ids`; an empty one is unsure. Rows of other ids are ignored, as
    is a later row of an id.

    Raises
    ------
    VerdictError
        The file cannot be read, a column or an id is missing, or a verdict is none of right, wrong, unsure.
    """
    rows = _read_rows(path)
    verdicts = {row["id"]: (row["verdict"] or "").strip().lower() or UNSURE for row in reversed(rows)}
    unknown = sorted(set(verdicts.values()) - set(VERDICTS))
    if unknown:
        raise VerdictError(f"{path} has the verdict {unknown[0]!r}; there are {', '.join(VERDICTS)}")
    missing = [name for name in ids if name not in verdicts]
    if missing:
        raise VerdictError(f"{path} has no row for {len(missing)} of {len(ids)} requested ids, such as {missing[0]}")
    return [verdicts[name] for name in ids]


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except OSError as error:
        raise VerdictError(f"{path} cannot be read: {error.strerror}") from error
    if not {"id", "verdict"} <= set(columns):
        raise VerdictError(f"{path} lacks the columns id and verdict; it has {', '.join(columns) or 'none'}")
    return rows
