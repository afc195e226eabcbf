"""The labelling queue of a night: what people are asked to judge, with the probability with which it was chosen.

Rows on which two models decide differently are the ones that tell them apart; rates need the others too. So all rows
that differ are asked for, up to a number, and a random stream of a tenth of the rest. Each row keeps the probability
with which it came into the queue, and rates weight it by one over that (Horvitz & Thompson 1952, J. Am. Stat. Assoc.
47, 663).
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.decisions.ledger import decisions_folder
from tasks.learning.intervals import Interval
from tasks.learning.resampling import percentile_interval, resampled_counts
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_float, to_text
from tasks.store.files import file_stem, read_table, whole_file, write_table
from tasks.store.sampling import hash_order

UNSURE = "unsure"
RIGHT, WRONG = "right", "wrong"
"""Verdicts on a row's label, of tables that have one (`tasks.candidates.label_reviews`)."""
DIFFER, RANDOM = "differ", "random"
"""Streams: rows on which the models decide differently, and the random one of the others."""
REPEATS = 1000

QUEUE = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("group", pa.string()),
        pa.field("stream", pa.string()),
        pa.field("inclusion_probability", pa.float64()),
        pa.field("champion_logit", pa.float64()),
        pa.field("challenger_logit", pa.float64()),
        pa.field("champion_decision", pa.string()),
        pa.field("challenger_decision", pa.string()),
        pa.field("verdict", pa.string()),
    ]
)
"""Columns of a queue, one row per id. `verdict` is a class, ``unsure``, or null: not looked at yet."""


class QueueError(ValueError):
    """A table of verdicts cannot be used; the message names the file, the value and what it may hold."""


class QueueSettings(BaseModel):
    """How much of a night people are asked to judge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most_differing: int = Field(default=200, ge=0)
    """Rows on which the models differ, at most."""
    share: float = Field(default=0.1, gt=0, le=1)
    """Of the other rows, the share in the random stream."""
    most_random: int = Field(default=200, ge=0)
    """Rows of the random stream, at most."""
    seed: int = 0
    """Key of the hash that draws."""


@dataclass(frozen=True)
class Decided:
    """A model's logits (n,) and decisions (n,), class names, on the rows of a night."""

    logits: NDArray[np.float64]
    decisions: NDArray[np.str_]


@dataclass(frozen=True)
class Verdict:
    """A person's verdict on a row: its class, and the probability with which the row was chosen to be judged.

    `probability` is None of a table that was drawn by one model's score: its rows are no sample of all.
    """

    label: str
    probability: float | None


def build_queue(
    ids: Sequence[str],
    groups: Sequence[str | None],
    champion: Decided,
    challenger: Decided,
    settings: QueueSettings,
    night: str,
) -> pa.Table:
    """Return the queue of a night, `QUEUE`, those that differ first, in the order in which they were drawn.

    A stream that has more rows than its number is drawn from with equal chances: ``number / rows`` is its probability.

    Parameters
    ----------
    ids : (n,) text
        Rows that both models scored.
    groups : (n,) text
        Rows of one group are resampled together; null: the row alone.
    champion, challenger : Decided
    settings : QueueSettings
    night : str
        YYYY-MM-DD; another night draws other rows of the same ids.
    """
    differ = champion.decisions != challenger.decisions
    others = int((~differ).sum())
    sizes = {
        DIFFER: min(int(differ.sum()), settings.most_differing),
        RANDOM: min(max(round(settings.share * others), min(others, 1)), settings.most_random),
    }
    tables = []
    for stream, members in ((DIFFER, np.flatnonzero(differ).tolist()), (RANDOM, np.flatnonzero(~differ).tolist())):
        order = hash_order((f"{night}/{stream}/{ids[row]}" for row in members), settings.seed)
        rows = [members[place] for place in order[: sizes[stream]]]
        columns: dict[str, Any] = {
            "id": [ids[row] for row in rows],
            "group": [groups[row] or ids[row] for row in rows],
            "stream": [stream] * len(rows),
            "inclusion_probability": np.full(len(rows), sizes[stream] / max(len(members), 1)),
            "champion_logit": champion.logits[rows],
            "challenger_logit": challenger.logits[rows],
            "champion_decision": champion.decisions[rows].tolist(),
            "challenger_decision": challenger.decisions[rows].tolist(),
            "verdict": pa.nulls(len(rows), pa.string()),
        }
        tables.append(pa.table([pa.array(columns[field.name], field.type) for field in QUEUE], schema=QUEUE))
    return pa.concat_tables(tables)


def queue_folder(workspace: Workspace) -> Path:
    """Return the folder of all nights' queues."""
    return decisions_folder(workspace) / "queue"


def queue_path(workspace: Workspace, name: str, night: str) -> Path:
    """Return the path of a night's queue for the models of a name; the table for people is beside it, ``.csv``."""
    return queue_folder(workspace) / name / f"{file_stem(night)}.parquet"


def write_queue(workspace: Workspace, name: str, night: str, queue: pa.Table) -> Path:
    """Write a night's queue for the models of a name and its table for people, and return the path of the former.

    A table for people that exists is kept if it has the same ids, for it may hold verdicts.

    Raises
    ------
    QueueError
        The table for people is of other ids and holds verdicts.
    """
    path = queue_path(workspace, name, night)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = path.with_suffix(".csv")
    rows = _read_rows(sheet) if sheet.exists() else None
    is_same = rows is not None and [row["id"] for row in rows] == queue["id"].to_pylist()
    if not is_same and any((row["verdict"] or "").strip() for row in rows or ()):
        raise QueueError(
            f"{sheet} holds verdicts on other rows than the queue of night {night} has now: move it away, and give "
            "it as a table of verdicts"
        )
    write_table(path, queue)
    if not is_same:
        with whole_file(sheet) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(queue.column_names)
            writer.writerows(["" if value is None else value for value in row.values()] for row in queue.to_pylist())
    return path


def read_queue(workspace: Workspace, name: str, night: str, classes: Sequence[str]) -> pa.Table:
    """Return a night's queue for the models of a name, with the verdicts that people have filled in.

    A verdict is one of `classes`, or unsure.

    Raises
    ------
    QueueError
        The table for people has an unknown verdict.
    """
    path = queue_path(workspace, name, night)
    queue, sheet = read_table(path), path.with_suffix(".csv")
    if not sheet.exists():
        return queue
    given = {row["id"]: row for row in _read_rows(sheet)}
    verdicts = [_queue_word(sheet, given.get(name), classes) for name in queue["id"].to_pylist()]
    return queue.set_column(queue.schema.get_field_index("verdict"), "verdict", pa.array(verdicts, pa.string()))


def read_verdicts(tables: Sequence[Path], classes: Sequence[str]) -> dict[str, Verdict]:
    """Return the verdict on each id of some tables of people; unsure and empty ones give none, the last table counts.

    A table has the columns ``id`` and ``verdict``. A verdict is a class, or, beside a column ``label``, whether that is
    right or wrong; a wrong one of more than two classes says no class. ``inclusion_probability`` is the chance with
    which a row came into the table; it is lowered by the rows of its ``stream`` without a verdict. A table of which a
    whole stream has no verdict is no sample of all rows.

    Raises
    ------
    QueueError
        A table cannot be read, lacks a column, or has an unknown verdict or probability.
    """
    verdicts: dict[str, Verdict] = {}
    for path in tables:
        rows = _read_rows(path)
        words = [_verdict_of(path, row, classes) for row in rows]
        asked = Counter(map(_stream, rows))
        answered = Counter(_stream(row) for row, word in zip(rows, words, strict=True) if word)
        for row, word in zip(rows, words, strict=True):
            if word:
                probability, stream = _probability(path, row), _stream(row)
                if probability is not None:
                    probability *= answered[stream] / asked[stream]
                verdicts[row["id"]] = Verdict(word, probability if asked.keys() == answered.keys() else None)
    return verdicts


def queue_tables(workspace: Workspace, name: str) -> list[Path]:
    """Return the tables for people of all queues for the models of a name, oldest night first."""
    return sorted((queue_folder(workspace) / name).glob("*.csv"))


def weighted_rates(queue: pa.Table, positive: str | None, rng: np.random.Generator) -> dict[str, Any]:
    """Return the rates of both models on a night, from the verdicts on its queue.

    A row counts one over its inclusion probability, times the rows of its stream over those with a verdict: unsure and
    not looked at are taken to be like the others of their stream.

    Parameters
    ----------
    queue : Table
        `QUEUE`.
    positive : str or None
        The class whose rates are given, such as real; None: the error rate alone.
    rng : Generator
        Of the resampling of groups.

    Returns
    -------
    dict
        ``rows, judged, unsure``; by model ``error_rate``, and of a class ``true_positive_rate``,
        ``false_positive_rate`` and ``purity``, beside ``positive_share`` of the night; each with ``_low`` and
        ``_high``, None where there is none, as of a queue that has no verdict on a whole stream.
    """
    words = to_text(queue["verdict"])
    judged = (words != "") & (words != UNSURE)
    streams = to_text(queue["stream"])
    if set(streams) != set(streams[judged]):
        judged = np.zeros(len(words), bool)
    rows = queue.filter(pa.array(judged))
    weights, groups = _answer_weights(queue, judged), to_text(rows["group"])
    everything, verdicts = np.ones(rows.num_rows, bool), to_text(rows["verdict"])

    def measure(name: str, among: NDArray, event: NDArray) -> dict[str, float | None]:
        return _rate(among, event, weights, groups, rng).to_summary(name)

    rates: dict[str, Any] = {
        "rows": queue.num_rows,
        "judged": rows.num_rows,
        "unsure": int((words == UNSURE).sum()),
    }
    if positive is not None:
        rates |= measure("positive_share", everything, verdicts == positive)
    for model in ("champion", "challenger"):
        decisions = to_text(rows[f"{model}_decision"])
        rates[model] = measure("error_rate", everything, decisions != verdicts)
        if positive is not None:
            truth, selected = verdicts == positive, decisions == positive
            rates[model] |= measure("true_positive_rate", truth, selected)
            rates[model] |= measure("false_positive_rate", ~truth, selected)
            rates[model] |= measure("purity", selected, truth)
    return rates


def _answer_weights(queue: pa.Table, judged: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weight of each judged row, (m,)."""
    streams, weights = to_text(queue["stream"]), 1 / to_float(queue["inclusion_probability"])
    for stream in np.unique(streams):
        of_stream = streams == stream
        answered = int((of_stream & judged).sum())
        weights[of_stream] *= of_stream.sum() / max(answered, 1)
    return np.asarray(weights[judged])


def _rate(among: NDArray, event: NDArray, weights: NDArray, groups: NDArray, rng: np.random.Generator) -> Interval:
    """Return the weighted share of the rows `among`, (m,) bool, that are `event`, groups resampled."""
    total, part = weights * among, weights * (among & event)
    if not total.sum():
        return Interval(np.nan, np.nan, np.nan)
    resampled = [_ratios(counts @ part, counts @ total) for counts in resampled_counts(groups, rng, REPEATS)]
    values = np.concatenate(resampled) if resampled else np.empty(0)
    return percentile_interval(float(part.sum() / total.sum()), values)


def _ratios(parts: NDArray, totals: NDArray) -> NDArray[np.float64]:
    return np.asarray(parts / np.where(totals > 0, totals, np.nan))


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QueueError(f"{path} cannot be read as a table of verdicts ({error})") from error
    if not {"id", "verdict"} <= set(columns):
        raise QueueError(f"{path} lacks the columns id and verdict; it has {', '.join(columns) or 'none'}")
    return rows


def _queue_word(path: Path, row: Mapping[str, str | None] | None, classes: Sequence[str]) -> str | None:
    """Return a queue's verdict: a class, unsure, or None where there is no answer."""
    if row is None or not (row["verdict"] or "").strip():
        return None
    return _verdict_of(path, row, classes) or UNSURE


def _stream(row: Mapping[str, str | None]) -> str:
    return row.get("stream") or ""


def _verdict_of(path: Path, row: Mapping[str, str | None], classes: Sequence[str]) -> str | None:
    """Return the class that a row's verdict says; None where it says none."""
    word, label = (row["verdict"] or "").strip(), (row.get("label") or "").strip()
    known = {name.casefold(): name for name in (*classes, UNSURE)}
    if label and word.casefold() == RIGHT:
        word = label
    elif label and word.casefold() == WRONG:
        others = [name for name in classes if name != label]
        word = others[0] if len(others) == 1 else UNSURE
    if not word:
        return None
    if word.casefold() not in known:
        allowed = ", ".join((*classes, *([RIGHT, WRONG] if label else [])))
        raise QueueError(f"{path} has the verdict {word!r} of {row['id']}; there are {allowed} and {UNSURE}")
    verdict = known[word.casefold()]
    return None if verdict == UNSURE else verdict


def _probability(path: Path, row: Mapping[str, str | None]) -> float | None:
    text = (row.get("inclusion_probability") or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1:
        raise QueueError(f"{path} has the inclusion probability {text!r} of {row['id']}: it lies above 0 and up to 1")
    return value
