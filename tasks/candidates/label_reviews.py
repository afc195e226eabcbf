"""Tables of candidates for people to judge, and their verdicts read back: whether each label is right or wrong."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from realbogus.models.label_errors import UNSURE, VERDICTS
from tasks.store.files import whole_file

COLUMNS = ("id", "label", "logit", "verdict")


class VerdictError(ValueError):
    """A table of verdicts cannot be used."""


def write_verdict_table(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write (id, label, logit) rows with an empty verdict each."""
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([name, label, f"{logit:.4f}", ""] for name, label, logit in rows)


def read_verdicts(path: Path, wanted: Sequence[str]) -> list[str]:
    """Return the verdict on each wanted id; what was left empty is unsure.

    Raises
    ------
    VerdictError
        A column or a wanted id is missing, or a verdict is none of right, wrong, unsure.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except OSError as error:
        raise VerdictError(f"{path} cannot be read: {error.strerror}") from error
    if not {"id", "verdict"} <= set(columns):
        raise VerdictError(f"{path} lacks the columns id and verdict; it has {', '.join(columns) or 'none'}")
    said = {row["id"]: (row["verdict"] or UNSURE).strip().lower() for row in rows}
    strange = sorted(set(said.values()) - set(VERDICTS))
    if strange:
        raise VerdictError(f"{path} has the verdict {strange[0]!r}; there are {', '.join(VERDICTS)}")
    missing = [name for name in wanted if name not in said]
    if missing:
        raise VerdictError(f"{path} has no row for {len(missing)} of {len(wanted)} wanted ids, such as {missing[0]}")
    return [said[name] for name in wanted]
