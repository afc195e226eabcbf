"""The note of a run, which MLflow's page shows above its metrics: the report, and the command that repeats the run."""

NOTE = "mlflow.note.content"
"""Tag that holds the note, Markdown."""
REPORT_FOLDER = "report"
"""Artifact folder of a run's report."""


def run_note(experiment_id: str, run_id: str, report: str | None, command: str | None) -> str:
    """Return the note of a run, Markdown; empty where there is nothing to say.

    Parameters
    ----------
    experiment_id, run_id : str
    report : str, optional
        Name of the report, which lies in the run's artifact folder ``report`` and in ``reports/`` of the workspace. The
        link begins at MLflow's own page, so that it holds for every host and for a workspace that was moved.
    command : str, optional
    """
    parts = []
    if report is not None:
        page = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{REPORT_FOLDER}/{report}"
        parts.append(f"Report: [{report}]({page}), in the workspace `reports/{report}`.")
    if command is not None:
        parts.append(f"The same again:\n\n```sh\n{command}\n```")
    return "\n\n".join(parts)
