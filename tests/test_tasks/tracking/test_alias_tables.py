"""The aliases that are read from MLflow's tables are those that MLflow tells."""

from datetime import UTC, datetime
from pathlib import Path

from tasks.runtime.workspace import Workspace
from tasks.tracking.alias_tables import aliased_versions
from tasks.tracking.database import open_client, prepare
from tests.small_home import extract_saved


def test_they_are_what_mlflow_says(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    extract_saved(workspace)
    prepare(workspace)
    client = open_client(workspace)
    first = client.get_model_version("realbogus", "1")
    client.create_model_version("realbogus", first.source, first.run_id)
    client.set_registered_model_alias("realbogus", "challenger", "2")
    client.set_registered_model_alias("realbogus-first", "night-2", "1")
    found = {(each.name, each.version): each for each in aliased_versions(workspace)}
    expected = {
        (model.name, int(version)): client.get_model_version(model.name, version)
        for model in client.search_registered_models()
        for version in set(model.aliases.values())
    }
    assert found.keys() == expected.keys()
    assert len(found) == 4
    for key, version in expected.items():
        run = client.get_run(version.run_id)
        each = found[key]
        assert (each.run_id, each.experiment_id) == (version.run_id, run.info.experiment_id)
        assert each.registered_at == datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
        assert each.aliases == tuple(sorted(version.aliases))
        assert each.tags == run.data.tags
        measured = {name: value for name, value in run.data.metrics.items() if name.startswith("test_")}
        assert {f"test_{name}": value for name, value in each.test.items()} == measured


def test_a_workspace_without_a_database_has_none_and_gets_none(tmp_path: Path) -> None:
    assert aliased_versions(Workspace(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
