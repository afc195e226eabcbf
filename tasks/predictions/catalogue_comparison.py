"""Agreement of predicted galaxy classes with a published catalogue: matrix, Cohen's kappa, page and JSON."""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.galaxies.building.sources import sky_tables
from tasks.learning import measures
from tasks.learning.predictions import BOOTSTRAPS, SEED
from tasks.predictions.comparison_page import comparison_page
from tasks.predictions.prediction_rows import probability_column
from tasks.predictions.prediction_sources import PredictionError
from tasks.predictions.published_classes import CLASS, contradicted_ids, match_catalogue, read_published_classes
from tasks.runtime.workspace import Workspace
from tasks.store.columns import to_bool
from tasks.store.files import file_stem, sha256_of_file, whole_file, write_json
from tasks.training.evaluation_record import none_for_nan

MOST_OTHER_CLASSES = 40
"""Classes of a catalogue that the model lacks, as rows of the matrix; more share one row."""
OTHERS = "others"
OTHER_CLASS = "other_class"
"""Reason of a prediction whose object has, in the catalogue, a class that the model lacks."""
COLUMNS = ("id", "class", "in_training", "not_scored", "ra_deg", "dec_deg", "group", "model")


class ComparisonRequest(BaseModel):
    """Predictions, and the catalogue that they are compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: str | None = None
    """A table of any format that an ingest reads, or the name of an ingested catalogue; None: the truth of the
    simulated sky of seed 0, each class of which means the model's class that its name begins with."""
    predictions: str | None = None
    """A scores file of `predict-galaxies` or its name; None: the newest."""
    columns: dict[str, str] = {}
    """Role (class, id, ra, dec) -> column of the catalogue."""
    classes: dict[str, str] = {}
    """Class as the catalogue writes it -> class of the model, where they differ."""
    radius_arcsec: float = Field(default=2.0, gt=0, le=60)
    name: str | None = None
    """Name of the page and the JSON file; None: those of predictions and catalogue."""


def compare_catalogue(workspace: Workspace, request: ComparisonRequest) -> dict[str, Any]:
    """Compare predictions with a catalogue, write page and JSON, and return the summary.

    Raises
    ------
    PredictionError
        There are no such predictions, or none of them can be compared.
    TableError, ColumnRoleError
        The catalogue cannot be read, or its columns are not understood.
    """
    started = time.monotonic()
    scores, classes = find_predictions(workspace, request.predictions)
    path, columns = find_catalogue(workspace, request)
    published = read_published_classes(path, columns)
    predictions = pq.read_table(scores, columns=list(COLUMNS))
    match = match_catalogue(predictions, published.rows, request.radius_arcsec)
    translation = request.classes if request.catalog is not None else prefixes(published.rows[CLASS], classes)
    theirs = translate(published.rows[CLASS], translation, classes)
    reasons = not_compared(predictions, match.rows, match.taken, theirs, contradicted_ids(published.rows), classes)
    compared = np.flatnonzero([reason is None for reason in reasons])
    if not len(compared):
        raise PredictionError(_why_nothing(path, reasons, theirs, classes))
    of_match = np.array(
        [
            theirs[row] if reason in (None, OTHER_CLASS) else None
            for row, reason in zip(match.rows.tolist(), reasons, strict=True)
        ],
        object,
    )
    counted = Counter(reason for reason in reasons if reason is not None)
    seen = predictions["in_training"].combine_chunks()
    unseen = None if seen.null_count == len(seen) else compared[~to_bool(seen)[compared]]
    result = {
        "predictions": str(scores),
        "predictions_sha256": sha256_of_file(scores),
        "model": pc.drop_null(predictions["model"])[0].as_py(),
        "catalog": str(path),
        "catalog_sha256": sha256_of_file(path),
        "understood": published.understood,
        "radius_arcsec": request.radius_arcsec,
        "count": predictions.num_rows,
        "matched": {
            "by_id": int(match.by_id.sum()),
            "by_position": int(((match.rows >= 0) & ~match.by_id).sum()),
        },
        "not_compared": dict(counted.most_common()),
        **agreement(predictions, of_match, compared, classes),
        "unseen": None if unseen is None or not len(unseen) else agreement(predictions, of_match, unseen, classes),
        "matrix": matrix(predictions, of_match, classes),
    }
    stem = f"compare-{file_stem(request.name or f'{scores.stem}-{path.stem}')}"
    report, as_json = workspace.reports / f"{stem}.html", workspace.reports / f"{stem}.json"
    result = none_for_nan(result)
    with whole_file(report) as unfinished:
        unfinished.write_text(comparison_page(result, classes), encoding="utf-8")
    write_json(as_json, result)
    more = {"path": str(as_json), "report": str(report), "seconds": round(time.monotonic() - started, 1)}
    return result | more


def find_catalogue(workspace: Workspace, request: ComparisonRequest) -> tuple[Path, dict[str, str]]:
    """Return the path of a request's catalogue, and its columns by role."""
    if request.catalog is None:
        return sky_tables(workspace, seed=0)[2], {CLASS: "truth"}
    path, ingested = Path(request.catalog).expanduser(), workspace.catalogs / f"{request.catalog}.parquet"
    return (ingested if not path.exists() and ingested.is_file() else path), request.columns


def prefixes(values: pa.ChunkedArray, classes: list[str]) -> dict[str, str]:
    """Return the longest of `classes` that each value begins with; without the values that have none."""
    known = [value for value in pc.unique(values).to_pylist() if value is not None]
    found = {value: [name for name in classes if value.startswith(name)] for value in known}
    return {value: max(names, key=len) for value, names in found.items() if names}


def find_predictions(workspace: Workspace, predictions: str | None) -> tuple[Path, list[str]]:
    """Return the scores file that `predictions` names, None meaning the newest, and the classes of its model.

    Raises
    ------
    PredictionError
        There is none, or it is no scores file of `predict-galaxies`.
    """
    if predictions is None:
        files = sorted(workspace.scores.glob("*.parquet"), key=lambda path: path.stat().st_mtime, reverse=True)
        path = next((path for path in files if _is_predictions(path)), None)
        if path is None:
            raise PredictionError(f"{workspace.scores} holds no predictions: run predict-galaxies first")
    else:
        named = workspace.scores / f"{predictions}.parquet"
        path = named if named.is_file() else Path(predictions).expanduser()
    if not path.is_file() or not _is_predictions(path):
        names = sorted(file.stem for file in workspace.scores.glob("*.parquet") if _is_predictions(file))
        raise PredictionError(
            f"predictions={predictions} is no Parquet file that predict-galaxies wrote; there are: "
            f"{', '.join(names) or 'none'}"
        )
    prefix = probability_column("")
    names = pq.read_schema(path).names
    return path, [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _is_predictions(path: Path) -> bool:
    try:
        return set(COLUMNS) <= set(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError):
        return False


def translate(values: pa.ChunkedArray, translation: Mapping[str, str], classes: list[str]) -> list[str | None]:
    """Return a catalogue's classes in the model's words: by `translation`, else as they are.

    Raises
    ------
    PredictionError
        A class of the translation is none of the catalogue's, or none of the model's.
    """
    present = [value for value in pc.unique(values).to_pylist() if value is not None]
    for value, name in translation.items():
        if name not in classes:
            raise PredictionError(f"classes names {name!r}, the model's classes are {', '.join(classes)}")
        if value not in present:
            raise PredictionError(f"classes names {value!r}, the catalogue's classes are {', '.join(present[:20])}")
    words = {value: translation.get(value, value) for value in present}
    return [None if value is None else words[value] for value in values.to_pylist()]


def not_compared(
    predictions: pa.Table,
    rows: NDArray[np.int64],
    taken: NDArray[np.bool_],
    theirs: list[str | None],
    contradicted: pa.Array,
    classes: list[str],
) -> list[str | None]:
    """Return why each of n predictions is not compared; None where it is.

    Parameters
    ----------
    predictions : (n,) Table
        `COLUMNS`.
    rows : (n,) int64
        Catalogue row, -1 without one.
    taken : (n,) bool
        See `Match`.
    theirs : list of str or None
        The catalogue's classes in the model's words.
    contradicted : Array of str
        Ids of several classes.
    classes : list of str
        The model's.

    Returns
    -------
    list of str or None
        ``not_scored``, ``no_match``, ``nearer_to_another``, ``several_classes``, ``class_missing``, ``other_class``.
    """
    several = set(contradicted.to_pylist())
    known = set(classes)

    def reason(sample_id: str, own: str | None, row: int, is_taken: bool) -> str | None:
        if own is None:
            return "not_scored"
        if row < 0:
            return "nearer_to_another" if is_taken else "no_match"
        if sample_id in several:
            return "several_classes"
        if theirs[row] is None:
            return "class_missing"
        return None if theirs[row] in known else OTHER_CLASS

    columns = (predictions["id"].to_pylist(), predictions["class"].to_pylist(), rows.tolist(), taken.tolist())
    return [reason(*values) for values in zip(*columns, strict=True)]


def agreement(
    predictions: pa.Table, theirs: NDArray[np.object_], compared: NDArray[np.int64], classes: list[str]
) -> dict[str, Any]:
    """Return the figures of some rows: count, share that agree (Wilson's interval), kappa (groups resampled)."""
    positions = {name: position for position, name in enumerate(classes)}
    own = np.array([positions[name] for name in predictions["class"].take(pa.array(compared)).to_pylist()])
    other = np.array([positions[name] for name in theirs[compared]])
    share = measures.accuracy(other, own)
    groups = pc.coalesce(predictions["group"], predictions["id"]).take(pa.array(compared)).to_pylist()

    def kappa(rows: NDArray[np.int64]) -> float:
        return measures.cohen_kappa(measures.pair_counts(other[rows], own[rows], len(classes)))

    found = measures.group_bootstrap(groups, kappa, np.random.default_rng(SEED), BOOTSTRAPS)
    return {
        "compared": len(compared),
        "agreement": share.value,
        "agreement_low": share.low,
        "agreement_high": share.high,
        "kappa": found.value,
        "kappa_low": found.low,
        "kappa_high": found.high,
    }


def matrix(predictions: pa.Table, theirs: NDArray[np.object_], classes: list[str]) -> dict[str, dict[str, int]]:
    """Return the counts by the catalogue's class, then by the model's; the model's classes first, others by number."""
    pairs = Counter(
        (other, own)
        for other, own in zip(theirs.tolist(), predictions["class"].to_pylist(), strict=True)
        if other is not None and own is not None
    )
    others = Counter[str]()
    for (other, _), count in pairs.items():
        others[other] += 0 if other in classes else count
    shown = [name for name, count in others.most_common() if count][:MOST_OTHER_CLASSES]
    table = {name: dict.fromkeys(classes, 0) for name in (*classes, *shown)}
    for (other, own), count in pairs.items():
        table.setdefault(other if other in table else OTHERS, dict.fromkeys(classes, 0))[own] += count
    return table


def _why_nothing(path: Path, reasons: list[str | None], theirs: list[str | None], classes: list[str]) -> str:
    counts = ", ".join(f"{reason} {count:,}" for reason, count in Counter(reasons).most_common())
    values = ", ".join(str(value) for value, _ in Counter(theirs).most_common(8))
    return (
        f"none of {len(reasons):,} predictions can be compared with {path} ({counts}); its classes are {values}, the "
        f"model's are {', '.join(classes)}: name the columns with columns=, the classes with classes="
    )
