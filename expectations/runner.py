"""Runs Great Expectations, which takes 5 to 8 s to import: import this module inside functions.

Frames stay in memory, contexts are ephemeral, and no usage data is sent.
"""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.expectations.row_conditions import Column

from expectations import custom
from expectations.results import ValidationFailed, ValidationResult, require
from expectations.suites import Condition, Expectation, Suite

__all__ = ["ValidationFailed", "ValidationResult", "require", "validate_frame", "write_docs"]

EXAMPLES = 10
DOCS_ROWS = 20
"""Number of rows that a Data Docs page lists per expectation."""
_FRAMES = "frames"


def validate_frame(frame: pd.DataFrame, suite: Suite) -> ValidationResult:
    """Validate a frame by a suite.

    Parameters
    ----------
    frame : DataFrame
        Has the columns ``suite.columns``; expectations on a missing column fail.
    suite : Suite

    Returns
    -------
    ValidationResult
        `row_failures` holds every failing row; examples and messages name at most `EXAMPLES`.
    """
    applicable = [e for e in suite.expectations if {*e.columns, *_where_column(e), suite.index} <= set(frame.columns)]
    docs = _validate(frame[[c for c in suite.columns if c in frame.columns]], suite, applicable)
    # Great Expectations returns expectations that raised first.
    by_name = {result.expectation_config.meta["name"]: result for result in docs.results}
    results, row_failures, set_failures = [], {}, []
    for expectation in suite.expectations:
        result, failing = _to_json(expectation, suite, by_name.get(expectation.name), frame)
        results.append(result)
        if result["error"] or (expectation.kind == "set" and not result["success"]):
            set_failures.append(_sentence(result))
        elif expectation.kind == "row":
            row_failures.update({row: expectation.name for row in failing if row not in row_failures})
    return ValidationResult(suite.name, len(frame), results, row_failures, set_failures, _capped(docs, suite))


def write_docs(validations: Iterable[ValidationResult], folder: Path) -> list[dict[str, Any]]:
    """Write ``validation.json`` and Great Expectations' ``data_docs/`` into a folder; return the results."""
    validations = list(validations)
    results = [result for validation in validations for result in validation.results]
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, allow_nan=False)
    (folder / "validation.json").write_text(text + "\n", encoding="utf-8")
    site = folder / "data_docs"
    context = _context(site)
    for validation in validations:
        context.validation_results_store.set(_key(validation), validation.docs)
    context.build_data_docs()
    for animation in site.glob("static/images/*.gif"):  # 3 MB of instructions that no page here links
        animation.unlink()
    return results


def _validate(frame: pd.DataFrame, suite: Suite, expectations: list[Expectation]) -> Any:
    sources = _sources()
    batches = sources.add_pandas(_FRAMES).add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")
    try:
        return batches.get_batch({"dataframe": frame.reset_index(drop=True)}).validate(
            gx.ExpectationSuite(name=suite.name, expectations=[_built(expectation) for expectation in expectations]),
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [suite.index],
                "return_unexpected_index_query": False,
            },
        )
    finally:
        sources.delete(_FRAMES)  # it holds the frame


def _built(expectation: Expectation) -> Any:
    home = custom if hasattr(custom, expectation.type) else gx.expectations
    meta = {"name": expectation.name, "kind": expectation.kind}
    where = {"row_condition": _condition(expectation.where)} if expectation.where else {}
    return getattr(home, expectation.type)(
        **expectation.arguments, **where, description=f"{expectation.name}: {expectation.sentence}", meta=meta
    )


def _condition(where: Condition) -> Any:
    name, relation, value = where
    column = Column(name)
    return {"==": column.__eq__, ">=": column.__ge__, "<": column.__lt__}[relation](value)


def _where_column(expectation: Expectation) -> tuple[str, ...]:
    return (expectation.where[0],) if expectation.where else ()


def _to_json(
    expectation: Expectation, suite: Suite, evaluated: Any, frame: pd.DataFrame
) -> tuple[dict[str, Any], list[str]]:
    """Return an expectation's result in JSON types, and the names of all failing rows."""
    counts = evaluated.result if evaluated else {}
    error = _error(expectation, suite, evaluated, frame)
    failing = [str(row[suite.index]) for row in counts.get("unexpected_index_list") or []]
    result = {
        "suite": suite.name,
        "name": expectation.name,
        "kind": expectation.kind,
        "sentence": expectation.sentence,
        "columns": list(expectation.columns),
        "success": bool(evaluated.success) if evaluated else False,  # some expectations return a NumPy bool
        "checked": int(counts.get("element_count", 0)) - int(counts.get("missing_count") or 0),
        "failed": int(counts.get("unexpected_count", 0)),
        "examples": failing[:EXAMPLES],
        "error": error,
    }
    return result, failing


def _error(expectation: Expectation, suite: Suite, evaluated: Any, frame: pd.DataFrame) -> str | None:
    needed = (suite.index, *expectation.columns, *_where_column(expectation))
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        return f"the table has no column {', '.join(missing)}"
    return _raised(evaluated)


def _raised(evaluated: Any) -> str | None:
    raised = evaluated.exception_info
    if "raised_exception" in raised:
        return raised["exception_message"] if raised["raised_exception"] else None
    return "; ".join(sorted({metric["exception_message"] for metric in raised.values()}))


def _sentence(result: dict[str, Any]) -> str:
    """Return ``suite: name (expected: sentence): failing rows``."""
    head = f"{result['suite']}: {result['name']} (expected: {result['sentence']})"
    if result["error"]:
        return f"{head}: {result['error']}"
    rows = ", ".join(result["examples"])
    unlisted = result["failed"] - len(result["examples"])
    return f"{head}: {result['failed']} of {result['checked']} fail: {rows}" + (
        f" and {unlisted} more" * (unlisted > 0)
    )


def _capped(docs: Any, suite: Suite) -> Any:
    """Shorten the lists of rows in place, and reduce exceptions to their message: a traceback contains paths."""
    docs.meta["run_id"] = RunIdentifier(run_name=suite.name.replace(" ", "-"))
    for result in docs.results:
        message = _raised(result)
        if message:
            result.exception_info = {
                "raised_exception": True,
                "exception_message": message,
                "exception_traceback": None,
            }
        for key, value in result.result.items():
            if isinstance(value, list):
                result.result[key] = value[:DOCS_ROWS]
    return docs


def _key(validation: ValidationResult) -> ValidationResultIdentifier:
    name = validation.suite.replace(" ", "-")  # becomes a folder of the site
    return ValidationResultIdentifier(
        ExpectationSuiteIdentifier(name), validation.docs.meta["run_id"], f"{validation.rows}-rows"
    )


@functools.cache
def _sources() -> Any:
    return _context(None).data_sources


def _context(site: Path | None) -> Any:
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    site_config = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": backend,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        data_docs_sites={"site": site_config} if site else {},
        analytics_enabled=False,
        progress_bars={"globally": False},
    )
    return gx.get_context(mode="ephemeral", project_config=config)
