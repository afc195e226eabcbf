"""The report of `starloom demo`: datasets, accuracy, and where to find results."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.learning.intervals import NO_INTERVAL, format_ends
from tasks.runtime.workspace import Workspace
from tasks.tracking.database import SERVER_SETTINGS, SERVER_WORDS
from tasks.tracking.tracking_store import tracking_store


def show(galaxies: Mapping[str, Any], candidates: Mapping[str, Any], workspace: Workspace) -> None:
    """Print the tables of galaxies, transients and their classifier on stderr.

    Parameters
    ----------
    galaxies : mapping
        Summary of ``galaxy-end-to-end``.
    candidates : mapping
        Summaries ``build``, ``first``, ``train``, ``night`` and ``score`` of the real/bogus flows.
    workspace : Workspace
    """
    console = Console(stderr=True)
    for title, lines in (
        ("galaxies: simulated sky, labels from drawn votes", galaxy_rows(galaxies, workspace)),
        ("transients: simulated survey, labels by injection", candidate_rows(candidates["build"], workspace)),
        ("real/bogus: trained on those triplets; a simulated night scored", classifier_rows(candidates)),
    ):
        table = Table(show_header=False, title=title, title_justify="left")
        table.add_column(style="bold", no_wrap=True, min_width=14)
        table.add_column(overflow="fold")
        for name, text in lines:
            table.add_row(name, text)
        console.print(table)


def galaxy_rows(summary: Mapping[str, Any], workspace: Workspace) -> list[tuple[str, str]]:
    """Return the rows (name, text) of the galaxies' table."""
    build, test, evaluation = summary["build"], summary["train"]["test"], summary["evaluate"]
    classes: dict[str, int] = build["classes"]
    labelled = sum(classes.values())
    largest = max(classes, key=lambda name: classes[name])
    interval = f"{test['accuracy_low']:.3f} to {test['accuracy_high']:.3f}"
    return [
        ("dataset", f"{build['dataset']}, version {build['version']}: {build['path']}"),
        ("galaxies", f"{build['objects']} requested, {build['stored']} stored, rejected: {_counts(build['rejected'])}"),
        ("classes", _counts(classes)),
        ("split", _counts(build["split"])),
        (
            "test accuracy",
            f"{test['accuracy']:.3f} (95 %: {interval}) on {evaluation['count']} simulated galaxies; "
            f"predicting {largest!r} for all gives {classes[largest] / labelled:.3f}",
        ),
        ("model", str(summary["train"]["model_uri"])),
        ("report", str(evaluation["report"])),
        ("MLflow", mlflow_command(workspace)),
    ]


def candidate_rows(summary: Mapping[str, Any], workspace: Workspace) -> list[tuple[str, str]]:
    """Return the rows (name, text) of the transients' table."""
    injected, detected = {kind: count for kind, count in summary["injected"].items() if count}, summary["found"]
    magnitude = summary["completeness_50_mag"]
    return [
        ("dataset", f"{summary['dataset']}, version {summary['version']}: {summary['path']}"),
        (
            "candidates",
            f"{summary['asked']} in total, {summary['stored']} stored, rejected: {_counts(summary['rejected'])}",
        ),
        ("labels", _counts(summary["labels"])),
        ("split", f"{_counts(summary['split'])}, by {summary['cells']} sky cells"),
        (
            "detected",
            ", ".join(f"{detected[kind]} of {injected[kind]} {kind} injections" for kind in injected),
        ),
        (
            "completeness",
            "50 % lies outside the injected magnitudes" if magnitude is None else f"50 % at magnitude {magnitude}",
        ),
        ("page", str(workspace.reports / f"{summary['dataset']}-{summary['version']:06d}.html")),
    ]


def classifier_rows(summaries: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows (name, text) of the classifier's table."""
    train, first, night, scores = (summaries[name] for name in ("train", "first", "night", "score"))
    test = train["test"]
    detections = scores["operations"]["detections"]
    auc_ends = format_ends(test["auc_low"], test["auc_high"], ".3f")
    cascade = scores["cascade"]
    return [
        (
            "test",
            f"AUC {test['auc']:.3f} ({auc_ends if auc_ends == NO_INTERVAL else f'95 %: {auc_ends}'}), "
            f"FPR {test['fpr_at_tpr90']:.1%} at TPR 90 % "
            f"({format_ends(test['fpr_at_tpr90_low'], test['fpr_at_tpr90_high'], '.1%')}); "
            f"{test['real']} reals and {test['bogus']} bogus",
        ),
        ("model", f"{train['model_uri']}; first model: {first['model_uri']}"),
        ("evaluation", str(train["report"])),
        (
            "night",
            f"{night['count']} candidates with {night['reals']} reals, scored in {scores['seconds']:.0f} s: "
            f"{detections['before']} before the classifier, {detections['after']} after",
        ),
        (
            "first model",
            f"{cascade['first']} discarded {cascade['discarded']}" if cascade["first"] else str(cascade["why"]),
        ),
        ("scores", str(scores["path"])),
        ("page", str(scores["report"])),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def mlflow_command(workspace: Workspace) -> str:
    """Return what shows the workspace's runs in a browser: a command, or the address of a group's MLflow server."""
    store = tracking_store(workspace)
    if store.is_web:
        return store.uri
    program = Path(sys.executable).with_name("mlflow")
    settings = " ".join(f"{name}={value}" for name, value in SERVER_SETTINGS.items())
    return f"{settings} {program} {' '.join(SERVER_WORDS)} --backend-store-uri {store.uri}"
