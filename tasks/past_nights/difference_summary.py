"""The comparison of two models on a night: its rows as Parquet, its page, its MLflow run, its summary."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.night.sources import DatasetNight
from tasks.past_nights.difference_page import write_difference_page
from tasks.past_nights.model_difference import SIDES, Difference, DifferenceRequest, compared_models, rates
from tasks.runtime.provenance import code_version
from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.files import file_stem, write_table
from tasks.store.schema import REALBOGUS
from tasks.tracking.mlflow_runs import open_run

DIFFERENCES = "differences"
"""Folder of `Workspace.scores` that holds the rows on which two models differ."""


def diff_models(workspace: Workspace, request: DifferenceRequest) -> dict[str, Any]:
    """Compare two models on a past night, write rows and page, and return the summary; its scores stay.

    Errors are those of `compared_models`.
    """
    started = time.monotonic()
    with compared_models(workspace, request) as difference:
        summary = summarise(difference)
        if summary["source_changed"]:
            run_logger().warning("the source of night %s has changed since it was scored", difference.record.night)
        stem = file_stem("-".join([difference.record.night, *(judged.model.name for judged in difference.judged)]))
        path = workspace.scores / DIFFERENCES / f"{stem}.parquet"
        write_table(path, difference.rows.drop_columns(["block"]))
        report = workspace.reports / f"diff-{stem}.html"
        write_difference_page(report, difference, summary, path)
        run_id = _record(workspace, request, difference, summary, report)
    files = {"path": str(path), "report": str(report), "run_id": run_id}
    return summary | files | {"seconds": round(time.monotonic() - started, 1)}


def summarise(difference: Difference) -> dict[str, Any]:
    """Return counts, models, thresholds, and rates where truth is known."""
    counts, not_compared = difference.counts(), difference.not_compared()
    summary: dict[str, Any] = {
        "night": difference.record.night,
        "count": len(difference.judged[0].logit),
        **counts,
        "not_compared": not_compared,
        "differing": counts["only_model"] + counts["only_against"],
    }
    for side, judged in zip(SIDES, difference.judged, strict=True):
        summary |= {
            side: judged.model.name,
            f"{side}_sha256": judged.model.sha256,
            f"threshold_{side}": judged.threshold,
            f"threshold_version_{side}": judged.threshold_version,
        }
    return summary | {
        "pixels": difference.judged[0].source.pixels,
        "overlap_with_training": None if difference.seen is None else int(difference.seen.sum()),
        "source_changed": difference.source_changed,
        "truth": rates(difference),
    }


def _record(
    workspace: Workspace,
    request: DifferenceRequest,
    difference: Difference,
    summary: Mapping[str, Any],
    report: Path,
) -> str:
    """Record the comparison in MLflow and return the run's id."""
    source, truth = difference.judged[0].source, summary["truth"] or {}
    metrics = {name: summary[name] for name in ("count", "both", "only_model", "only_against", "neither")}
    for name in ("recall", "injected_recall", "fpr"):
        rate = truth.get(name)
        metrics |= {f"{name}_{side}": None if rate is None else rate[side]["rate"] for side in SIDES}
    with open_run(
        workspace,
        problem=REALBOGUS,
        run_name=f"compare {summary['model']} with {summary['against']} on {summary['night']}",
        params=request.model_dump(),
        tags={
            "kind": "comparison",
            **{name: summary[name] for name in summary if name.startswith(SIDES)},
            "pixels": summary["pixels"] or "unknown",
            "code_version": code_version(),
        },
        dataset=source.dataset if isinstance(source, DatasetNight) else None,
    ) as run:
        run.log_metrics(metrics)
        run.log_report(report)
        return run.id
