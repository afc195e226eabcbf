"""Validation of a dataset: its rows before they are packed, its tables before they are published, and the report.

Great Expectations is imported when something is validated: it takes seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations import frames, suites
from expectations.results import ValidationResult
from tasks.reports.page import Heading, Headline, Headlines, Link, Table, Text, page
from tasks.store.columns import select_ids
from tasks.store.schema import LEDGER
from tasks.store.versions import stored_rows

STATISTICS = ("id", "blank_fraction", "mean", "std", "finite_fraction", "pixel_sha256")
"""The ledger's columns that `validate_images` reads, where they exist."""


def validate_catalogue(catalogue: pa.Table) -> list[ValidationResult]:
    """Validate a catalogue: the types of its columns, its ids, and ranges of positions, radii and redshifts."""
    columns = _validate(frames.column_frame(catalogue, suites.CATALOGUE_TYPES), suites.types("catalogue"))
    suite = suites.catalogue(catalogue.column_names)
    return [columns, _validate(_frame(catalogue, suite), suite)]


def validate_images(
    images: pa.Table, published: pa.Array | None = None, *, least_finite_fraction: float = 1.0
) -> ValidationResult:
    """Validate images by their statistics and digests.

    Parameters
    ----------
    images : Table
        One row an image, published or new; columns id, pixel_sha256 and any others of `STATISTICS`.
    published : Array of string, (m,), optional
        Ids of published rows. They are never rejected; a newcomer with the same pixels is.
    least_finite_fraction : float
        An image with a smaller finite fraction is rejected as ``nan``.

    Returns
    -------
    ValidationResult
        ``row_failures`` maps the ids to reject to their reasons. Of newcomers with equal pixels the first by id is
        kept.
    """
    names = [name for name in images.column_names if name in STATISTICS]
    frame = frames.image_frame(images.select(names), published)
    result = _validate(frame, suites.images(names, least_finite_fraction=least_finite_fraction))
    failing = pa.array(result.row_failures, pa.string())
    new = failing if published is None else failing.filter(pc.invert(pc.is_in(failing, published)))
    return replace(result, row_failures={row: result.row_failures[row] for row in new.to_pylist()})


def validate_version(
    ledger: pa.Table,
    labels: Mapping[str, pa.Table],
    classes: Mapping[str, Sequence[str]],
    split: pa.Table | None,
    *,
    array_rows: int,
    published: pa.Table | None = None,
    test_only: str = "",
    expected: Mapping[str, Mapping[str, int]] | None = None,
    raw_kept: bool = True,
) -> list[ValidationResult]:
    """Validate the tables of a version before it is published.

    Parameters
    ----------
    ledger, labels, split
        As in the version; labels and classes by scheme. A relabelling (``SCHEME.NAME``) has the classes of its scheme.
    array_rows : int
        Length of the pixel array.
    published : Table or None
        The parent version's split, to which late groups were added by their hash; None where this version draws it.
    test_only : str
        Groups whose name begins with this prefix are in the test part by rule, and do not count in its share.
    expected : mapping of scheme to {class: number of groups}, optional
        Classes of the parent version; each must still have groups.
    raw_kept : bool
        Whether the source has raw bytes.
    """
    results = _validate_ledger(ledger, array_rows, raw_kept)
    for stem, table in labels.items():
        scheme = stem.partition(".")[0]
        results += _validate_labels(stem, table, classes[scheme], ledger)
        if split is not None and stem == scheme:
            least = suites.LEAST_GROUPS if published is None else suites.LEAST_PLACED_GROUPS
            frame = frames.class_frame(classes[scheme], table, split, (expected or {}).get(scheme))
            results.append(_validate(frame, suites.classes(scheme, least)))
    if split is not None:
        results += _validate_split(split, ledger)
        shares = frames.share_frame(split, next(iter(labels.values()), None), published=published, test_only=test_only)
        results.append(_validate(shares, suites.shares()))
    return results


def validate_candidates(ledger: pa.Table, labels: pa.Table, request: Mapping[str, Any]) -> list[ValidationResult]:
    """Validate the candidates of a real/bogus build.

    Parameters
    ----------
    ledger : Table
        All rows of the request, rejected ones too.
    labels : Table
        Columns id and label.
    request : mapping
        The parameters of the flow by name.
    """
    from expectations import candidates  # SciPy's statistics take half a second to import

    frame = candidates.candidate_frame(stored_rows(ledger))
    stored_labels = select_ids(labels, stored_rows(ledger, ["id"])["id"])
    return [
        _validate(frame, candidates.candidates(list(frame.columns), request["threshold_sigma"])),
        _validate(candidates.candidate_quantities(ledger, stored_labels, request), candidates.quantities()),
    ]


def write_validation(results: Iterable[ValidationResult], folder: Path, title: str) -> None:
    """Write ``validation.json``, ``index.html`` and Great Expectations' ``data_docs/`` into a folder."""
    from expectations.runner import write_docs

    results = list(results)
    write_docs(results, folder)
    (folder / "index.html").write_text(page(title, _blocks(results)), encoding="utf-8")


def _validate(frame: pd.DataFrame, suite: suites.Suite) -> ValidationResult:
    from expectations.runner import validate_frame

    return validate_frame(frame, suite)


def _frame(table: pa.Table, suite: suites.Suite) -> pd.DataFrame:
    return frames.as_frame(table.select([name for name in suite.columns if name in table.column_names]))


def _validate_ledger(ledger: pa.Table, array_rows: int, raw_kept: bool) -> list[ValidationResult]:
    types = {field.name: frames.plain_type(field.type) for field in LEDGER}
    columns = _validate(frames.column_frame(ledger, types, required=types), suites.types("ledger"))
    suite = suites.ledger(array_rows, raw_kept=raw_kept)
    return [columns, _validate(_frame(ledger, suite), suite)]


def _validate_labels(stem: str, labels: pa.Table, classes: Sequence[str], ledger: pa.Table) -> list[ValidationResult]:
    types = suites.types(f"labels {stem}")
    columns = _validate(frames.column_frame(labels, suites.LABEL_TYPES, ("id", "label")), types)
    frame = frames.label_frame(labels, ledger)
    return [columns, _validate(frame, suites.labels(stem, classes, frame.columns))]


def _validate_split(split: pa.Table, ledger: pa.Table) -> list[ValidationResult]:
    types = suites.types("split")
    columns = _validate(frames.column_frame(split, suites.SPLIT_TYPES, required=suites.SPLIT_TYPES), types)
    return [columns, _validate(frames.split_frame(split, ledger), suites.split())]


def _blocks(results: Sequence[ValidationResult]) -> list[Any]:
    """Return the page: the headline counts, then one table a suite."""
    outcomes = [outcome for result in results for outcome in result.results]
    failed_sets = sum(len(result.set_failures) for result in results)
    rejected = len({row for result in results for row in result.row_failures})
    notes = sum(outcome["kind"] == "note" and not outcome["success"] for outcome in outcomes)
    blocks: list[Any] = [
        Headlines(
            [
                Headline("Expectations", len(outcomes), f"in {len(results)} suites"),
                Headline("Sets that fail", failed_sets, "each would stop the publish"),
                Headline("Rows rejected", rejected, "by the first expectation they fail"),
                Headline("Notes", notes, "shown, not failed"),
            ]
        ),
        Text(
            "An expectation on rows rejects the rows that fail it, one on a set stops the publish, a note is only "
            "shown. validation.json beside this page holds the same results. Great Expectations' own pages take styles "
            "and scripts from other hosts: open them from the disk, since the home page lets none of these in.",
            quiet=True,
        ),
    ]
    blocks.append(Link("Great Expectations' own pages", "data_docs/index.html"))
    blocks += [Text(failure) for result in results for failure in result.set_failures]
    for result in results:
        blocks += [Heading(result.suite), _suite_table(result)]
    return blocks


def _suite_table(result: ValidationResult) -> Table:
    columns = ("result", "expectation", "expected is that", "checked", "failed", "first of them")
    rows = [
        (
            _outcome_name(outcome),
            outcome["name"],
            outcome["sentence"],
            outcome["checked"],
            outcome["failed"],
            outcome["error"] or next(iter(outcome["examples"]), None),
        )
        for outcome in result.results
    ]
    return Table(f"{result.rows} rows", columns, rows)


def _outcome_name(outcome: Mapping[str, Any]) -> str:
    if outcome["success"]:
        return "holds"
    return {"row": "rejects rows", "set": "STOPS", "note": "noted"}[outcome["kind"]]
