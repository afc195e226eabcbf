"""Champions and challengers with the figures of their test part."""

from tasks.home.figures import known_figures
from tasks.home.status import ModelStatus
from tasks.runtime.workspace import Workspace
from tasks.tracking.alias_tables import AliasedVersion, aliased_versions
from tasks.tracking.model_registry import CHAMPION

FIGURES = {
    "auc": "AUC",
    "fpr_at_tpr90": "false-positive rate at 90 % of the reals",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
}
"""What is shown of a test part, and how it is called."""


def read_models(workspace: Workspace) -> list[ModelStatus]:
    """Return the versions with an alias by name, champions first."""
    versions = aliased_versions(workspace)
    ordered = sorted(versions, key=lambda each: (each.name, CHAMPION not in each.aliases, each.version))
    return [_status(version) for version in ordered]


def _status(version: AliasedVersion) -> ModelStatus:
    count = version.test.get("count")
    return ModelStatus(
        name=version.name,
        version=version.version,
        aliases=version.aliases,
        registered_at=version.registered_at,
        dataset=version.tags.get("dataset"),
        pixels=version.tags.get("pixels"),
        labels=version.tags.get("labels"),
        count=None if count is None else int(count),
        figures=known_figures(version.test, FIGURES),
        experiment_id=version.experiment_id,
        run_id=version.run_id,
    )
