"""Whose turn it is to build a dataset: the run of a worker waits, one that a person started is refused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.runtime.workspace import Workspace
from tasks.server.slots import builder_slot, hold_slots, is_deployed
from tasks.store.locks import one_builder
from tasks.store.object_store.at_work import announced_builder
from tasks.store.object_store.conditions import require_conditions
from tasks.store.object_store.objects import ObjectFolder
from tasks.store.object_store.publication import current_object, finish_publication, journals_of, manifest_object
from tasks.store.places import dataset_objects
from tasks.store.schema import STAGING, check_name


@contextmanager
def builder_turn(workspace: Workspace, dataset: str) -> Iterator[None]:
    """Hold the builder's lock of a dataset; the run of a worker waits for it in the queue of its slot.

    Raises
    ------
    DatasetBusyError
        Another process builds the dataset, and this one was not started by a worker.
    DatasetNameError
        The dataset cannot have that name.
    """
    with (
        hold_slots(workspace, [builder_slot(check_name(dataset))], wait=is_deployed()),
        one_builder(workspace.datasets / dataset),
        announced_builder(workspace.datasets / dataset, dataset_objects(workspace, dataset)),
    ):
        prepare_objects(workspace, dataset)
        yield


def prepare_objects(workspace: Workspace, dataset: str) -> None:
    """Try the object store of the workspace, if it has one, and finish what publishers left that died.

    Raises
    ------
    ObjectStoreError
        The store cannot be reached or ignores a condition that publishing needs.
    """
    objects = dataset_objects(workspace, dataset)
    if objects is not None and workspace.address is not None:
        require_conditions(workspace.address)
        finish_publication(objects)
        objects.clear(f"{journals_of(workspace.datasets / dataset)}/")
        _clear_published(workspace.datasets / dataset / STAGING, objects)


def _clear_published(staging: Path, objects: ObjectFolder) -> None:
    """Remove batches that this machine staged for requests which were published since their plans were made."""
    number = current_object(objects)
    content = None if number is None else manifest_object(objects, number)
    if number is None or content is None:
        return
    builds = json.loads(content).get("builds", {})
    for file in staging.glob("*/plan.json"):
        facts = json.loads(file.read_text(encoding="utf-8"))
        if facts["digest"] in builds and (facts["parent"] or 0) < number:
            ObjectFolder(facts["batches"]).clear()
