"""The schema of a database in a workspace: the revision that it has, and the one that the installed program wants.

MLflow and Prefect both keep their migrations as scripts of Alembic and the revision in the table ``alembic_version``.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

_TABLE = "alembic_version"

State = Literal["current", "older", "newer", "empty", "unreadable"]
"""``newer``: of a revision that the installed program does not know; ``empty``: without a revision."""


@dataclass(frozen=True)
class Program:
    """A program that keeps a database in the workspace.

    Attributes
    ----------
    name : str
        Of its package.
    file : str
        The database, relative to the workspace.
    scripts : str
        Folder of its migrations, relative to the package.
    versions : str, optional
        Folder of the scripts for SQLite within it, where that is not ``versions``.
    """

    name: str
    file: str
    scripts: str
    versions: str = "versions"

    @cached_property
    def migrations(self) -> "ScriptDirectory":
        """The migrations of the installed program; the program itself is not imported."""
        from alembic.script import ScriptDirectory

        spec = find_spec(self.name)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        folder = Path(spec.submodule_search_locations[0], self.scripts)
        return ScriptDirectory(str(folder), version_locations=[str(folder / self.versions)])

    @property
    def newest(self) -> str:
        """The revision that the installed program wants."""
        head = self.migrations.get_current_head()
        assert head is not None
        return head

    def state_of(self, revision: str | None) -> State:
        """Return how a database of a revision stands to the installed program."""
        from alembic.util import CommandError

        if revision is None:
            return "empty"
        try:
            self.migrations.get_revision(revision)
        except CommandError:
            return "newer"
        return "current" if revision == self.newest else "older"


MLFLOW = Program("mlflow", "mlflow.db", "store/db_migrations")
PREFECT = Program("prefect", "prefect/prefect.db", "server/database/_migrations", "versions/sqlite")
PROGRAMS = (MLFLOW, PREFECT)


@dataclass(frozen=True)
class Schema:
    """The schema of one database of a workspace.

    Attributes
    ----------
    program : Program
    path : Path
    revision : str, optional
        None: it has none, or cannot be read.
    state : str
    """

    program: Program
    path: Path
    revision: str | None
    state: State

    @property
    def copy(self) -> Path | None:
        """Where the database is copied before it is migrated; None where nothing is to be done."""
        return self.path.with_name(f"{self.path.name}.{self.revision}") if self.state == "older" else None

    def to_summary(self) -> dict[str, str | None]:
        """Return what the command says of it."""
        return {
            "database": str(self.path),
            "program": self.program.name,
            "state": self.state,
            "revision": self.revision,
            "newest": self.program.newest,
            "copy": None if self.copy is None else str(self.copy),
        }


def read_schema(program: Program, root: Path) -> Schema | None:
    """Return the schema of a program's database in the workspace at `root`; None where there is no database."""
    path = root / program.file
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if _TABLE in tables else []
    except sqlite3.DatabaseError:
        return Schema(program, path, None, "unreadable")
    revision = rows[0][0] if rows else None
    return Schema(program, path, revision, program.state_of(revision))
