"""What a study of schemes leaves: its page, its MLflow run, its summary."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.reports.page import Table
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file
from tasks.store.schema import GALAXY
from tasks.studies.galaxies.scheme_report import study_page, study_tables
from tasks.studies.galaxies.scheme_study import NAME, SchemeStudy, SchemeStudyRequest, open_scheme_study
from tasks.studies.galaxies.scheme_table import compare_schemes
from tasks.studies.galaxies.scheme_training import open_study_run
from tasks.studies.report import metric_name
from tasks.tracking.mlflow_runs import open_run

CURVES = "history"
"""Entry of a row's result that its summary leaves out."""


def publish_scheme_study(
    workspace: Workspace, request: SchemeStudyRequest, results: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], Table]:
    """Compare the rows, write the page, record it in the study's MLflow run; return the summary and the main table.

    Parameters
    ----------
    workspace : Workspace
    request : SchemeStudyRequest
    results : sequence of mapping
        As `scheme_training.train_schemes` returns them.
    """
    study = open_scheme_study(workspace, request)
    compared = compare_schemes(study, results)
    tables = study_tables(study, results, compared)
    report = workspace.reports / f"{study.folder.name}.html"
    with whole_file(report) as path:
        path.write_text(study_page(study, results, compared, tables), encoding="utf-8")
    run_id = open_study_run(study)
    summary = _summary(study, results, compared) | {"report": str(report), "run_id": run_id}
    tags = {"schemes": ", ".join(study.schemes), "arms": ", ".join(arm.name for arm in request.arms)}
    with open_run(workspace, problem=GALAXY, run_name=NAME, params={}, tags=tags, dataset=None, run_id=run_id) as run:
        run.log_metrics(_metrics(compared))
        for name, table in tables.items():
            run.log_table(table.by_column(), name)
        run.log_report(report)
        run.log_text(json.dumps(summary, indent=1), "summary.json")
    return summary, tables["accuracy"]


def _metrics(compared: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        metric_name(f"{scheme} {name} {kind} {measure}"): arm[kind][measure]
        for scheme, of in compared.items()
        for name, arm in of["arms"].items()
        for kind in ("own", "summed")
        if arm[kind]
        for measure in ("accuracy", "macro_f1")
    }


def _shared(values: Sequence[str]) -> str | None:
    """Return the value that all have, or None."""
    return values[0] if len(set(values)) == 1 else None


def _summary(study: SchemeStudy, results: Sequence[Mapping[str, Any]], compared: Mapping[str, Any]) -> dict[str, Any]:
    manifest, request = study.test_dataset.manifest, study.request
    rows = [
        {name: value for name, value in row.items() if name != CURVES}
        | {"low": row["accuracy_low"], "high": row["accuracy_high"]}
        for row in results
    ]
    return {
        "dataset": f"{study.dataset.name}@{study.dataset.version}",
        "test_dataset": f"{study.test_dataset.name}@{study.test_dataset.version}",
        "schemes": study.schemes,
        "arms": [arm.name for arm in request.arms],
        "networks": [arm.network for arm in request.arms],
        "preset": _shared([arm.preset for arm in request.arms]),
        "weights": _shared([arm.weights for arm in request.arms]),
        "seeds": list(request.seeds),
        "seed": request.seeds[0] if len(request.seeds) == 1 else None,
        "finest": study.finest if study.sums else None,
        "rows": rows,
        "compared": dict(compared),
        "pixels": manifest["pixels"],
        "labels": manifest["label_kind"],
    }
