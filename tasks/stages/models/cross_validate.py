"""Cross-validation as a stage of a flow."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.runtime.run_log import run_logger
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DatasetNotFoundError
from tasks.training.cross_validate import cross_validate
from tasks.training.training_task import TrainingTask


@task(
    name="cross-validate",
    description="Fit every fold and evaluate each on the samples that it left out",
    cache_policy=NO_CACHE,
)
def cross_validate_folds(training: TrainingTask, count: int) -> dict[str, Any]:
    """Run the folds that are not finished and return the summary over all of them."""
    return cross_validate(training, count)


def is_absent(workspace: Workspace, dataset: str) -> bool:
    """Return whether there is no such dataset, and log it."""
    try:
        Dataset.open(workspace, dataset)
    except DatasetNotFoundError as error:
        run_logger().info("nothing is cross-validated: %s", error)
        return True
    return False
