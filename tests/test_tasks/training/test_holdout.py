"""Options of an evaluation that only one problem has, and datasets that cannot be evaluated on."""

from typing import Any

import pyarrow as pa
import pytest

from tasks.runtime.workspace import Workspace
from tasks.store import merging, pixels, versions
from tasks.store.schema import LEDGER
from tasks.tracking.model_registry import UnknownModelError
from tasks.training.evaluation_record import EvaluationError
from tasks.training.holdout import HoldoutRequest, evaluate_registered
from tests.small_galaxies import publish_galaxies


def refuse(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("nothing is to be evaluated")


def test_a_dataset_without_labels_is_refused(tracked_workspace: Workspace) -> None:
    folder = tracked_workspace.datasets / "unlabelled"
    pixels.create(folder / "pixels.zarr", (4, 4, 3), "uint8")
    ledger = merging.give_rows(pa.Table.from_pylist([], LEDGER), 0)
    versions.publish(folder, versions.NewVersion(ledger, {}, None, {"problem": "galaxy", "schemes": {}}), None)
    with pytest.raises(EvaluationError, match="has no labels: build it with a scheme"):
        evaluate_registered(
            tracked_workspace, HoldoutRequest(model="champion", dataset="unlabelled"), {"galaxy": refuse}
        )


def test_a_model_that_does_not_exist_is_named(tracked_workspace: Workspace) -> None:
    publish_galaxies(tracked_workspace, "holdout", count=20)
    with pytest.raises(UnknownModelError, match="galaxy-bright-2@nobody"):
        evaluate_registered(tracked_workspace, HoldoutRequest(model="nobody", dataset="holdout"), {"galaxy": refuse})
