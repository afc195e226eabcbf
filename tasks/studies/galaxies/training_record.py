"""What a study of trainings leaves: its page, its scores, its MLflow runs, its summary."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.learning.split_parts import ALL
from tasks.reports.page import Table
from tasks.runtime.workspace import Workspace
from tasks.store.files import whole_file, write_table
from tasks.store.schema import GALAXY
from tasks.studies.galaxies.training_report import study_figures, study_page, study_tables
from tasks.studies.galaxies.training_results import summarise_study
from tasks.studies.galaxies.training_study import NAME, TrainingStudy, TrainingStudyRequest, open_training_study
from tasks.studies.report import metric_name
from tasks.tracking.study_runs import StudyRuns
from tasks.training.training_task import data_tags


def publish_training_study(
    workspace: Workspace, request: TrainingStudyRequest, results: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], Table]:
    """Compare the fits, write page and scores, record them in MLflow; return the summary and the main table.

    Parameters
    ----------
    workspace : Workspace
    request : TrainingStudyRequest
    results : sequence of mapping
        As `training_fits.run_fits` returns them.
    """
    study = open_training_study(workspace, request)
    lines, scores = summarise_study(study, results)
    tables = study_tables(study, lines)
    drawn = study_figures(study, lines, results)
    report, table = workspace.reports / f"{study.stem}.html", workspace.scores / f"{study.stem}.parquet"
    with whole_file(report) as path:
        path.write_text(study_page(study, tables, drawn), encoding="utf-8")
    write_table(table, scores)
    manifest = study.dataset.manifest
    summary = {
        "dataset": f"{study.dataset.name}@{study.dataset.version}",
        "scheme": study.plain.scheme,
        "arms": [arm.name for arm in study.arms],
        "sizes": [size or ALL for size in study.sizes],
        "seeds": list(request.seeds),
        "fits": len(results),
        "rows": lines,
        "scores": str(table),
        "report": str(report),
        "pixels": manifest["pixels"],
        "labels": manifest["label_kind"],
    }
    runs = _study_runs(study)
    with runs.open_study(f"{NAME} {study.dataset.name}", _params(request)) as run:
        for name, of in tables.items():
            run.log_table(of.by_column(), metric_name(name))
        for name, figure in drawn.items():
            run.log_figure(figure.pixels, name)
        run.log_report(report)
        run.log_file(table, "scores")
        run.log_text(json.dumps(summary, indent=1), "summary.json")
    for line in lines:
        _record_line(runs, line)
    return summary | {"run_id": runs.study_id}, tables[f"size {summary['sizes'][-1]}"]


def _study_runs(study: TrainingStudy) -> StudyRuns:
    from tasks.learning.fits.devices import choose_device  # imports TensorFlow

    tags = {
        **data_tags(study.dataset),
        "scheme": study.plain.scheme,
        "seed": ", ".join(map(str, study.request.seeds)),
        "device": str(choose_device(study.request.device)),
    }
    record = study.folder / f"runs-{study.stem[-8:]}.json"
    return StudyRuns(study.workspace, GALAXY, record, study.dataset, tags)


def _record_line(runs: StudyRuns, line: Mapping[str, Any]) -> None:
    """Record an arm at one size as a run below the study's."""
    name = f"{line['name']}, {line['size']} images"
    params = {"arm": line["name"], "size": line["size"], "trained_on": line["trained_on"]}
    with runs.open_row(name, str(line["name"]), params) as run:
        run.log_metrics({f"out_of_fold_{key}": value for key, value in line.items() if isinstance(value, float)})


def _params(request: TrainingStudyRequest) -> dict[str, Any]:
    arms = {"arms": ", ".join(arm.name for arm in request.arms)}
    return request.model_dump(exclude={"arms", "ablation", "device"}) | arms
