"""The versions that have an alias, read from MLflow's tables without MLflow, which takes 5 s to import.

The schema is that of the MLflow which `pyproject.toml` pins. The database is opened for reading only, and is waited for
at most `BUSY_S` where it is being written. A group's MLflow is asked by its client.
"""

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.runtime.workspace import Workspace
from tasks.tracking.database import open_client
from tasks.tracking.tracking_store import require_tracking_server, tracking_store

BUSY_S = 1.0
_VERSIONS = """
SELECT alias.name, alias.version, group_concat(alias.alias), version.creation_time, version.run_id, run.experiment_id
FROM registered_model_aliases AS alias
JOIN model_versions AS version
    ON version.workspace = alias.workspace AND version.name = alias.name AND version.version = alias.version
LEFT JOIN runs AS run ON run.run_uuid = version.run_id
GROUP BY alias.workspace, alias.name, alias.version
ORDER BY alias.name, alias.version
"""
_METRICS = r"SELECT key, value FROM latest_metrics WHERE run_uuid = ? AND is_nan = 0 AND key LIKE 'test\_%' ESCAPE '\'"
_TAGS = "SELECT key, value FROM tags WHERE run_uuid = ?"


@dataclass(frozen=True)
class AliasedVersion:
    """A registered version with an alias.

    Attributes
    ----------
    name : str
    version : int
    aliases : tuple of str
    registered_at : datetime
    run_id, experiment_id : str
    test : dict of str to float
        Figures of its run on the test part, by their names in the summary.
    tags : dict of str to str
        Of its run.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    registered_at: datetime
    run_id: str
    experiment_id: str
    test: dict[str, float]
    tags: dict[str, str]


def aliased_versions(workspace: Workspace) -> list[AliasedVersion]:
    """Return the versions with an alias, by name and version; a workspace without a database has none.

    Raises
    ------
    sqlite3.Error
        It is being written for longer than `BUSY_S`, or is no database of MLflow's.
    AddressError
        A group's MLflow does not answer.
    """
    if not tracking_store(workspace).is_own:
        require_tracking_server()
        return _of_group(workspace)
    database = workspace.root / "mlflow.db"
    if not database.is_file():
        return []
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", timeout=BUSY_S, uri=True)) as connection:
        return [
            AliasedVersion(
                name,
                int(version),
                tuple(sorted(aliases.split(","))),
                datetime.fromtimestamp(created_ms / 1000, UTC),
                run_id or "",
                str(experiment if experiment is not None else ""),
                {key.removeprefix("test_"): value for key, value in connection.execute(_METRICS, [run_id])},
                dict(connection.execute(_TAGS, [run_id])),
            )
            for name, version, aliases, created_ms, run_id, experiment in connection.execute(_VERSIONS).fetchall()
        ]


def _of_group(workspace: Workspace) -> list[AliasedVersion]:
    client = open_client(workspace)
    found = []
    for model in client.search_registered_models():
        for number in sorted({int(number) for number in model.aliases.values()}):
            version = client.get_model_version(model.name, str(number))
            run = client.get_run(version.run_id)
            measured = {
                key.removeprefix("test_"): value
                for key, value in run.data.metrics.items()
                if key.startswith("test_") and not math.isnan(value)
            }
            found.append(
                AliasedVersion(
                    model.name,
                    number,
                    tuple(sorted(alias for alias, of in model.aliases.items() if int(of) == number)),
                    datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
                    version.run_id,
                    run.info.experiment_id,
                    measured,
                    dict(run.data.tags),
                )
            )
    return sorted(found, key=lambda each: (each.name, each.version))
