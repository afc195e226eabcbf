"""The scores of a workspace's nights: a table and a record for each night, and those that were there before.

A new table takes the place of the old one, then the new record that of the old. A process that dies between the two
leaves a table that its record does not describe, which `read_night` tells.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from tasks.night.models import NightError
from tasks.night.score_table import SCORES, STAGES
from tasks.night.scoring import BY_FULL
from tasks.night.scoring_record import FORMAT_VERSION, ScoringRecord, digest_scored
from tasks.runtime.workspace import Workspace
from tasks.store.files import sha256_of_file, whole_file, write_json

HISTORY = "history"
"""Folder of `Workspace.scores` that holds what newer scores took the place of."""
COMPARISON = ".against"
"""End of the name of a second model's scores of a night, which are no night of their own."""
_MARKS = {"logit", "decision", "stamp_sha256"}
"""Columns by which a table in `Workspace.scores` is known to be a night's."""
_OF_VISITS = "superseded"
"""Column by which it is known to be of visits, which are scored one by one as they arrive (`tasks.visits`)."""


@dataclass(frozen=True)
class NightFiles:
    """Where the scores of a night lie."""

    workspace: Workspace
    night: str

    @property
    def scores(self) -> Path:
        """The table, `score_table.SCORES`."""
        return self.workspace.scores / f"{self.night}.parquet"

    @property
    def record(self) -> Path:
        """The record, `ScoringRecord`."""
        return self.workspace.scores / f"{self.night}.json"

    @property
    def untold(self) -> Path:
        """There while scores have a record, but not yet their page and their run in MLflow."""
        return self.workspace.root / "scoring" / f"{self.night}.untold"

    @contextmanager
    def replaced(self) -> Iterator[Path]:
        """Give a path for a new table, which takes the place of the old one if the block ends without an error."""
        with whole_file(self.scores) as beside:
            yield beside
            self._keep_old(beside)

    def write_record(self, record: ScoringRecord) -> None:
        """Write the record of the table that is there, of which nobody was told yet."""
        self.untold.parent.mkdir(parents=True, exist_ok=True)
        self.untold.touch()
        write_json(self.record, record.model_dump(mode="json"))

    def kept(self, scores_sha256: str) -> "NightFiles":
        """Return where an earlier table with this sha256 is kept, with its record."""
        return NightFiles(self.workspace, f"{HISTORY}/{self.night}.{scores_sha256[:8]}")

    def _keep_old(self, beside: Path) -> None:
        """Link the present table and its record into the history, unless the new table equals it."""
        if not self.scores.exists() or (old := sha256_of_file(self.scores)) == sha256_of_file(beside):
            return
        kept = self.kept(old)
        _link(self.scores, kept.scores)
        record, _ = _read_record(self.record)
        if record is not None and record.scores_sha256 == old:
            _link(self.record, kept.record)


def _link(path: Path, target: Path) -> None:
    """Give a file a second name; where the file system has no hard links it is copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        os.link(path, target)
    except OSError:
        with whole_file(target) as unfinished:
            shutil.copyfile(path, unfinished)


@dataclass(frozen=True)
class ScoredFile:
    """What is known of the scores of a night.

    Attributes
    ----------
    files : NightFiles
    record : ScoringRecord or None
        As read; it describes the table only where `problem` is None.
    problem : str or None
        Why table and record cannot be used as they are.
    candidates_known : bool
        Whether the candidates of the record are those of the table, as far as the table can be read.
    model, model_sha256, preprocessing_version, threshold_version : str or None
        Of the full model, from the record, or else from the table.
    threshold : float or None
    """

    files: NightFiles
    record: ScoringRecord | None
    problem: str | None
    candidates_known: bool = True
    model: str | None = None
    model_sha256: str | None = None
    preprocessing_version: str | None = None
    threshold: float | None = None
    threshold_version: str | None = None

    @property
    def night(self) -> str:
        """Name of the night."""
        return self.files.night

    def intact(self) -> ScoringRecord:
        """Return the record of a table that is as it was written.

        Raises
        ------
        NightError
            There is no such record.
        """
        if self.record is None or self.problem is not None:
            raise NightError(f"night {self.night}: {self.problem}")
        return self.record


def scored_nights(workspace: Workspace) -> list[str]:
    """Return the names of all nights with scores, sorted; a table that cannot be read counts as one."""
    names = {path.stem for path in workspace.scores.glob("*.parquet") if _may_be_night(path)}
    names |= {path.stem for path in workspace.scores.glob("*.json") if _read_record(path)[0] is not None}
    return sorted(names)


def _may_be_night(path: Path) -> bool:
    if path.stem.endswith(COMPARISON) or path.name.startswith("."):
        return False
    try:
        names = set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return True
    return names >= _MARKS and _OF_VISITS not in names


def find_night(workspace: Workspace, night: str) -> ScoredFile:
    """Return what is known of the scores of a night.

    Raises
    ------
    NightError
        There are none; the message lists the nights that have some.
    """
    nights = scored_nights(workspace)
    if not nights:
        raise NightError(f"no night has scores in {workspace.scores}: score one with `starloom run score-night`")
    if night not in nights:
        shown = ", ".join(nights[-20:])
        earlier = f" and {len(nights) - 20} before them" if len(nights) > 20 else ""
        raise NightError(f"night={night} has no scores in {workspace.scores}; there are: {shown}{earlier}")
    return read_night(NightFiles(workspace, night))


def read_night(files: NightFiles) -> ScoredFile:
    """Return what is known of the scores in some files, whose table is compared with its record."""
    record, fault = _read_record(files.record)
    if not files.scores.is_file():
        return _by_record(files, record, f"{files.scores.name} is missing, its record is there")
    if record is not None and sha256_of_file(files.scores) == record.scores_sha256:
        return _by_record(files, record, None)
    try:
        facts = _facts_of_table(files.scores)
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())
        return _by_record(files, record, f"{files.scores.name} cannot be read ({reason})")
    lacking = [name for name in SCORES.names if name not in pq.read_schema(files.scores).names]
    if lacking:
        fault = f"{files.scores.name} is of an earlier format without the columns {', '.join(lacking)}"
    if record is None:
        return ScoredFile(
            files, None, fault or f"{files.scores.name} has no record {files.record.name}", False, **facts
        )
    known = digest_scored(files.scores) == record.source.stamps_digest
    problem = fault or (
        f"{files.scores.name} is not the table that {files.record.name} describes (sha256 "
        f"{record.scores_sha256[:8]}): its scoring was interrupted, or it was changed"
    )
    return ScoredFile(files, record, problem, known, **facts)


def _by_record(files: NightFiles, record: ScoringRecord | None, problem: str | None) -> ScoredFile:
    if record is None:
        return ScoredFile(files, None, problem, False)
    model = record.model
    facts = (model.name, model.sha256, model.preprocessing_version, record.threshold, record.threshold_version)
    return ScoredFile(files, record, problem, True, *facts)


def _facts_of_table(scores: Path) -> dict[str, Any]:
    """Return model and threshold of the full model's first row; None where it scored none, or the column is absent."""
    wanted = ["model", "model_sha256", "preprocessing_version", "threshold", "threshold_version"]
    present = set(pq.read_schema(scores).names)
    table = pq.read_table(scores, columns=[name for name in [*wanted, "stage"] if name in present])
    if "stage" in present:
        table = table.filter(pc.equal(table["stage"], STAGES[BY_FULL]))
    elif "model" in present:
        table = table.filter(pc.is_valid(table["model"]))
    return {name: table[name][0].as_py() if name in present and table.num_rows else None for name in wanted}


def _read_record(path: Path) -> tuple[ScoringRecord | None, str | None]:
    """Return a record, or None and what is wrong with the file, None if there is none."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return ScoringRecord(**facts), None
    except FileNotFoundError:
        return None, None
    except ValidationError as error:
        version = facts.get("format_version")
        if version != FORMAT_VERSION:
            return None, f"{path.name} is of format {version}, this program reads {FORMAT_VERSION}"
        first = error.errors()[0]
        return None, f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, TypeError) as error:  # no UTF-8, no JSON, no object
        return None, f"{path.name} cannot be read ({error})"
