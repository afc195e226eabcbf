"""Databases of earlier programs: looked at, copied, and migrated by the installed programs."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import processes_folder
from tasks.server.process_guard import ProcessEntry
from tasks.tracking.database import import_mlflow
from tasks.upgrade.databases import UpgradeError, upgrade
from tasks.upgrade.schemas import MLFLOW, PREFECT, Program, read_schema

EARLIER = 3
"""Revisions before the newest."""


def earlier_revision() -> str:
    revisions = [script.revision for script in MLFLOW.migrations.walk_revisions()]
    return str(revisions[EARLIER])


def make_earlier_database(path: Path) -> None:
    """Make an MLflow database by its own migrations up to an earlier revision, with one experiment."""
    import_mlflow()
    import sqlalchemy
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    url = f"sqlite:///{path}"
    engine = sqlalchemy.create_engine(url)
    Base.metadata.create_all(engine)
    config: Config = _get_alembic_config(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, earlier_revision())
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (7, 'old', '', 'active')"
        )


def experiments(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM experiments")]


def test_an_older_database_is_copied_and_migrated_and_keeps_its_content(tmp_path: Path) -> None:
    workspace, path = Workspace(tmp_path), tmp_path / "mlflow.db"
    make_earlier_database(path)
    before = path.read_bytes()
    copy = tmp_path / f"mlflow.db.{earlier_revision()}"
    plan = upgrade(workspace, dry_run=True)
    (told,) = plan["databases"]
    assert (told["state"], told["revision"], told["newest"]) == ("older", earlier_revision(), MLFLOW.newest)
    assert told["copy"] == str(copy)
    assert path.read_bytes() == before
    assert not copy.exists(), "a dry run writes nothing"
    assert upgrade(workspace)["upgraded"] == 1
    after = read_schema(MLFLOW, tmp_path)
    assert after is not None
    assert after.state == "current"
    assert experiments(path) == experiments(copy) == ["old"]
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(earlier_revision(),)]
    again = upgrade(workspace)
    assert (again["upgraded"], again["databases"][0]["state"]) == (0, "current")


def test_a_database_of_a_newer_or_of_no_program_is_refused_before_any_is_touched(tmp_path: Path) -> None:
    workspace, path = Workspace(tmp_path), tmp_path / "mlflow.db"
    make_earlier_database(path)
    other = tmp_path / PREFECT.file
    other.parent.mkdir()
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('fffffff')")
    before = path.read_bytes()
    with pytest.raises(
        UpgradeError, match=r"prefect\.db has revision fffffff, which the installed prefect does not know"
    ):
        upgrade(workspace)
    other.write_bytes(b"no database" * 100)
    with pytest.raises(UpgradeError, match=r"prefect\.db is no database that can be read"):
        upgrade(workspace)
    assert path.read_bytes() == before


def test_a_workspace_in_use_is_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    make_earlier_database(tmp_path / "mlflow.db")
    entry = ProcessEntry.announce(processes_folder(workspace), kind="run")
    try:
        with pytest.raises(UpgradeError, match=r"runs in .*: end it with `starloom down`"):
            upgrade(workspace)
    finally:
        entry.withdraw()


def test_an_empty_workspace_needs_nothing(tmp_path: Path) -> None:
    assert upgrade(Workspace(tmp_path))["databases"] == []


@pytest.mark.parametrize("program", [MLFLOW, PREFECT], ids=lambda program: str(program.name))
def test_every_revision_of_the_installed_program_is_known(program: Program) -> None:
    revisions = [script.revision for script in program.migrations.walk_revisions()]
    assert {program.state_of(revision) for revision in revisions[1:]} == {"older"}
    assert program.state_of(program.newest) == "current"
