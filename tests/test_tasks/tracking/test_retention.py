"""What MLflow holds for a workspace, and what is gone for good after a removal: that alone, with its files."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import open_client
from tasks.tracking.mlflow_runs import PARENT, TrackedRun, open_run
from tasks.tracking.retention import (
    RecordedRun,
    RegisteredVersion,
    RetentionError,
    read_contents,
    remove_run,
    remove_version,
    require_no_deleted_experiments,
)


@contextmanager
def recorded(workspace: Workspace, **tags: str) -> Iterator[TrackedRun]:
    with open_run(workspace, problem="galaxy", run_name="r", params={}, tags=tags, dataset=None) as run:
        yield run


def register(workspace: Workspace, folder: Path, name: str, mark: str) -> str:
    """Register a file as the next version of a name, as MLflow's flavours do; return the id of its run."""
    client, saved = open_client(workspace), folder / f"{name} {mark}"
    saved.mkdir()
    (saved / "model.keras").write_text(mark)
    with recorded(workspace) as run:
        experiment = client.get_run(run.id).info.experiment_id
        model = client.create_logged_model(experiment, "model", source_run_id=run.id).model_id
        client.log_model_artifacts(model, str(saved))
        client.finalize_logged_model(model, "READY")
    if not versions_of(workspace, name):
        client.create_registered_model(name)
    client.create_model_version(name, f"models:/{model}", run.id, model_id=model)
    return run.id


def versions_of(workspace: Workspace, name: str) -> dict[int, RegisteredVersion]:
    versions, _ = read_contents(workspace)
    return {version.number: version for version in versions if version.name == name}


def run_of(workspace: Workspace, run_id: str) -> RecordedRun | None:
    _, runs = read_contents(workspace)
    return next((run for run in runs if run.id == run_id), None)


def test_a_workspace_without_a_database_holds_nothing_and_gets_none(workspace: Workspace) -> None:
    assert read_contents(workspace) == ([], [])
    assert not workspace.root.exists()


def test_a_run_is_what_was_recorded_of_it(tracked_workspace: Workspace) -> None:
    began = time.time()
    with recorded(tracked_workspace) as parent:
        running = run_of(tracked_workspace, parent.id)
    with recorded(tracked_workspace, dataset="sky@3", **{PARENT: parent.id}) as child:
        child.log_text("kept", "note.txt")
    ended = time.time()
    found = run_of(tracked_workspace, child.id)
    assert found is not None
    assert running is not None
    assert (running.status, running.parent, running.dataset, running.models) == ("RUNNING", None, None, {})
    assert (found.status, found.deleted, found.parent, found.dataset) == ("FINISHED", False, parent.id, "sky@3")
    assert (found.folder / "note.txt").read_text() == "kept"
    assert began - 0.001 <= running.changed_at < found.changed_at <= ended


def test_a_version_is_its_model_with_the_aliases_of_its_number(tracked_workspace: Workspace, tmp_path: Path) -> None:
    began, client = time.time(), open_client(tracked_workspace)
    runs = [register(tracked_workspace, tmp_path, "galaxy-kept", mark) for mark in ("one", "two")]
    for alias, number in (("champion", "1"), ("nightly", "2"), ("challenger", "2")):
        client.set_registered_model_alias("galaxy-kept", alias, number)
    found = versions_of(tracked_workspace, "galaxy-kept")
    assert {number: version.aliases for number, version in found.items()} == {
        1: ("champion",),
        2: ("challenger", "nightly"),
    }
    assert began - 0.001 <= found[1].created_at <= found[2].created_at <= time.time()
    for version, run_id, mark in zip((found[1], found[2]), runs, ("one", "two"), strict=True):
        assert version.run_id == run_id
        assert version.folder is not None
        assert (version.folder / "model.keras").read_text() == mark
        run = run_of(tracked_workspace, run_id)
        assert run is not None
        assert run.models == {version.model_id: version.folder}


def test_a_version_goes_with_its_files_once_it_has_no_alias_and_nothing_else_does(
    tracked_workspace: Workspace, tmp_path: Path
) -> None:
    for mark in ("one", "two"):
        register(tracked_workspace, tmp_path, "galaxy-goes", mark)
    client = open_client(tracked_workspace)
    client.set_registered_model_alias("galaxy-goes", "champion", "1")
    first, second = (versions_of(tracked_workspace, "galaxy-goes")[number] for number in (1, 2))
    run = run_of(tracked_workspace, first.run_id)
    assert run is not None
    assert first.folder is not None
    assert remove_version(tracked_workspace, first) is False, "it is the champion"
    assert versions_of(tracked_workspace, "galaxy-goes")[1] == first
    client.delete_registered_model_alias("galaxy-goes", "champion")
    assert remove_version(tracked_workspace, first) is True
    assert versions_of(tracked_workspace, "galaxy-goes") == {2: second}
    assert not first.folder.exists()
    after = run_of(tracked_workspace, run.id)
    assert after is not None
    assert (after.models, after.deleted, after.folder.exists()) == ({}, False, run.folder.exists())
    remove_run(tracked_workspace, run)
    assert run_of(tracked_workspace, run.id) is None, "its model, which went before, is no hindrance"


def test_a_run_goes_with_its_models_and_what_a_person_marked_as_deleted_stays(
    tracked_workspace: Workspace, tmp_path: Path
) -> None:
    client = open_client(tracked_workspace)
    with recorded(tracked_workspace) as marked:
        marked.log_text("may be wanted back", "note.txt")
    client.delete_run(marked.id)
    run_id = register(tracked_workspace, tmp_path, "galaxy-run", "one")
    version = versions_of(tracked_workspace, "galaxy-run")[1]
    client.delete_registered_model("galaxy-run")
    assert version.folder is not None
    run = run_of(tracked_workspace, run_id)
    assert run is not None
    assert list(run.models) == [version.model_id]
    remove_run(tracked_workspace, run)
    assert run_of(tracked_workspace, run.id) is None
    assert not run.folder.exists()
    assert not version.folder.exists()
    kept = run_of(tracked_workspace, marked.id)
    assert kept is not None
    assert (kept.deleted, (kept.folder / "note.txt").read_text()) == (True, "may be wanted back")
    remove_run(tracked_workspace, kept)
    assert run_of(tracked_workspace, marked.id) is None
    assert not kept.folder.exists()


def test_a_version_of_another_origin_has_no_model_and_leaves_its_files(
    tracked_workspace: Workspace, tmp_path: Path
) -> None:
    client = open_client(tracked_workspace)
    with recorded(tracked_workspace) as run:
        run.log_text("weights", "model/model.keras")
    client.create_registered_model("galaxy-foreign")
    client.create_model_version("galaxy-foreign", f"runs:/{run.id}/model", run.id)
    version = versions_of(tracked_workspace, "galaxy-foreign")[1]
    assert (version.model_id, version.folder, version.run_id, version.aliases) == (None, None, run.id, ())
    assert remove_version(tracked_workspace, version) is True
    kept = run_of(tracked_workspace, run.id)
    assert kept is not None
    assert (kept.folder / "model" / "model.keras").read_text() == "weights"


def test_deleted_experiments_are_refused_by_their_names(tracked_workspace: Workspace) -> None:
    client = open_client(tracked_workspace)
    require_no_deleted_experiments(tracked_workspace)
    ids = [client.create_experiment(name) for name in ("trial b", "trial a")]
    require_no_deleted_experiments(tracked_workspace)
    for each in ids:
        client.delete_experiment(each)
    try:
        with pytest.raises(RetentionError, match=r"deleted experiments \(trial a, trial b\), which `mlflow gc` would"):
            require_no_deleted_experiments(tracked_workspace)
    finally:
        for each in ids:
            client.restore_experiment(each)
    require_no_deleted_experiments(tracked_workspace)
