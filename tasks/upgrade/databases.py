"""Upgrading the databases of a workspace: each is copied first, migrated by its own program, and looked at again."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tasks.runtime.workspace import Workspace
from tasks.server.prefect_server import stop_server, user_of
from tasks.server.process_guard import locked_file
from tasks.store.files import sync, whole_file
from tasks.tracking.database import SERVER_SETTINGS
from tasks.upgrade.schemas import MLFLOW, PROGRAMS, Program, Schema, read_schema

_LAST_LINES = 3


class UpgradeError(RuntimeError):
    """A workspace cannot be upgraded; the message names the database and says what to do."""


def upgrade(workspace: Workspace, dry_run: bool = False) -> dict[str, Any]:
    """Bring the databases of MLflow and Prefect to the schema of the installed programs, and return the summary.

    A database that is up to date is left alone. An older one is copied beside itself, with its revision in the name,
    and migrated by its program. Dataset versions need nothing: those of every earlier format are read as they are.

    Parameters
    ----------
    workspace : Workspace
        No command runs in it.
    dry_run : bool
        Only find out what would be done.

    Raises
    ------
    UpgradeError
        A command runs in the workspace; a database is damaged, or was made by a newer program; or its program could
        not migrate it, in which case the copy is whole.
    """
    started = time.monotonic()
    schemas = [schema for program in PROGRAMS if (schema := read_schema(program, workspace.root)) is not None]
    _refuse(schemas)
    due = [schema for schema in schemas if schema.copy is not None]
    if due and not dry_run:
        workspace.prefect.mkdir(parents=True, exist_ok=True)
        with locked_file(workspace.prefect / "starting.lock"):
            _require_unused(workspace)
            for schema in due:
                _upgrade(schema, workspace)
    return {
        "workspace": workspace.name,
        "dry_run": dry_run,
        "databases": [schema.to_summary() for schema in schemas],
        "upgraded": 0 if dry_run else len(due),
        "seconds": round(time.monotonic() - started, 1),
    }


def _refuse(schemas: Sequence[Schema]) -> None:
    """Refuse databases that cannot be upgraded, before any is touched."""
    for schema in schemas:
        if schema.state == "unreadable":
            raise UpgradeError(f"{schema.path} is no database that can be read: restore it from a backup")
        if schema.state == "newer":
            raise UpgradeError(
                f"{schema.path} has revision {schema.revision}, which the installed {schema.program.name} does not "
                f"know (its newest is {schema.program.newest}): a newer one wrote it; install that, or restore a backup"
            )


def _require_unused(workspace: Workspace) -> None:
    """Stop an idle Prefect server; refuse a workspace in which a command runs."""
    user = user_of(workspace)
    if user is not None:
        raise UpgradeError(f"{user}: end it with `starloom down`")
    stop_server(workspace)


def _upgrade(schema: Schema, workspace: Workspace) -> None:
    copy = schema.copy
    assert copy is not None
    _copy(schema.path, copy)
    command, settings = _migration(schema.program, schema.path, workspace)
    done = subprocess.run(
        [sys.executable, "-m", *command], env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    after = read_schema(schema.program, workspace.root)
    if done.returncode or after is None or after.state != "current" or not _is_whole(schema.path):
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:])
        raise UpgradeError(
            f"{schema.program.name} could not upgrade {schema.path} ({said or f'exit status {done.returncode}'}): "
            f"its state before is {copy}; put that in its place, and report what the program says"
        )


def _copy(source: Path, target: Path) -> None:
    """Copy a database, with what is still in its write-ahead log."""
    with whole_file(target) as path, closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(path)) as there:
        here.backup(there)
    sync(target.parent)


def _is_whole(path: Path) -> bool:
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    return False


def _migration(program: Program, path: Path, workspace: Workspace) -> tuple[list[str], dict[str, str]]:
    """Return the command of a program that migrates its database, and the environment it needs."""
    if program is MLFLOW:
        return ["mlflow", "db", "upgrade", f"sqlite:///{path}"], dict(SERVER_SETTINGS)
    settings = {
        "PREFECT_HOME": str(workspace.prefect),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{path}",
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{path}",
        "DO_NOT_TRACK": "true",
    }
    return ["prefect", "server", "database", "upgrade", "--yes"], settings
