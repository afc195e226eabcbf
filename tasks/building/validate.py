"""Validation of a dataset: rows before they are packed, sets before they are published, and the page of results.

``judge_images`` says which rows to reject. ``judge_version`` judges what is about to be published; ``require``
raises where a set fails; ``write_validation`` fills a version's ``validation/``. Great Expectations is imported
when something is judged.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from prefect import task

from expectations import frames, suites
from expectations.results import ValidationFailed, ValidationResult, require
from tasks.reports.page import Heading, Headline, Headlines, Table, Text, page
from tasks.runtime.workspace import Workspace
from tasks.store.columns import select_ids
from tasks.store.dataset import Dataset
from tasks.store.schema import LEDGER
from tasks.store.versions import stored_rows

__all__ = [
    "ValidationFailed",
    "ValidationResult",
    "judge_candidates",
    "judge_catalogue",
    "judge_images",
    "judge_version",
    "require",
    "validate_dataset",
    "write_validation",
]

STATISTICS = ("id", "blank_fraction", "mean", "std", "finite_fraction", "pixel_sha256")


def judge_catalogue(catalogue: pa.Table) -> list[ValidationResult]:
    """Judge a catalogue: the types of its columns, its ids, and ranges of positions, radii and redshifts."""
    columns = _judge(frames.column_frame(catalogue, suites.CATALOGUE_TYPES), suites.types("catalogue"))
    suite = suites.catalogue(catalogue.column_names)
    return [columns, _judge(_frame(catalogue, suite), suite)]


def judge_images(
    images: pa.Table, published: pa.Array | None = None, *, least_finite_fraction: float = 1.0
) -> ValidationResult:
    """Judge images by their statistics and digests.

    Parameters
    ----------
    images : Table with id, pixel_sha256 and any of blank_fraction, mean, std, finite_fraction
        Everything that has pixels: what is published, and what would be stored.
    published : Array of string, optional
        Ids of published rows. They stay; a newcomer with the same pixels is rejected.
    least_finite_fraction : float
        Below it an image is rejected as ``nan``.

    Returns
    -------
    ValidationResult
        ``row_failures`` maps the ids to reject to their reasons. Of equal newcomers the first by id stays.
    """
    known = [name for name in images.column_names if name in STATISTICS]
    frame = frames.image_frame(images.select(known), published)
    verdict = _judge(frame, suites.images(known, least_finite_fraction=least_finite_fraction))
    failing = pa.array(verdict.row_failures, pa.string())
    new = failing if published is None else failing.filter(pc.invert(pc.is_in(failing, published)))
    return replace(verdict, row_failures={row: verdict.row_failures[row] for row in new.to_pylist()})


def judge_version(
    ledger: pa.Table,
    labels: Mapping[str, pa.Table],
    classes: Mapping[str, Sequence[str]],
    split: pa.Table | None,
    *,
    array_rows: int,
    drawn: bool = True,
    expected: Mapping[str, Mapping[str, int]] | None = None,
    raw_kept: bool = True,
) -> list[ValidationResult]:
    """Judge the tables of a version before it is published.

    Parameters
    ----------
    ledger, labels, split : as in the version; labels and classes by scheme
        Relabellings (``SCHEME.NAME``) are judged by the classes of their scheme.
    array_rows : int
        Length of the pixel array.
    drawn : bool
        Whether this version draws the split, so that no group was placed by its hash.
    expected : mapping of scheme to {class: number of groups}, optional
        What was asked for or stood in the parent version: such a class must not be gone.
    raw_kept : bool
        Whether the source has raw bytes.
    """
    verdicts = _judge_ledger(ledger, array_rows, raw_kept)
    for stem, table in labels.items():
        scheme = stem.partition(".")[0]
        verdicts += _judge_labels(stem, table, classes[scheme], ledger)
        if split is not None and stem == scheme:
            least = suites.LEAST_GROUPS if drawn else suites.LEAST_PLACED_GROUPS
            frame = frames.class_frame(classes[scheme], table, split, (expected or {}).get(scheme))
            verdicts.append(_judge(frame, suites.classes(scheme, least)))
    if split is not None:
        verdicts += _judge_split(split, next(iter(labels.values()), None), ledger, drawn)
    return verdicts


def judge_candidates(ledger: pa.Table, labels: pa.Table, request: Mapping[str, Any]) -> list[ValidationResult]:
    """Judge the candidates that a real/bogus build brings: its stored rows, and what was asked for of them all."""
    from expectations import candidates  # SciPy's statistics take half a second to import

    frame = candidates.candidate_frame(stored_rows(ledger))
    kept = select_ids(labels, stored_rows(ledger, ["id"])["id"])
    return [
        _judge(frame, candidates.candidates(list(frame.columns), request["threshold_sigma"])),
        _judge(candidates.candidate_quantities(ledger, kept, request), candidates.quantities()),
    ]


def write_validation(verdicts: Iterable[ValidationResult], folder: Path, title: str) -> None:
    """Write ``validation.json``, ``index.html`` and Great Expectations' ``data_docs/`` into a folder."""
    from expectations.runner import write_docs

    verdicts = list(verdicts)
    write_docs(verdicts, folder)
    (folder / "index.html").write_text(page(title, _blocks(verdicts)), encoding="utf-8")


@task(name="validate-dataset")
def validate_dataset(dataset: str) -> dict[str, Any]:
    """Judge a published dataset again and write the page under the workspace's reports.

    Parameters
    ----------
    dataset : str
        ``NAME`` or ``NAME@3``.

    Returns
    -------
    dict
        ``dataset, version, checked`` (expectations), ``rows_failing {id: name}``, ``report`` (path of the page).

    Raises
    ------
    ValidationFailed
        After the page is written.
    """
    workspace = Workspace.current()
    version = Dataset.open(workspace, dataset)
    ledger, split = version.samples(), version.split()
    labels = {scheme: version.labels(scheme) for scheme in version.schemes}
    classes = {scheme: version.classes(scheme) for scheme in version.schemes}
    statistics = [name for name in STATISTICS if name in ledger.column_names]
    images = judge_images(stored_rows(ledger, statistics))
    raw_kept = version.manifest["problem"] == "galaxy"
    sets = judge_version(
        ledger,
        labels,
        classes,
        split,
        array_rows=version.pixels.shape[0],
        drawn=version.version == 1,
        raw_kept=raw_kept,
    )
    folder = workspace.reports / f"validation-{version.name}-{version.version:06d}"
    write_validation([images, *sets], folder, f"Validation of {version.name}, version {version.version}")
    require([images, *sets])
    return {
        "dataset": version.name,
        "version": version.version,
        "checked": sum(len(verdict.results) for verdict in (images, *sets)),
        "rows_failing": images.row_failures,
        "report": str(folder / "index.html"),
    }


def _judge(frame: pd.DataFrame, suite: suites.Suite) -> ValidationResult:
    from expectations.runner import judge

    return judge(frame, suite)


def _frame(table: pa.Table, suite: suites.Suite) -> pd.DataFrame:
    return frames.as_frame(table.select([name for name in suite.columns if name in table.column_names]))


def _judge_ledger(ledger: pa.Table, array_rows: int, raw_kept: bool) -> list[ValidationResult]:
    wanted = {field.name: frames.plain_type(field.type) for field in LEDGER}
    columns = _judge(frames.column_frame(ledger, wanted, required=wanted), suites.types("ledger"))
    suite = suites.ledger(array_rows, raw_kept=raw_kept)
    return [columns, _judge(_frame(ledger, suite), suite)]


def _judge_labels(stem: str, labels: pa.Table, classes: Sequence[str], ledger: pa.Table) -> list[ValidationResult]:
    columns = _judge(frames.column_frame(labels, suites.LABEL_TYPES, ("id", "label")), suites.types(f"labels {stem}"))
    return [columns, _judge(frames.label_frame(labels, ledger), suites.labels(stem, classes, labels.column_names))]


def _judge_split(split: pa.Table, labels: pa.Table | None, ledger: pa.Table, drawn: bool) -> list[ValidationResult]:
    columns = _judge(frames.column_frame(split, suites.SPLIT_TYPES, required=suites.SPLIT_TYPES), suites.types("split"))
    return [
        columns,
        _judge(frames.split_frame(split, ledger), suites.split()),
        _judge(frames.share_frame(split, labels, drawn=drawn), suites.shares()),
    ]


def _blocks(verdicts: Sequence[ValidationResult]) -> list[Any]:
    """Return the page: the counts that matter, then one table a suite."""
    results = [result for verdict in verdicts for result in verdict.results]
    stopped = sum(len(verdict.set_failures) for verdict in verdicts)
    rejected = len({row for verdict in verdicts for row in verdict.row_failures})
    noted = sum(result["kind"] == "note" and not result["success"] for result in results)
    blocks: list[Any] = [
        Headlines(
            [
                Headline("Expectations", len(results), f"in {len(verdicts)} suites"),
                Headline("Sets that fail", stopped, "each would stop the publish"),
                Headline("Rows rejected", rejected, "by the first expectation they fail"),
                Headline("Notes", noted, "shown, not failed"),
            ]
        ),
        Text(
            "A row's expectation rejects the row that fails it, a set's stops the publish, a note is only shown. "
            "validation.json beside this page holds the same results; data_docs holds Great Expectations' own pages, "
            "which need a network for their scripts.",
            quiet=True,
        ),
    ]
    blocks += [Text(failure) for verdict in verdicts for failure in verdict.set_failures]
    for verdict in verdicts:
        blocks += [Heading(verdict.suite), _suite_table(verdict)]
    return blocks


def _suite_table(verdict: ValidationResult) -> Table:
    columns = ("result", "expectation", "expected is that", "checked", "failed", "first of them")
    rows = [
        (
            _outcome(result),
            result["name"],
            result["sentence"],
            result["checked"],
            result["failed"],
            result["error"] or next(iter(result["examples"]), None),
        )
        for result in verdict.results
    ]
    return Table(f"{verdict.rows} rows", columns, rows)


def _outcome(result: Mapping[str, Any]) -> str:
    if result["success"]:
        return "holds"
    return {"row": "rejects rows", "set": "STOPS", "note": "noted"}[result["kind"]]
