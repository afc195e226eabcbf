"""What `starloom demo` says at its end: what was built, how well it went, where to look."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.workspace import Workspace


def show(summary: Mapping[str, Any], workspace: Workspace) -> None:
    """Print the table of a run of ``galaxy-end-to-end`` on stderr."""
    table = Table(
        show_header=False, title="starloom demo: simulated sky, labels from drawn votes", title_justify="left"
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows(summary, workspace):
        table.add_row(name, text)
    Console(stderr=True).print(table)


def rows(summary: Mapping[str, Any], workspace: Workspace) -> list[tuple[str, str]]:
    """Return the table's rows: a name and a text each."""
    build, test, evaluation = summary["build"], summary["train"]["test"], summary["evaluate"]
    classes: dict[str, int] = build["classes"]
    labelled = sum(classes.values())
    largest = max(classes, key=lambda name: classes[name])
    reasons = ", ".join(f"{count} {reason}" for reason, count in build["rejected"].items()) or "none"
    interval = f"{test['accuracy_low']:.3f} to {test['accuracy_high']:.3f}"
    return [
        ("dataset", f"{build['dataset']}, version {build['version']}: {build['path']}"),
        ("galaxies", f"{build['objects']} asked, {build['stored']} stored, rejected: {reasons}"),
        ("classes", ", ".join(f"{name} {count}" for name, count in classes.items())),
        ("split", ", ".join(f"{part} {count}" for part, count in build["split"].items())),
        (
            "test accuracy",
            f"{test['accuracy']:.3f} (95 %: {interval}) on {evaluation['count']} simulated galaxies; "
            f"always saying {largest!r} would give {classes[largest] / labelled:.3f}",
        ),
        ("model", str(summary["train"]["model_uri"])),
        ("report", str(evaluation["report"])),
        ("MLflow", mlflow_command(workspace)),
    ]


def mlflow_command(workspace: Workspace) -> str:
    """Return the command that shows the workspace's runs in a browser."""
    program = Path(sys.executable).with_name("mlflow")
    settings = "DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"
    return f"{settings} {program} server --workers 1 --backend-store-uri {workspace.mlflow_uri}"
