"""What `starloom demo` says at its end: what was built, how well it went, where to look."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.learning.intervals import format_ends
from tasks.runtime.workspace import Workspace


def show(galaxies: Mapping[str, Any], candidates: Mapping[str, Any], workspace: Workspace) -> None:
    """Print the tables of both halves on stderr.

    Parameters
    ----------
    galaxies : mapping
        Summary of ``galaxy-end-to-end``.
    candidates : mapping
        Summaries ``build``, ``first``, ``train``, ``night`` and ``score`` of the flows of candidates.
    workspace : Workspace
    """
    console = Console(stderr=True)
    for title, lines in (
        ("galaxies: simulated sky, labels from drawn votes", galaxy_rows(galaxies, workspace)),
        ("transients: simulated survey, labels by injection", candidate_rows(candidates["build"], workspace)),
        ("real/bogus: trained on them, a made night of their triplets scored", classifier_rows(candidates)),
    ):
        table = Table(show_header=False, title=title, title_justify="left")
        table.add_column(style="bold", no_wrap=True, min_width=14)
        table.add_column(overflow="fold")
        for name, text in lines:
            table.add_row(name, text)
        console.print(table)


def galaxy_rows(summary: Mapping[str, Any], workspace: Workspace) -> list[tuple[str, str]]:
    """Return the rows of the galaxies' table: a name and a text each."""
    build, test, evaluation = summary["build"], summary["train"]["test"], summary["evaluate"]
    classes: dict[str, int] = build["classes"]
    labelled = sum(classes.values())
    largest = max(classes, key=lambda name: classes[name])
    interval = f"{test['accuracy_low']:.3f} to {test['accuracy_high']:.3f}"
    return [
        ("dataset", f"{build['dataset']}, version {build['version']}: {build['path']}"),
        ("galaxies", f"{build['objects']} asked, {build['stored']} stored, rejected: {_counts(build['rejected'])}"),
        ("classes", _counts(classes)),
        ("split", _counts(build["split"])),
        (
            "test accuracy",
            f"{test['accuracy']:.3f} (95 %: {interval}) on {evaluation['count']} simulated galaxies; "
            f"always saying {largest!r} would give {classes[largest] / labelled:.3f}",
        ),
        ("model", str(summary["train"]["model_uri"])),
        ("report", str(evaluation["report"])),
        ("MLflow", mlflow_command(workspace)),
    ]


def candidate_rows(summary: Mapping[str, Any], workspace: Workspace) -> list[tuple[str, str]]:
    """Return the rows of the transients' table: a name and a text each."""
    injected, found = summary["injected"], summary["found"]
    middle = summary["completeness_50_mag"]
    return [
        ("dataset", f"{summary['dataset']}, version {summary['version']}: {summary['path']}"),
        (
            "candidates",
            f"{summary['asked']} asked, {summary['stored']} stored, rejected: {_counts(summary['rejected'])}",
        ),
        ("labels", _counts(summary["labels"])),
        ("split", f"{_counts(summary['split'])}, by {summary['cells']} sky cells"),
        ("found", ", ".join(f"{found[where]} of {injected[where]} {where} injections" for where in injected)),
        ("half are found", "not enclosed by the magnitudes injected" if middle is None else f"at magnitude {middle}"),
        ("page", str(workspace.reports / f"{summary['dataset']}-{summary['version']:06d}.html")),
    ]


def classifier_rows(summaries: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of the classifier's table: a name and a text each."""
    train, first, night, scores = (summaries[name] for name in ("train", "first", "night", "score"))
    test = train["test"]
    detections = scores["operations"]["detections"]
    cascade = scores["cascade"]
    return [
        (
            "test",
            f"AUC {test['auc']:.3f} (95 %: {format_ends(test['auc_low'], test['auc_high'], '.3f')}), "
            f"{test['fpr_at_tpr90']:.1%} of the bogus pass where 90 % of the reals do "
            f"({format_ends(test['fpr_at_tpr90_low'], test['fpr_at_tpr90_high'], '.1%')}); "
            f"{test['real']} reals and {test['bogus']} bogus",
        ),
        ("model", f"{train['model_uri']}; goes before it: {first['model_uri']}"),
        ("evaluation", str(train["report"])),
        (
            "night",
            f"{night['count']} candidates with {night['reals']} reals, scored in {scores['seconds']:.0f} s: "
            f"{detections['before']} before the classifier, {detections['after']} after",
        ),
        (
            "two in a row",
            f"{cascade['first']} discarded {cascade['discarded']}" if cascade["first"] else str(cascade["why"]),
        ),
        ("scores", str(scores["path"])),
        ("page", str(scores["report"])),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def mlflow_command(workspace: Workspace) -> str:
    """Return the command that shows the workspace's runs in a browser."""
    program = Path(sys.executable).with_name("mlflow")
    settings = "DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"
    return f"{settings} {program} server --workers 1 --backend-store-uri {workspace.mlflow_uri}"
