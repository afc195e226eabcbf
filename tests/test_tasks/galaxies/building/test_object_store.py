"""A galaxy build on a real object store: another machine goes on with the batches of one that was lost."""

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.building.builder_turn import prepare_objects
from tasks.galaxies.building.collect import CutoutBatch, collect_batch, unfinished_batches
from tasks.galaxies.building.plan import plan_galaxies
from tasks.galaxies.building.sources import find_catalog, open_source
from tasks.runtime.workspace import Workspace
from tasks.store.object_store.objects import ObjectFolder
from tests.object_servers import BUCKET, environment, moto_server, settings
from tests.small_backfills import DATASET, archive_request, build, write_archive


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on an object store."""
    with moto_server() as endpoint, environment(settings(endpoint) | {"STARLOOM_STATE": str(tmp_path / "state")}):
        yield Workspace.named(f"s3://{BUCKET}/four")


def test_another_machine_goes_on_with_the_batches_of_one_that_was_lost(there: Workspace, tmp_path: Path) -> None:
    request = archive_request(write_archive(tmp_path / "archive", 40), "gz1-majority-2class")

    def left(workspace: Workspace) -> list[CutoutBatch]:
        plan = plan_galaxies(workspace, request, find_catalog(workspace, request))
        with open_source(workspace, plan) as source:
            return list(unfinished_batches(plan, source, 1))

    batches = left(there)
    assert len(batches) > 1
    for batch in batches[:-1]:
        collect_batch(pickle.loads(pickle.dumps(batch)))  # as a worker gets it
    shutil.rmtree(there.root)
    another = Workspace(tmp_path / "another machine", there.address)
    assert [batch.number for batch in left(another)] == [batches[-1].number]
    staged, plans = objects_below(there, "staging"), another.datasets / DATASET / "staging"
    shutil.copytree(plans, tmp_path / "plans")
    assert build(another, request).digest == build(Workspace(tmp_path / "local"), request).digest
    assert not there.root.exists()
    assert objects_below(there, "staging") == {}

    # As a builder leaves it that dies when it has published and not yet removed what was staged.
    for name, content in staged.items():
        ObjectFolder(f"{there.address}/datasets/{DATASET}/staging").put(name, content)
    shutil.copytree(tmp_path / "plans", plans, dirs_exist_ok=True)
    prepare_objects(another, DATASET)
    assert objects_below(there, "staging") == {}


def objects_below(workspace: Workspace, name: str) -> dict[str, bytes | None]:
    """The dataset's objects in a folder of it."""
    folder = ObjectFolder(f"{workspace.address}/datasets/{DATASET}/{name}")
    return {key: folder.get(key) for key in folder.names()}
